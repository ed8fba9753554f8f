//! Authentication of clients at the token and revocation endpoints: `client_secret_basic` and
//! `client_secret_post` (RFC 6749, section 2.3.1).

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::clients::{OpenIdSettings, RegisteredClient};
use super::form_parameters::FormParameters;
use crate::embedded::fusionauth_api::json_response::json_response;

/// The credentials that a client presents.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The `client_id`.
    pub id: String,
    /// The `client_secret`, if there is one.
    pub secret: Option<String>,
}

/// The credentials are not readable, or there are several.
#[derive(Debug, PartialEq, Eq)]
pub struct CredentialsError;

impl ClientCredentials {
    /// The credentials of a request, if it has any.
    ///
    /// # Errors
    /// If they are malformed, or contradict each other.
    pub fn of(
        headers: &HeaderMap,
        form: &FormParameters,
    ) -> Result<Option<Self>, CredentialsError> {
        let in_form = form.get("client_id");
        let Some(field) = headers.get(AUTHORIZATION) else {
            return Ok(in_form.map(|id| Self {
                id: id.to_owned(),
                secret: form.get("client_secret").map(ToOwned::to_owned),
            }));
        };
        let basic = parse_basic(field).ok_or(CredentialsError)?;
        let is_repeated = form.get("client_secret").is_some();
        if is_repeated || in_form.is_some_and(|id| id != basic.id) {
            return Err(CredentialsError);
        }
        Ok(Some(basic))
    }

    /// The client whose secret these are.
    pub fn authenticate(&self, settings: &OpenIdSettings) -> Option<Arc<RegisteredClient>> {
        let client = settings.client(&self.id)?;
        let secret = self.secret.as_deref()?;
        client.has_secret(secret).then(|| Arc::clone(client))
    }
}

/// Both halves are encoded as in a form before they are joined.
fn parse_basic(field: &HeaderValue) -> Option<ClientCredentials> {
    let (scheme, encoded) = field.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8().ok()?;
        Some(decoded.into_owned())
    };
    let id = decode(id).filter(|id| !id.is_empty())?;
    let secret = decode(secret)?;
    Some(ClientCredentials {
        id,
        secret: Some(secret).filter(|secret| !secret.is_empty()),
    })
}

/// An error response of the token endpoint (RFC 6749, section 5.2). `reason` is FusionAuth's
/// `error_reason`.
pub fn oauth_error(error: &str, reason: &str) -> Response {
    let body = json!({
        "error": error,
        "error_reason": reason,
        "error_description": format!("The request is refused: {reason}."),
    });
    json_response(StatusCode::BAD_REQUEST, &body)
}

/// `invalid_client`: 401 with a challenge.
pub fn invalid_client() -> Response {
    let mut response = oauth_error("invalid_client", "invalid_client_credentials");
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let challenge = HeaderValue::from_static("Basic realm=\"OAuth\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(
        authorization: Option<&str>,
        form: &str,
    ) -> Result<Option<ClientCredentials>, CredentialsError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = authorization {
            headers.insert(AUTHORIZATION, text.parse().unwrap());
        }
        ClientCredentials::of(&headers, &FormParameters::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn credentials_are_in_one_place() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let expected = |id: &str, secret: Option<&str>| {
            Ok(Some(ClientCredentials {
                id: id.to_owned(),
                secret: secret.map(ToOwned::to_owned),
            }))
        };
        let form = "client_id=a&client_secret=b";
        assert_eq!(credentials(None, form), expected("a", Some("b")));
        assert_eq!(credentials(None, "client_id=a"), expected("a", None));
        assert_eq!(credentials(None, ""), Ok(None));
        let a_b = basic("a:b");
        assert_eq!(credentials(Some(&a_b), ""), expected("a", Some("b")));
        assert_eq!(
            credentials(Some(&a_b), "client_id=a"),
            expected("a", Some("b"))
        );
        let encoded = basic("a%3Ab:c+%25");
        assert_eq!(
            credentials(Some(&encoded), ""),
            expected("a:b", Some("c %"))
        );
        let lower = a_b.replace("Basic", "basic");
        assert_eq!(credentials(Some(&lower), ""), expected("a", Some("b")));
        assert_eq!(credentials(Some(&basic("a:")), ""), expected("a", None));
        for (authorization, form) in [
            (a_b.as_str(), form),
            (&a_b, "client_id=other"),
            ("Bearer x", ""),
            ("Basic !", ""),
            (&basic("nothing"), ""),
        ] {
            let found = credentials(Some(authorization), form);
            assert_eq!(found, Err(CredentialsError), "{authorization} {form}");
        }
    }
}
