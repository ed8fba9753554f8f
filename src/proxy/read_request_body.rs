//! Request bodies that the gateway reads itself, within limits of size and time: those for its own
//! endpoints, and forms that are preserved over a sign-in.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Version, header};
use pingora::proxy::Session;

use crate::model::api_request::ApiRequestBody;
use crate::model::preserved_post::{FormEncoding, NotPreservedError, PostedForm};
use crate::model::reason::Reason;

use super::form;

/// How long a client may take to send the whole body.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads a form of the gateway's own, at most `limit` bytes. `parse` returns `None` for fields that
/// are ambiguous.
///
/// # Errors
/// `unsupported_media_type` for another media type, of which nothing is read; `request_too_large`;
/// `rejected_input` where the body does not arrive in time or does not parse.
pub(super) async fn read_form<T>(
    session: &mut Session,
    limit: usize,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, Reason> {
    let headers = &session.req_header().headers;
    let content_type = single_value(headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !media_type(content_type).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Reason::UnsupportedMediaType);
    }
    parse(&read_body(session, limit).await?).ok_or(Reason::RejectedInput)
}

/// Reads a form of the application's, at most `limit` bytes. Where the head tells already that it
/// cannot be preserved, nothing is read.
///
/// # Errors
/// Why the form cannot be preserved. One that does not arrive in time is none.
pub(super) async fn read_application_form(
    session: &mut Session,
    limit: usize,
) -> Result<PostedForm, NotPreservedError> {
    let headers = &session.req_header().headers;
    let content_type =
        single_value(headers, &header::CONTENT_TYPE).ok_or(NotPreservedError::NoForm)?;
    let boundary = match media_type(content_type).to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => None,
        "multipart/form-data" => {
            Some(multer::parse_boundary(content_type).map_err(|_| NotPreservedError::NoForm)?)
        }
        "text/plain" => return Err(NotPreservedError::OtherForm),
        _ => return Err(NotPreservedError::NoForm),
    };
    let body = read_body(session, limit).await.map_err(|reason| {
        if reason == Reason::RequestTooLarge {
            NotPreservedError::TooLarge
        } else {
            NotPreservedError::NoForm
        }
    })?;
    match boundary {
        None => Ok(PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: form::pairs(&body).ok_or(NotPreservedError::OtherForm)?,
        }),
        Some(boundary) => Ok(PostedForm {
            encoding: FormEncoding::Multipart,
            fields: multipart_fields(&body, boundary).await?,
        }),
    }
}

/// The fields of a `multipart/form-data` body (RFC 7578). Browsers send a file input without a
/// choice as an empty file, which is left out.
async fn multipart_fields(
    body: &[u8],
    boundary: String,
) -> Result<Vec<(String, String)>, NotPreservedError> {
    let no_form = |_| NotPreservedError::NoForm;
    let mut parts = multer::Multipart::with_reader(body, boundary);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(no_form)? {
        let name = part.name().ok_or(NotPreservedError::NoForm)?.to_owned();
        let is_file = part.file_name().is_some();
        let bytes = part.bytes().await.map_err(no_form)?;
        if is_file && !bytes.is_empty() {
            return Err(NotPreservedError::HasFiles);
        }
        if !is_file {
            let value =
                String::from_utf8(bytes.into()).map_err(|_| NotPreservedError::OtherForm)?;
            fields.push((name, value));
        }
    }
    Ok(fields)
}

/// Reads the JSON body of an API call, at most `limit` bytes. The body may be absent.
///
/// # Errors
/// As [`read_form`].
pub(super) async fn read_call(
    session: &mut Session,
    limit: usize,
) -> Result<ApiRequestBody, Reason> {
    let headers = &session.req_header().headers;
    // No form has this type, nor any request that a page of another site can send without a
    // preflight (threat model, R-34).
    let named = headers.contains_key(header::CONTENT_TYPE);
    if named && !single_value(headers, &header::CONTENT_TYPE).is_some_and(is_json) {
        return Err(Reason::UnsupportedMediaType);
    }
    let body = read_body(session, limit).await?;
    if !named && !body.is_empty() {
        return Err(Reason::UnsupportedMediaType);
    }
    ApiRequestBody::parse(&body).ok_or(Reason::RejectedInput)
}

/// The value of a field that is there exactly once.
fn single_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The media type in a `Content-Type` value, without its parameters.
fn media_type(content_type: &str) -> &str {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

/// Whether a `Content-Type` value is JSON, in UTF-8 where it names a charset.
fn is_json(content_type: &str) -> bool {
    let mut charsets = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim_ascii().trim_matches('"'));
    media_type(content_type).eq_ignore_ascii_case("application/json")
        && charsets.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// Reads a body, at most `limit` bytes.
///
/// # Errors
/// `request_too_large`; `rejected_input` where it does not arrive in time.
pub(super) async fn read_body(session: &mut Session, limit: usize) -> Result<Vec<u8>, Reason> {
    let content_length = session
        .get_header(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if content_length.is_some_and(|length: usize| length > limit) {
        return Err(Reason::RequestTooLarge);
    }
    tokio::time::timeout(READ_TIMEOUT, read_to_end(session, limit))
        .await
        .unwrap_or(Err(Reason::RejectedInput))
}

async fn read_to_end(session: &mut Session, limit: usize) -> Result<Vec<u8>, Reason> {
    if awaits_continue(session) && session.write_continue_response().await.is_err() {
        return Err(Reason::RejectedInput);
    }
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                return Err(Reason::RequestTooLarge);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(_) => return Err(Reason::RejectedInput),
        }
    }
}

/// Whether the client waits for `100 Continue` (RFC 9110, section 10.1.1). Clients of HTTP/1.0 get
/// no informational response, and no other expectation passes validation.
fn awaits_continue(session: &mut Session) -> bool {
    let request = session.req_header();
    let is_asked =
        request.version > Version::HTTP_10 && request.headers.contains_key(header::EXPECT);
    is_asked && !session.is_body_empty()
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
    async fn a_multipart_form_is_read_without_files() {
        let part = |head: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
        };
        let fields = |body: String| async move {
            multipart_fields(format!("{body}--x--\r\n").as_bytes(), "x".into()).await
        };
        let text = part("name=\"text\"", "two\r\nlines \u{e9}");
        let unchosen = part("name=\"file\"; filename=\"\"", "");
        let found = fields(text.clone() + &unchosen + &part("name=\"text\"", "")).await;
        assert_eq!(
            found.unwrap(),
            [("text", "two\r\nlines \u{e9}"), ("text", "")].map(|(n, v)| (n.into(), v.into()))
        );
        assert_eq!(
            fields(text.clone() + &part("name=\"file\"; filename=\"a.png\"", "\u{fffd}")).await,
            Err(NotPreservedError::HasFiles)
        );
        assert_eq!(
            fields(text + "--x\r\n\r\nno name\r\n").await,
            Err(NotPreservedError::NoForm)
        );
    }

    #[test]
    fn a_field_that_is_there_twice_is_none() {
        let mut headers = HeaderMap::new();
        headers.append("content-type", "application/json".parse().unwrap());
        assert_eq!(
            single_value(&headers, &header::CONTENT_TYPE),
            Some("application/json")
        );
        headers.append("content-type", "application/json".parse().unwrap());
        assert_eq!(single_value(&headers, &header::CONTENT_TYPE), None);
    }
}
