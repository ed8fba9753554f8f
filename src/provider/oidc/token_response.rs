//! The answers of the token endpoint (RFC 6749, section 5).
//!
//! Only `invalid_grant` under the status 400 or 401 is a no. Everything else is a mistake of the
//! configuration, or no answer at all: the error page of a proxy signs nobody out.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{misconfigured, refused, unexpected};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::TokenPair;
use crate::provider::ProviderError;
use crate::provider::http_client::Response;

/// What the token endpoint was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// The tokens for an authorization code.
    Code,
    /// The tokens for a name and a password.
    Password,
    /// New tokens for a refresh token.
    Refresh,
}

/// The tokens of a response.
pub(super) struct TokenAnswer {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub id_token: Option<Secret>,
    pub expires: Option<Timestamp>,
}

impl TokenAnswer {
    /// The pair, with the refresh token `old` where the response has none.
    pub fn into_pair(self, old: Option<&Secret>) -> TokenPair {
        TokenPair {
            access: self.access,
            refresh: self.refresh.or_else(|| old.cloned()),
            id_token: self.id_token,
            access_expires: self.expires,
        }
    }
}

#[derive(Deserialize)]
struct Success {
    access_token: String,
    token_type: String,
    /// A number; some servers write it as text.
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// Reads the answer that arrived at `now`.
///
/// # Errors
/// As the traits of the room say for the calls.
pub(super) fn read_tokens(
    grant: Grant,
    response: &Response,
    now: Timestamp,
) -> Result<TokenAnswer, ProviderError> {
    let status = response.status.as_u16();
    if status == 200 {
        return read_success(&response.body, now);
    }
    if !(400..500).contains(&status) || status == 429 {
        return Err(unexpected(status));
    }
    // The parser's error is dropped: it quotes the body.
    let failure: Option<Failure> = serde_json::from_slice(&response.body).ok();
    Err(match failure {
        Some(failure) => failed(grant, status, &failure.error),
        // Some servers refuse a password without a word.
        None if grant == Grant::Password && status == 403 => refused(Reason::InvalidCredentials),
        None if status == 401 => misconfigured("the provider does not accept the client"),
        None => unexpected(status),
    })
}

fn read_success(body: &[u8], now: Timestamp) -> Result<TokenAnswer, ProviderError> {
    let success: Success = serde_json::from_slice(body).map_err(|_| {
        ProviderError::Unavailable("the response is not the documented JSON".into())
    })?;
    if !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err(misconfigured("the provider issues no bearer tokens"));
    }
    let non_empty = |text: String| (!text.is_empty()).then(|| Secret::new(text));
    let access = non_empty(success.access_token)
        .ok_or_else(|| misconfigured("a success without an access token"))?;
    Ok(TokenAnswer {
        access,
        refresh: success.refresh_token.and_then(non_empty),
        id_token: success.id_token.and_then(non_empty),
        expires: success
            .expires_in
            .as_ref()
            .and_then(seconds)
            .map(|lifetime| now.plus(lifetime)),
    })
}

/// A lifetime in seconds; `None` for what is none.
fn seconds(value: &Value) -> Option<Duration> {
    let text = || value.as_str()?.parse().ok();
    let seconds = value.as_u64().or_else(text)?;
    Some(Duration::from_secs(seconds.min(u64::from(u32::MAX))))
}

