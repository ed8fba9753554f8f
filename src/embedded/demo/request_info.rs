//! The request as the application received it: its headers, and the user that they identify. The
//! headers are trusted without verification, because only the gateway can reach the application.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;

use super::app_session::AppSession;

/// What the pages show about the current request.
#[derive(Debug, Serialize)]
pub struct RequestInfo {
    /// The signed-in user, if the request has identity headers.
    pub visitor: Option<Visitor>,
    /// The gateway's name for the site (`X-Auth-Site`).
    pub site: String,
    /// The path of this request, percent-encoded for a query.
    pub encoded_path: String,
    /// The application's own session, if there is one.
    pub app_session: Option<AppSession>,
    /// All headers as they arrived, the identity headers first.
    headers: Vec<Header>,
}

/// A user that the gateway has authenticated.
#[derive(Debug, Serialize)]
pub struct Visitor {
    /// The user's id (`X-Auth-User-Id`), which never changes.
    pub id: String,
    /// The username or else the e-mail address, for display.
    pub name: String,
    /// Whether the user has the role `admin`, so that the page links to the stock list.
    admin: bool,
}

#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: String,
    /// Whether it is an identity header.
    identity: bool,
}

impl<S: Sync> FromRequestParts<S> for RequestInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = parts.headers.iter().map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            identity: name.as_str().starts_with("x-auth-"),
        });
        let mut headers: Vec<Header> = headers.collect();
        headers.sort_by_key(|header| !header.identity);
        Ok(Self {
            visitor: visitor(&parts.headers),
            site: header_text(&parts.headers, "x-auth-site")
                .unwrap_or_else(|| "unknown".to_owned()),
            encoded_path: utf8_percent_encode(parts.uri.path(), NON_ALPHANUMERIC).to_string(),
            app_session: parts.extensions.get::<AppSession>().cloned(),
            headers,
        })
    }
}

/// The user that the headers identify.
pub fn visitor(headers: &HeaderMap) -> Option<Visitor> {
    let id = header_text(headers, "x-auth-user-id")?;
    let name =
        header_text(headers, "x-auth-username").or_else(|| header_text(headers, "x-auth-email"));
    let roles = header_text(headers, "x-auth-roles").unwrap_or_default();
    Some(Visitor {
        name: name.unwrap_or_else(|| "visitor".to_owned()),
        admin: roles.split(',').any(|role| role == "admin"),
        id,
    })
}

/// The value of a header. The gateway percent-encodes characters that are not ASCII.
fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}
