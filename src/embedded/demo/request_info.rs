//! What a request said about its visitor: the headers, believed as they come.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;

/// Everything the application was told with one request.
#[derive(Debug, Serialize)]
pub struct RequestInfo {
    /// Who is there, where the gateway says so.
    pub visitor: Option<Visitor>,
    /// The gateway's name for this application.
    pub site: String,
    /// The address of this request, encoded for a query.
    pub here: String,
    /// Every header as it arrived, those about the visitor first.
    headers: Vec<Header>,
}

/// Somebody the gateway vouches for.
#[derive(Debug, Serialize)]
pub struct Visitor {
    /// Stays the same when everything else about the person changes.
    pub id: String,
    /// What to call them.
    pub name: String,
    /// Whether the stock list is worth a link.
    admin: bool,
}

#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: String,
    /// Whether it says who the visitor is.
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
            site: said(&parts.headers, "x-auth-site").unwrap_or_else(|| "nobody named".to_owned()),
            here: utf8_percent_encode(parts.uri.path(), NON_ALPHANUMERIC).to_string(),
            headers,
        })
    }
}

fn visitor(headers: &HeaderMap) -> Option<Visitor> {
    let id = said(headers, "x-auth-user-id")?;
    let name = said(headers, "x-auth-username").or_else(|| said(headers, "x-auth-email"));
    let roles = said(headers, "x-auth-roles").unwrap_or_default();
    Some(Visitor {
        name: name.unwrap_or_else(|| "visitor".to_owned()),
        admin: roles.split(',').any(|role| role == "admin"),
        id,
    })
}

/// A header's text; the gateway percent-encodes what is not ASCII.
fn said(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}
