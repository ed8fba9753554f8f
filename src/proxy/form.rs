//! The body of the sign-in form, read with limits and without mercy for what is ambiguous.

use std::collections::HashMap;
use std::time::Duration;

use http::header;
use percent_encoding::percent_decode;
use pingora::proxy::Session;

use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::sign_in::LoginForm;

/// How long a client may take to send a form, all in all.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Reads the posted form, at most `limit` bytes.
///
/// # Errors
/// `unsupported_media_type`, `request_too_large`, or `rejected_input` for what cannot be read in one way only.
pub(super) async fn read(session: &mut Session, limit: usize) -> Result<LoginForm, Reason> {
    let kind = session.get_header(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Reason::UnsupportedMediaType);
    }
    let announced = session.get_header(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(Reason::RequestTooLarge);
    }
    match tokio::time::timeout(READ_WITHIN, body(session, limit)).await {
        Ok(body) => parse(&body?).ok_or(Reason::RejectedInput),
        Err(_) => Err(Reason::RejectedInput),
    }
}

async fn body(session: &mut Session, limit: usize) -> Result<Vec<u8>, Reason> {
    if session.get_header(header::EXPECT).is_some() && session.write_continue_response().await.is_err() {
        return Err(Reason::RejectedInput);
    }
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(part)) if body.len() + part.len() > limit => return Err(Reason::RequestTooLarge),
            Ok(Some(part)) => body.extend_from_slice(&part),
            Ok(None) => return Ok(body),
            Err(_) => return Err(Reason::RejectedInput),
        }
    }
}

/// Reads `application/x-www-form-urlencoded`. A field that stands twice has no one meaning, and text that
/// is no UTF-8 would reach the provider as something else than was typed: both are refused.
fn parse(body: &[u8]) -> Option<LoginForm> {
    let mut fields = HashMap::new();
    for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let value = value.strip_prefix(b"=").unwrap_or_default();
        if fields.insert(decode(name)?, decode(value)?).is_some() {
            return None;
        }
    }
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    Some(LoginForm {
        login_id: take("loginId"),
        password: Secret::new(take("password")),
        return_to: ReturnPath::parse(&take("return_to")),
        remember: !matches!(take("remember").as_str(), "" | "0" | "false" | "off"),
        csrf: take("csrf"),
    })
}

fn decode(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_byte_for_byte() {
        let form = parse("loginId=a%40b.c&password=+p%C3%A9%26+&return_to=%2Fcart%23x&remember=on&csrf=t".as_bytes());
        let form = form.unwrap();
        assert_eq!((form.login_id.as_str(), form.password.expose()), ("a@b.c", " pé& "));
        assert_eq!(form.return_to.unwrap().as_str(), "/cart#x");
        assert!(form.remember);
        assert_eq!(form.csrf, "t");
    }

    #[test]
    fn what_has_two_meanings_is_refused() {
        assert_eq!(parse(b"loginId=a&loginId=b"), None);
        assert_eq!(parse(b"password=%ff"), None);
    }

    #[test]
    fn a_foreign_return_address_is_dropped() {
        assert_eq!(parse(b"return_to=https%3A%2F%2Fevil.example").unwrap().return_to, None);
    }
}
