//! Access tokens: what they claim, and how they are made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids;
use super::signing::SigningKey;
use super::users::User;
use crate::model::timestamp::Timestamp;

/// How somebody proved who they are; FusionAuth's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authentication {
    /// With a password, and a code where one is asked for.
    Password,
    /// With the one-time password that follows a change of password.
    OneTimePassword,
    /// With a refresh token.
    RefreshToken,
}

/// The claims of an access token; times in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The application; absent when the sign-in named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Not good from then on.
    pub exp: u64,
    /// When it was made.
    pub iat: u64,
    /// This server.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// This token's id.
    pub jti: String,
    /// How they signed in, or that this token is a renewed one.
    #[serde(rename = "authenticationType")]
    pub authentication_type: Authentication,
    /// Their address.
    pub email: String,
    /// Whether the address is known to be theirs.
    pub email_verified: bool,
    /// Their username, where they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The application, where they are registered for it.
    #[serde(rename = "applicationId", skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// Their roles there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The session, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When they signed in; renewing does not change it.
    pub auth_time: u64,
    /// The tenant: one and the same for this server.
    pub tid: String,
}

/// What an access token is made for.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Whom it proves.
    pub user: &'a User,
    /// Where to.
    pub application: Option<&'a str>,
    /// The session it belongs to.
    pub session: Option<&'a str>,
    /// When they signed in.
    pub signed_in: Timestamp,
    /// How they proved themselves now.
    pub authentication: Authentication,
}

/// Makes access tokens.
pub struct Issuer {
    key: SigningKey,
    name: String,
    tenant: String,
    lifetime: Duration,
}

impl Issuer {
    /// Makes tokens with `name` as `iss` that live for `lifetime`.
    #[must_use]
    pub fn new(key: SigningKey, name: String, lifetime: Duration) -> Self {
        let tenant = ids::stable_uuid(&format!("tenant {name}"));
        Self {
            key,
            name,
            tenant,
            lifetime,
        }
    }

    /// The `iss` of the tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the one tenant.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// From `iat` to `exp`.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The key they are signed with.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A token for `subject` and when it expires, living for `lifetime` where that is shorter than
    /// usual.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn issue(
        &self,
        subject: &Subject<'_>,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> std::io::Result<(String, Timestamp)> {
        let expires = now.plus(lifetime.unwrap_or(self.lifetime).min(self.lifetime));
        let user = subject.user;
        let registered = subject
            .application
            .filter(|application| user.is_registered(application));
        let claims = Claims {
            aud: subject.application.map(ToOwned::to_owned),
            exp: expires.secs(),
            iat: now.secs(),
            iss: self.name.clone(),
            sub: user.id.clone(),
            jti: ids::random_uuid(),
            authentication_type: subject.authentication,
            email: user.email.clone(),
            email_verified: user.email_verified,
            preferred_username: user.username.clone(),
            application_id: registered.map(ToOwned::to_owned),
            roles: registered.map(|application| user.roles_in(application)),
            sid: subject.session.map(ToOwned::to_owned),
            auth_time: subject.signed_in.secs(),
            tid: self.tenant.clone(),
        };
        Ok((
            self.key.sign(&claims)?,
            Timestamp::from_secs(expires.secs()),
        ))
    }

    /// The claims of a token that was made here and has not expired.
    #[must_use]
    pub fn verified(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims: Claims = serde_json::from_slice(&self.key.verified(token)?).ok()?;
        (claims.iss == self.name && claims.exp > now.secs()).then_some(claims)
    }
}
