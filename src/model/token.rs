//! Tokens and sessions: as the provider issues them, as clients hold them, and what a verified one
//! proves.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::credential::CredentialKind;
use super::identity::Identity;
use super::known_device::SealedDevice;
use super::reason::Reason;
use super::secret::Secret;
use super::timestamp::Timestamp;

/// The tokens that the provider issues at a login or a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// The access token: a JWT in compact form, or what only the provider can read.
    pub access: Secret,
    /// The refresh token; `None` where the provider issues none for the application.
    pub refresh: Option<Secret>,
    /// The ID token (OpenID Connect Core, section 2), where the provider issues one.
    pub id_token: Option<Secret>,
    /// When the access token expires, where the provider says so beside the token.
    pub access_expires: Option<Timestamp>,
}

impl TokenPair {
    /// Tokens of a provider that issues no ID token.
    #[must_use]
    pub const fn new(access: Secret, refresh: Option<Secret>) -> Self {
        Self {
            access,
            refresh,
            id_token: None,
            access_expires: None,
        }
    }
}

/// Why an access token or a session does not tell who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token is past its `exp`; the session has expired or is unknown.
    Expired,
    /// The token is malformed, or not one of this provider for this application; the session id has
    /// not the form of one.
    Invalid,
    /// It was revoked, by a logout or at the provider.
    Revoked,
    /// The token names a key that is unknown, and the provider was asked for its keys too recently
    /// to be asked again: it may have new ones.
    UnknownKey,
}

/// What a revocation names: one login, by the access token's `sid`, else its `jti`, else a hash of
/// the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RevocationKey(pub String);

/// A user with a verified access token: everything that a request needs, computed once per token.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The user, as the claims of the token describe them.
    pub identity: Identity,
    /// When the token was issued: its `iat`, or the time of verification where it has none.
    pub issued_at: Timestamp,
    /// When the token expires: its `exp`.
    pub expires_at: Timestamp,
    /// What a logout of this user revokes.
    pub revocation_key: RevocationKey,
    /// The rendered identity headers of the token's site.
    pub identity_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Principal {
    /// The `iat` of the claims, by the clock of the provider; `None` where they have none. Where an
    /// ID token tells the claims, it is that of the ID token: what the provider ended is compared
    /// with it, and the clock of the gateway may be another.
    #[must_use]
    pub fn issued(&self) -> Option<Timestamp> {
        let iat = self.identity.claims.get("iat")?;
        let since = match iat.as_u64() {
            Some(seconds) => Duration::from_secs(seconds),
            None => Duration::try_from_secs_f64(iat.as_f64()?).ok()?,
        };
        Some(Timestamp::from_secs(0).plus(since))
    }

    /// Whether the token is expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Whether the token expires within `window` from `now`. At most a third of the token's
    /// lifetime counts, or a short-lived token would be refreshed on every request.
    #[must_use]
    pub fn expires_within(&self, window: Duration, now: Timestamp) -> bool {
        let third = self.issued_at.until(self.expires_at) / 3;
        now.until(self.expires_at) <= window.min(third)
    }
}

/// A server-side session that has not expired.
#[derive(Clone)]
pub struct Session {
    /// The user that the access token proves.
    pub principal: Arc<Principal>,
    /// The access token, where the site sends it upstream.
    pub access: Option<Arc<str>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Session({:?})", self.principal.revocation_key)
    }
}

/// The tokens that a client gets. The refresh token is sealed. `Debug` prints none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedTokens {
    /// How the client will present them.
    pub kind: CredentialKind,
    /// The JWT, as issued; for [`CredentialKind::Session`] the id of the session that holds it.
    pub token: Arc<str>,
    /// The sealed refresh token; `None` where the client keeps the one it has.
    pub refresh: Option<Arc<str>>,
    /// Whether the cookies outlive the browser session.
    pub remember: bool,
}

impl IssuedTokens {
    /// The expiry of the JWT, by its own `exp`. It is not verified again here.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        use base64::Engine as _;
        let payload = self.token.split('.').nth(1)?;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let end = claims.get("exp")?;
        // A NumericDate may have a fraction (RFC 7519, section 2).
        let whole = || {
            Duration::try_from_secs_f64(end.as_f64()?)
                .ok()
                .map(|end| end.as_secs())
        };
        end.as_u64().or_else(whole).map(Timestamp::from_secs)
    }
}

