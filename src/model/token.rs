//! Tokens as the provider issues them, and what a verified one proves.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::credential::CredentialKind;
use super::identity::Identity;
use super::known_device::SealedDevice;
use super::secret::Secret;
use super::timestamp::Timestamp;

/// What the provider hands out at a sign-in or a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// The JWT, in compact form.
    pub access: Secret,
    /// The long-lived secret; absent where the application is set up without refresh tokens.
    pub refresh: Option<Secret>,
}

/// Why an access token, or the session that keeps one, proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It was good until its `exp`; a session that is over, or that nobody knows any more.
    Expired,
    /// It is not a token of this provider for this application, or is malformed; no session id at
    /// all.
    Invalid,
    /// It was signed out or revoked before its `exp`.
    Revoked,
}

/// What revocation speaks of: one sign-in, known by the token's `sid`, else its `jti`, else a hash
/// of the token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RevocationKey(pub String);

/// A person with a verified access token: everything the request path needs, worked out once per
/// token.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Who.
    pub identity: Identity,
    /// The token's `iat`; the moment of verification where the token has none.
    pub issued_at: Timestamp,
    /// The token's `exp`.
    pub expires_at: Timestamp,
    /// What a sign-out of this visitor revokes.
    pub revocation_key: RevocationKey,
    /// The identity headers for the token's site, rendered.
    pub identity_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Principal {
    /// Whether the token has ended by `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Whether the token ends within `ahead` of `now`; `ahead` counts for at most a third of the
    /// token's life, or a short-lived token would be renewed on every request.
    #[must_use]
    pub fn expires_within(&self, ahead: Duration, now: Timestamp) -> bool {
        let third = self.issued_at.until(self.expires_at) / 3;
        now.until(self.expires_at) <= ahead.min(third)
    }
}

/// A server-side session that is alive.
#[derive(Clone)]
pub struct Session {
    /// Whom it belongs to.
    pub principal: Arc<Principal>,
    /// The access token, where the application is to have it.
    pub access: Option<Arc<str>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Session({:?})", self.principal.revocation_key)
    }
}

/// What the visitor will carry: the refresh token is sealed already.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedTokens {
    /// How it is carried.
    pub kind: CredentialKind,
    /// The JWT, as issued; for [`CredentialKind::Session`] the id of the session that keeps it.
    pub token: Arc<str>,
    /// The sealed refresh token; `None` where the visitor keeps the one they have.
    pub refresh: Option<Arc<str>>,
    /// Whether the cookies outlive the browser.
    pub remember: bool,
}

impl IssuedTokens {
    /// When the JWT among them ends, as it says itself: it was verified before it was issued.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        use base64::Engine as _;
        let payload = self.token.split('.').nth(1)?;
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
        let end = claims.get("exp")?;
        // A date may have a fraction (RFC 7519, section 2).
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

/// A renewal that succeeded, now or a moment ago for another request.
#[derive(Clone)]
pub struct CompletedRefresh {
    /// What the visitor carries from now on.
    pub tokens: IssuedTokens,
    /// Whom the new access token proves.
    pub principal: Arc<Principal>,
    /// The new access token, however it is carried.
    pub access: Arc<str>,
}

impl std::fmt::Debug for CompletedRefresh {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "Renewed({:?}, {:?})",
            self.tokens, self.principal.revocation_key
        )
    }
}

/// A sign-in that succeeded.
#[derive(Clone, Debug)]
pub struct CompletedLogin {
    /// What the visitor carries from now on.
    pub tokens: IssuedTokens,
    /// Who signed in.
    pub principal: Arc<Principal>,
    /// The sealed device that the browser keeps from now on; `None` for clients that keep no
    /// cookies.
    pub device: Option<SealedDevice>,
}