/// What an error code means for whoever asked.
fn failed(grant: Grant, status: u16, error: &str) -> ProviderError {
    let is_no = matches!(status, 400 | 401) && error == "invalid_grant";
    match (grant, error) {
        (Grant::Refresh, _) if is_no => ProviderError::Refused(LoginRefused {
            provider_status: Some(status),
            provider_error: Some("invalid_grant"),
            ..LoginRefused::new(Reason::SignedOut)
        }),
        (Grant::Code, _) if is_no => refused(Reason::SignInFailed),
        (Grant::Password, _) if is_no => refused(Reason::InvalidCredentials),
        (Grant::Password, "invalid_grant") if status == 403 => refused(Reason::InvalidCredentials),
        // The password was right, and the provider wants what the password grant cannot give.
        (Grant::Password, "access_denied" | "mfa_required" | "interaction_required") => {
            refused(Reason::LoginPrevented)
        }
        (_, "invalid_client" | "unauthorized_client") => misconfigured(
            "the provider does not accept the client: compare client_id and its secret or key",
        ),
        (_, "unsupported_grant_type") => {
            misconfigured("the provider does not allow the client this grant type")
        }
        (_, "invalid_scope") => misconfigured("the provider does not know one of the scopes"),
        (_, "invalid_request" | "invalid_target") => {
            misconfigured("the provider does not accept the request: compare the redirect URI")
        }
        (_, _) => unexpected(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    const NOW: Timestamp = Timestamp::from_secs(100);

    fn answer(grant: Grant, status: u16, body: &str) -> Result<TokenAnswer, ProviderError> {
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        read_tokens(grant, &response, NOW)
    }

    #[test]
    fn tokens_are_read_whatever_the_case_of_their_type() {
        for (expires_in, expires) in [
            ("60", Some(160)),
            ("\"60\"", Some(160)),
            ("null", None),
            ("-1", None),
        ] {
            let body = format!(
                r#"{{"access_token":"A","token_type":"bearer","expires_in":{expires_in},"id_token":"I"}}"#
            );
            let pair = answer(Grant::Refresh, 200, &body)
                .unwrap()
                .into_pair(Some(&Secret::new("R")));
            assert_eq!(pair.access.expose(), "A");
            assert_eq!(pair.refresh, Some(Secret::new("R")), "the old one stays");
            assert_eq!(pair.id_token, Some(Secret::new("I")));
            assert_eq!(pair.access_expires, expires.map(Timestamp::from_secs));
        }
        let rotated = r#"{"access_token":"A","token_type":"Bearer","refresh_token":"S"}"#;
        let pair = answer(Grant::Refresh, 200, rotated)
            .unwrap()
            .into_pair(Some(&Secret::new("R")));
        assert_eq!(pair.refresh, Some(Secret::new("S")));
    }

    #[test]
    fn a_success_that_cannot_be_used_is_none() {
        for body in [
            r#"{"access_token":"leaky","token_type":"DPoP"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
        ] {
            let failure = answer(Grant::Code, 200, body).err().unwrap();
            assert!(matches!(failure, ProviderError::Misconfigured(_)), "{body}");
        }
        for body in [
            "",
            "<html>",
            r#"{"access_token":"leaky"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
        ] {
            let failure = answer(Grant::Code, 200, body).err().unwrap();
            assert!(
                matches!(&failure, ProviderError::Unavailable(why) if !why.contains("leaky")),
                "{body}"
            );
        }
    }

    #[test]
    fn invalid_grant_alone_is_a_no() {
        let no = r#"{"error":"invalid_grant","error_description":"x"}"#;
        for (grant, reason) in [
            (Grant::Refresh, Reason::SignedOut),
            (Grant::Code, Reason::SignInFailed),
            (Grant::Password, Reason::InvalidCredentials),
        ] {
            for status in [400, 401] {
                let Err(ProviderError::Refused(refused)) = answer(grant, status, no) else {
                    panic!("{grant:?} {status}");
                };
                assert_eq!(refused.reason, reason);
            }
        }
        for (status, body) in [
            (403, no),
            (404, no),
            (500, no),
            (503, no),
            (429, no),
            (302, no),
            (400, ""),
            (400, "<html>invalid_grant</html>"),
            (400, r#"{"error":"temporarily_unavailable"}"#),
        ] {
            let failure = answer(Grant::Refresh, status, body).err().unwrap();
            assert!(
                matches!(failure, ProviderError::Unavailable(_)),
                "{status} {body}"
            );
        }
        for (status, body) in [
            (401, ""),
            (401, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"unauthorized_client"}"#),
            (400, r#"{"error":"unsupported_grant_type"}"#),
            (400, r#"{"error":"invalid_request"}"#),
            (400, r#"{"error":"invalid_scope"}"#),
        ] {
            let failure = answer(Grant::Refresh, status, body).err().unwrap();
            assert!(
                matches!(failure, ProviderError::Misconfigured(_)),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_password_may_be_refused_without_a_word() {
        let reason = |status, body| match answer(Grant::Password, status, body) {
            Err(ProviderError::Refused(refused)) => Some(refused.reason),
            _ => None,
        };
        assert_eq!(reason(403, ""), Some(Reason::InvalidCredentials));
        assert_eq!(
            reason(403, r#"{"error":"mfa_required"}"#),
            Some(Reason::LoginPrevented)
        );
        assert_eq!(reason(500, ""), None);
    }
}
