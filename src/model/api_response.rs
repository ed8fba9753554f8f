//! The response bodies of the JSON endpoints. Members have FusionAuth's names where FusionAuth has
//! the same member.

use serde::Serialize;
use serde_json::{Map, Value};

use super::identity::Identity;
use super::timestamp::Timestamp;
use super::token::IssuedTokens;

/// The body of a `200` response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ApiResponse {
    /// The response of `GET /api/user`.
    CurrentUser(CurrentUser),
    /// The response of `POST /api/login` and its steps.
    Login(SignedInUser),
    /// The response of `POST /api/refresh`, for a client that is not a browser.
    Tokens(TokenResponse),
    /// The response of `GET /app/me`: claims of the access token. Empty for `POST /app/refresh`.
    Claims(Map<String, Value>),
}

/// A user, as the JSON endpoints return them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The provider's identifier of the user: the `sub` claim.
    pub id: String,
    /// The e-mail address; `null` where the token has none.
    pub email: Option<String>,
    /// Whether the provider verified that the address is the user's.
    pub email_verified: bool,
    /// The username; `null` where the token has none.
    pub username: Option<String>,
    /// The user's roles, in the provider's order.
    pub roles: Vec<String>,
}

/// The user who is logged in, and the expiry of their access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CurrentUser {
    /// The user who is logged in.
    pub user: User,
    /// When the access token expires, in milliseconds since the Unix epoch.
    pub expires_instant: u64,
}

/// The user who has just logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignedInUser {
    /// The user who has just logged in.
    pub user: User,
    /// The tokens, for a client that asked for `"tokens": "body"` and is not a browser.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenResponse>,
}

/// Tokens in a response body. `Debug` prints the expiry alone.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "edge", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenResponse {
    /// The access token, as the provider issued it.
    pub token: String,
    /// The sealed refresh token; absent where the provider issues none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the access token expires, in milliseconds since the Unix epoch.
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
    /// The tokens `issued`. `presented` is the refresh token that the client keeps where it was
    /// issued no new one.
    #[must_use]
    pub fn new(issued: &IssuedTokens, expires: Timestamp, presented: Option<&str>) -> Self {
        Self {
            token: issued.token.as_ref().to_owned(),
            refresh_token: issued.refresh.as_deref().or(presented).map(str::to_owned),
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
    fn the_members_have_the_documented_names() {
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
    fn a_refresh_token_that_did_not_change_is_returned_again() {
        let kind = CredentialKind::Bearer;
        let issued = IssuedTokens {
            kind,
            token: "leaky".into(),
            refresh: None,
            remember: true,
        };
        let tokens = TokenResponse::new(&issued, Timestamp::from_secs(2), Some("leaky R"));
        assert_eq!(tokens.refresh_token.as_deref(), Some("leaky R"));
        let shown = format!("TokenResponse(until {})", tokens.token_expiration_instant);
        assert_eq!(format!("{tokens:?}"), shown);
    }
}
