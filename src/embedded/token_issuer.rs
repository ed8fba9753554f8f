//! Access tokens: their claims, and how they are issued.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids;
use super::signing::SigningKey;
use super::users::User;
use crate::model::timestamp::Timestamp;

/// How the user authenticated, in FusionAuth's terms (`authenticationType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationType {
    /// With a password, followed by a second-factor code if the user has a second factor.
    Password,
    /// With the one-time password that a change of password returns.
    OneTimePassword,
    /// With a refresh token, which continues an earlier login.
    RefreshToken,
}

/// The claims of an access token. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The application's id, if the login named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// The time from which the token is no longer valid.
    pub exp: u64,
    /// The time of issue, in whole seconds.
    pub iat: u64,
    /// The issuer: this server.
    pub iss: String,
    /// The user's id, which never changes.
    pub sub: String,
    /// The id of this token, a random UUID.
    pub jti: String,
    /// How the user signed in, or `REFRESH_TOKEN` for a refreshed token.
    #[serde(rename = "authenticationType")]
    pub authentication_type: AuthenticationType,
    /// The user's e-mail address, as in the users file.
    pub email: String,
    /// Whether the e-mail address is verified.
    pub email_verified: bool,
    /// The username, if the user has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// The full name, if the users file has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The given name, if the users file has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// The family name, if the users file has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The application's id, if the user is registered for it.
    #[serde(rename = "applicationId", skip_serializing_if = "Option::is_none")]
    pub application_id: Option<String>,
    /// The user's roles in the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The session's id, if the login started a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The time of the login. A refresh does not change it.
    pub auth_time: u64,
    /// The tenant's id. This server has one tenant.
    pub tid: String,
}

/// An access token with its claims.
pub struct AccessToken {
    /// The JWT.
    pub token: String,
    /// What it says.
    pub claims: Claims,
}

/// What an access token is issued for.
#[derive(Clone, Debug)]
pub struct TokenSubject<'a> {
    /// The user that the token identifies.
    pub user: &'a User,
    /// The application that it is for.
    pub application: Option<&'a str>,
    /// The id of the session that the token belongs to.
    pub session: Option<&'a str>,
    /// The time of the login.
    pub signed_in: Timestamp,
    /// How the user authenticated for this token.
    pub authentication: AuthenticationType,
}

/// Issues access tokens, and verifies its own.
pub struct TokenIssuer {
    key: SigningKey,
    name: String,
    tenant: String,
    lifetime: Duration,
}

impl TokenIssuer {
    /// Issues tokens with `name` as `iss` that are valid for `lifetime`.
    #[must_use]
    pub fn new(key: SigningKey, name: String, lifetime: Duration) -> Self {
        let tenant = ids::uuid_of_name(&format!("tenant {name}"));
        Self {
            key,
            name,
            tenant,
            lifetime,
        }
    }

    /// The `iss` claim of the tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tenant's id, which is derived from the issuer's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The time from `iat` to `exp`.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The key that signs the tokens.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Issues a token for `subject`. A `lifetime` can only shorten the usual one.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub fn issue(
        &self,
        subject: &TokenSubject<'_>,
        lifetime: Option<Duration>,
        now: Timestamp,
    ) -> std::io::Result<AccessToken> {
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
            name: user.name.clone(),
            given_name: user.given_name.clone(),
            family_name: user.family_name.clone(),
            application_id: registered.map(ToOwned::to_owned),
            roles: registered.map(|application| user.roles_in(application)),
            sid: subject.session.map(ToOwned::to_owned),
            auth_time: subject.signed_in.secs(),
            tid: self.tenant.clone(),
        };
        Ok(AccessToken {
            token: self.key.sign(&claims)?,
            claims,
        })
    }

    /// The claims of a token that this server issued and that has not expired.
    #[must_use]
    pub fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims: Claims = serde_json::from_slice(&self.key.verified(token)?).ok()?;
        (claims.iss == self.name && claims.exp > now.secs()).then_some(claims)
    }
}
