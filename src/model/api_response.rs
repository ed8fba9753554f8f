//! What the JSON endpoints answer; the names of the members are FusionAuth's where it has them.

use serde::Serialize;
use serde_json::{Map, Value};

use super::identity::Identity;
use super::timestamp::Timestamp;
use super::token::IssuedTokens;

/// The body of a `200`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ApiResponse {
    /// `GET /api/user`.
    CurrentUser(CurrentUser),
    /// `POST /api/login`.
    Login(SignedInUser),
    /// `POST /api/refresh` of a client that is no browser.
    Tokens(TokenResponse),
    /// `GET /app/me`: claims as the token has them. Without any, `POST /app/refresh`.
    Claims(Map<String, Value>),
}

/// A person as programs see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The provider's identifier, the `sub` of the token.
    pub id: String,
    /// `null` where the token has none.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is the person's.
    pub email_verified: bool,
    /// `null` where the token has none.
    pub username: Option<String>,
    /// In the provider's order.
    pub roles: Vec<String>,
}

/// Who is signed in, and until when without a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CurrentUser {
    /// Who.
    pub user: User,
    /// When the access token ends, in milliseconds since the Unix epoch.
    pub expires_instant: u64,
}

/// Who has just signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignedInUser {
    /// Who.
    pub user: User,
    /// Only for a client that asked for `"tokens": "body"` and is no browser.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenResponse>,
}

/// Tokens in a body. `Debug` keeps them to itself.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenResponse {
    /// The access token.
    pub token: String,
    /// The sealed refresh token; left out where the provider gives none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token ends, in milliseconds since the Unix epoch.
    pub token_expiration_instant: u64,
}

impl From<&Identity> for User {
    fn from(identity: &Identity) -> Self {
        Self {
            id: identity.sub.clone(),
            email: identity.email.clone(),
            email_verified: identity.email_verified,
            username: identity.username.clone(),
            roles: identity.roles.clone(),
        }
    }
}

impl TokenResponse {
    /// `issued` as they stand in a body; `kept` is the refresh token that the client goes on with
    /// where it was given no new one.
    #[must_use]
    pub fn new(issued: &IssuedTokens, expires: Timestamp, kept: Option<&str>) -> Self {
        Self {
            token: issued.token.as_ref().to_owned(),
            refresh_token: issued.refresh.as_deref().or(kept).map(str::to_owned),
            token_expiration_instant: expires.millis(),
        }
    }
}

impl std::fmt::Debug for TokenResponse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "TokenResponse(until {})",
            self.token_expiration_instant
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::CredentialKind;
    use serde_json::json;

    fn ann() -> User {
        let claims = json!({ "sub": "u1", "email": "ann@example.com", "email_verified": true, "roles": ["admin"] });
        User::from(&Identity::from_claims(claims.as_object().unwrap().clone()).unwrap())
    }

    #[test]
    fn the_members_are_those_of_the_contract() {
        let user = json!({
            "id": "u1", "email": "ann@example.com", "emailVerified": true, "username": null, "roles": ["admin"],
        });
        let current = ApiResponse::CurrentUser(CurrentUser {
            user: ann(),
            expires_instant: 7,
        });
        assert_eq!(
            serde_json::to_value(current).unwrap(),
            json!({ "user": user, "expiresInstant": 7 })
        );
        let signed_in = SignedInUser {
            user: ann(),
            tokens: None,
        };
        assert_eq!(
            serde_json::to_value(ApiResponse::Login(signed_in)).unwrap(),
            json!({ "user": user })
        );
        let kind = CredentialKind::Bearer;
        let issued = IssuedTokens {
            kind,
            token: "A".into(),
            refresh: Some("R".into()),
            remember: true,
        };
        let tokens = TokenResponse::new(&issued, Timestamp::from_secs(2), None);
        let fields = json!({ "token": "A", "refreshToken": "R", "tokenExpirationInstant": 2000 });
        assert_eq!(
            serde_json::to_value(ApiResponse::Tokens(tokens.clone())).unwrap(),
            fields
        );
        let signed_in = SignedInUser {
            user: ann(),
            tokens: Some(tokens),
        };
        let mut all = fields;
        all["user"] = user;
        assert_eq!(
            serde_json::to_value(ApiResponse::Login(signed_in)).unwrap(),
            all
        );
    }

    #[test]
    fn a_refresh_token_that_did_not_change_is_told_again() {
        let kind = CredentialKind::Bearer;
        let issued = IssuedTokens {
            kind,
            token: "leaky".into(),
            refresh: None,
            remember: true,
        };
        let tokens = TokenResponse::new(&issued, Timestamp::from_secs(2), Some("leaky R"));
        assert_eq!(tokens.refresh_token.as_deref(), Some("leaky R"));
        assert!(!format!("{tokens:?}").contains("leaky"));
    }
}
