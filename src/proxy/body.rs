//! Bodies of requests to the gateway's own endpoints, read with limits.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use pingora::proxy::Session;

use crate::model::api_call::CallBody;
use crate::model::preserved_post::{self, FormEncoding, PostedForm};
use crate::model::reason::Reason;

use super::form;

/// How long a client may take to send a body, all in all.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Reads the posted form, at most `limit` bytes; `read` makes of it what it is.
///
/// # Errors
/// `unsupported_media_type`, `request_too_large`, or `rejected_input` for what cannot be read in
/// one way only.
pub(super) async fn form<T>(
    session: &mut Session,
    limit: usize,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, Reason> {
    let kind = field(&session.req_header().headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !essence(kind).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Reason::UnsupportedMediaType);
    }
    read(&within_limits(session, limit).await?).ok_or(Reason::RejectedInput)
}

/// Reads a form of the application's, as long as it holds no file; `None` where it is none, or too
/// large to be carried, or not in UTF-8. Nothing is read of a body that is seen to be unfit by its
/// head.
pub(super) async fn posted(session: &mut Session) -> Option<PostedForm> {
    let kind = field(&session.req_header().headers, &header::CONTENT_TYPE)?;
    let boundary = match essence(kind).to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => None,
        "multipart/form-data" => Some(multer::parse_boundary(kind).ok()?),
        _ => return None,
    };
    let body = within_limits(session, preserved_post::MAX_BODY)
        .await
        .ok()?;
    match boundary {
        None => Some(PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: form::pairs(&body)?,
        }),
        Some(boundary) => Some(PostedForm {
            encoding: FormEncoding::Multipart,
            fields: parts(&body, boundary).await?,
        }),
    }
}

/// The fields of a `multipart/form-data` body (RFC 7578). A file that was not chosen is sent as an
/// empty one, and is no file.
async fn parts(body: &[u8], boundary: String) -> Option<Vec<(String, String)>> {
    let mut parts = multer::Multipart::with_reader(body, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.ok()? {
        let name = part.name()?.to_owned();
        let is_file = part.file_name().is_some();
        let value = String::from_utf8(part.bytes().await.ok()?.into()).ok()?;
        match (is_file, value.is_empty()) {
            (true, true) => {}
            (true, false) => return None,
            (false, _) => fields.push((name, value)),
        }
    }
    Some(fields)
}

/// Reads what a program posted, at most `limit` bytes; a body may be absent.
///
/// # Errors
/// As [`form()`].
pub(super) async fn call(session: &mut Session, limit: usize) -> Result<CallBody, Reason> {
    let headers = &session.req_header().headers;
    // A type that no form and no simple request of another site's page can have (threat model,
    //
    let named = headers.contains_key(header::CONTENT_TYPE);
    if named && !field(headers, &header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Reason::UnsupportedMediaType);
    }
    let body = within_limits(session, limit).await?;
    if !named && !body.is_empty() {
        return Err(Reason::UnsupportedMediaType);
    }
    CallBody::read(&body).ok_or(Reason::RejectedInput)
}

/// The value of a field that is there once.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A media type without its parameters.
fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim_ascii()
}

fn is_json(kind: &str) -> bool {
    let charset = kind
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    let utf8 = charset.filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("charset"));
    essence(kind).eq_ignore_ascii_case("application/json")
        && utf8
            .map(|(_, value)| value.trim_ascii().trim_matches('"'))
            .all(|value| value.eq_ignore_ascii_case("utf-8"))
}

async fn within_limits(session: &mut Session, limit: usize) -> Result<Vec<u8>, Reason> {
    let announced = session
        .get_header(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit) {
        return Err(Reason::RequestTooLarge);
    }
    tokio::time::timeout(READ_WITHIN, whole(session, limit))
        .await
        .unwrap_or(Err(Reason::RejectedInput))
}

async fn whole(session: &mut Session, limit: usize) -> Result<Vec<u8>, Reason> {
    if session.get_header(header::EXPECT).is_some()
        && session.write_continue_response().await.is_err()
    {
        return Err(Reason::RejectedInput);
    }
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(part)) if body.len() + part.len() > limit => {
                return Err(Reason::RequestTooLarge);
            }
            Ok(Some(part)) => body.extend_from_slice(&part),
            Ok(None) => return Ok(body),
            Err(_) => return Err(Reason::RejectedInput),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_in_utf_8() {
        for yes in [
            "application/json",
            "Application/JSON ; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(is_json(yes), "{yes}");
        }
        for no in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json;charset=latin1",
            "text/plain;application/json",
        ] {
            assert!(!is_json(no), "{no}");
        }
    }

    #[tokio::test]
    async fn a_form_in_parts_is_carried_without_files() {
        let part = |head: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
        };
        let fields = |body: String| async move {
            parts(format!("{body}--x--\r\n").as_bytes(), "x".into()).await
        };
        let text = part("name=\"text\"", "two\r\nlines \u{e9}");
        let unchosen = part("name=\"file\"; filename=\"\"", "");
        let found = fields(text.clone() + &unchosen + &part("name=\"text\"", "")).await;
        assert_eq!(
            found.unwrap(),
            [("text", "two\r\nlines \u{e9}"), ("text", "")].map(|(n, v)| (n.into(), v.into()))
        );
        assert_eq!(
            fields(text.clone() + &part("name=\"file\"; filename=\"a.txt\"", "a")).await,
            None
        );
        assert_eq!(fields(text + "--x\r\n\r\nno name\r\n").await, None);
    }

    #[test]
    fn a_field_that_is_there_twice_is_none() {
        let mut headers = HeaderMap::new();
        headers.append("content-type", "application/json".parse().unwrap());
        assert_eq!(
            field(&headers, &header::CONTENT_TYPE),
            Some("application/json")
        );
        headers.append("content-type", "application/json".parse().unwrap());
        assert_eq!(field(&headers, &header::CONTENT_TYPE), None);
    }
}