impl std::fmt::Debug for IssuedTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "IssuedTokens({:?}, remember: {})",
            self.kind, self.remember
        )
    }
}

/// A refresh that succeeded, for this request or a moment ago for another one.
#[derive(Clone)]
pub struct CompletedRefresh {
    /// The tokens that the client gets.
    pub tokens: IssuedTokens,
    /// The user of the new access token.
    pub principal: Arc<Principal>,
    /// The new access token.
    pub access: Arc<str>,
}

impl std::fmt::Debug for CompletedRefresh {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "CompletedRefresh({:?}, {:?})",
            self.tokens, self.principal.revocation_key
        )
    }
}

/// A login with Basic credentials that succeeded, for this request or for an earlier one.
#[derive(Clone)]
pub struct BasicLogin {
    /// The user that the access token proves.
    pub principal: Arc<Principal>,
    /// The access token.
    pub access: Arc<str>,
    /// `signed_in`, or `renewed` or `renewed_from_invalid` where this request refreshed the token.
    pub reason: Reason,
}

impl std::fmt::Debug for BasicLogin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "BasicLogin({:?})", self.principal.revocation_key)
    }
}

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct CompletedLogin {
    /// The tokens that the client gets.
    pub tokens: IssuedTokens,
    /// The user that the access token proves.
    pub principal: Arc<Principal>,
    /// The device cookie; `None` for clients that keep no cookies.
    pub device: Option<SealedDevice>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};

    fn issued(iat: Option<Value>) -> Option<Timestamp> {
        let claims = iat.map(|iat| ("iat".to_owned(), iat));
        let principal = Principal {
            identity: Identity {
                sub: "u1".into(),
                email: None,
                email_verified: false,
                username: None,
                roles: Vec::new(),
                claims: Map::from_iter(claims),
            },
            // The clock of the gateway is ahead.
            issued_at: Timestamp::from_secs(2000),
            expires_at: Timestamp::from_secs(3000),
            revocation_key: RevocationKey("sid".into()),
            identity_headers: Vec::new(),
        };
        principal.issued()
    }

    #[test]
    fn debug_shows_no_token() {
        let principal = Arc::new(Principal {
            identity: Identity::from_claims(Map::from_iter([("sub".to_owned(), json!("u1"))]))
                .unwrap(),
            issued_at: Timestamp::from_secs(2000),
            expires_at: Timestamp::from_secs(3000),
            revocation_key: RevocationKey("sid".into()),
            identity_headers: Vec::new(),
        });
        let access: Arc<str> = Arc::from("hush");
        let session = Session {
            principal: Arc::clone(&principal),
            access: Some(Arc::clone(&access)),
        };
        let tokens = IssuedTokens {
            kind: CredentialKind::Jwt,
            token: Arc::clone(&access),
            refresh: Some(Arc::clone(&access)),
            remember: true,
        };
        let login = BasicLogin {
            principal: Arc::clone(&principal),
            access: Arc::clone(&access),
            reason: Reason::SignedIn,
        };
        let refresh = CompletedRefresh {
            tokens: tokens.clone(),
            principal,
            access,
        };
        let key = "RevocationKey(\"sid\")";
        for (shown, expected) in [
            (format!("{session:?}"), format!("Session({key})")),
            (
                format!("{tokens:?}"),
                "IssuedTokens(Jwt, remember: true)".to_owned(),
            ),
            (
                format!("{refresh:?}"),
                format!("CompletedRefresh(IssuedTokens(Jwt, remember: true), {key})"),
            ),
            (format!("{login:?}"), format!("BasicLogin({key})")),
        ] {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn the_provider_tells_when_the_claims_were_issued() {
        assert_eq!(issued(Some(json!(1000))), Some(Timestamp::from_secs(1000)));
        let half = Some(Timestamp::from_millis(1_000_500));
        assert_eq!(issued(Some(json!(1000.5))), half);
        assert_eq!(issued(None), None);
    }
}
