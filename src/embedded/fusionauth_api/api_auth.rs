//! Authentication of API callers: by API key, by access token, or not at all.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};

use super::api_error::ApiError;
use crate::embedded::ids;
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::Claims;

/// The authenticated caller of the API.
pub(super) enum ApiAuth {
    /// A client with the API key.
    ApiKey,
    /// A user with a valid access token.
    User(Box<Claims>),
    /// A caller without valid credentials.
    Anonymous,
}

impl ApiAuth {
    /// The caller according to `Authorization` (the API key alone, or `Bearer` and an access token)
    /// or the cookie `access_token`.
    pub(super) fn of(headers: &HeaderMap, state: &ServerState) -> Self {
        if require_api_key(headers, state).is_ok() {
            return Self::ApiKey;
        }
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let bearer = authorization
            .and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("JWT ")));
        let token = bearer
            .map(ToOwned::to_owned)
            .or_else(|| cookie(headers, "access_token"));
        let claims = token.and_then(|token| state.issuer().verify(&token, state.clock.now()));
        claims.map_or(Self::Anonymous, |claims| Self::User(Box::new(claims)))
    }

    /// Whether the caller may read and change the data of `user`.
    pub(super) fn may_access(&self, user: &str) -> bool {
        match self {
            Self::ApiKey => true,
            Self::User(claims) => claims.sub == user,
            Self::Anonymous => false,
        }
    }
}

/// Requires the API key as the whole value of `Authorization`.
pub(super) fn require_api_key(headers: &HeaderMap, state: &ServerState) -> Result<(), ApiError> {
    let presented = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // Comparing hashes takes a time that tells nothing about the key.
    let is_valid =
        !presented.is_empty() && ids::sha256(presented) == ids::sha256(state.api_key.expose());
    if is_valid {
        Ok(())
    } else {
        Err(ApiError::Unauthorized)
    }
}

/// The value of the first cookie called `name` that is not empty.
pub(in crate::embedded) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let fields = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    fields
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}
