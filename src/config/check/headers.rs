//! The headers that tell an application who its visitor is.

use http::HeaderName;

use super::super::file::site_headers::Headers;
use super::super::spans::At;
use super::Review;
use crate::model::header_template::{Template, TemplateError};
use crate::model::identity_headers::IdentityHeaders;

/// Headers that steer the connection, the message or the client's proof: an identity cannot be told
/// in them.
const RESERVED: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    // CGI programs take it for the address of their own proxy.
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that the gateway gives another meaning.
const MANAGED: &[&str] = &[
    "forwarded",
    "traceparent",
    "tracestate",
    "vestibule-access-token",
    "vestibule-refresh-token",
    "via",
    "x-auth-assertion",
    "x-auth-site",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

pub(super) fn headers(
    written: Option<&At<Headers>>,
    review: &mut Review<'_>,
) -> Option<IdentityHeaders> {
    match written.map(|written| (written, &**written)) {
        None => Some(IdentityHeaders::x_auth()),
        Some((_, Headers::Preset(name))) => IdentityHeaders::preset(name),
        Some((_, Headers::Table(table))) => custom(table, review),
    }
}

fn custom(table: &[(At<String>, At<String>)], review: &mut Review<'_>) -> Option<IdentityHeaders> {
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, template) in table {
        let template = parse_template(template, review);
        let Some(parsed) = parse_name(name, review) else {
            continue;
        };
        if headers.iter().any(|(other, _)| *other == parsed) {
            review.refuse_text(
                name,
                "this header is there twice",
                "case makes no difference, keep one of them",
            );
        }
        if let Some(template) = template {
            headers.push((parsed, template));
        }
    }
    (headers.len() == table.len()).then(|| IdentityHeaders::custom(headers))
}

pub(super) fn parse_name(name: &At<String>, review: &mut Review<'_>) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    let Some(parsed) = parsed else {
        review.refuse_text(
            name,
            "this is no header name",
            "use letters, digits and `-`, like \"Remote-User\"",
        );
        return None;
    };
    if parsed.as_str().contains('_') {
        let hint = "write `-`: applications cannot tell the two apart, and `_` is dropped";
        review.refuse_text(name, "a header name has a `_`", hint);
        return None;
    }
    if RESERVED.contains(&parsed.as_str()) {
        review.refuse_text(
            name,
            "this header has a meaning of its own in HTTP",
            "choose another, like \"Remote-User\"",
        );
        return None;
    }
    if MANAGED.contains(&parsed.as_str()) {
        review.refuse_text(
            name,
            "the gateway sets this header itself",
            "choose another, like \"Remote-User\"",
        );
        return None;
    }
    Some(parsed)
}

fn parse_template(text: &At<String>, review: &mut Review<'_>) -> Option<Template> {
    let known = "known are {sub}, {email}, {username}, {roles}, {claim.NAME}, and several like \
                 {username|email}";
    match Template::parse(text) {
        Ok(template) => return Some(template),
        Err(TemplateError::UnbalancedBrace) => {
            review.refuse_text(text, "a template has an unbalanced brace", known);
        }
        Err(TemplateError::UnknownPlaceholder(name)) => {
            review.refuse(
                &text.span,
                format!("a template has the unknown placeholder {name:?}"),
                known,
            );
        }
        Err(TemplateError::UnprintableText) => {
            review.refuse_text(
                text,
                "a template has text that no header can carry",
                "use printable ASCII",
            );
        }
    }
    None
}
