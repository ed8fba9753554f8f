//! Who calls: a program with the API key, a person with an access token, or anybody.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};

use super::response::ApiRefusal;
use crate::embedded::ids;
use crate::embedded::server::Identity;
use crate::embedded::tokens::Claims;

/// Who calls.
pub(super) enum ApiAuth {
    /// A program that has the API key.
    Program,
    /// A person with an access token that is good now.
    Person(Box<Claims>),
    /// Nobody that was proved.
    Anybody,
}

impl ApiAuth {
    /// From `Authorization` (the bare API key, or `Bearer` and a token) or the `access_token`
    /// cookie.
    pub(super) fn of(headers: &HeaderMap, identity: &Identity) -> Self {
        if require_key(headers, identity).is_ok() {
            return Self::Program;
        }
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let bearer = authorization
            .and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("JWT ")));
        let token = bearer
            .map(ToOwned::to_owned)
            .or_else(|| cookie(headers, "access_token"));
        let claims = token.and_then(|token| identity.issuer.verified(&token, identity.clock.now()));
        claims.map_or(Self::Anybody, |claims| Self::Person(Box::new(claims)))
    }

    /// Whether this caller may act on `user`.
    pub(super) fn may_act_on(&self, user: &str) -> bool {
        match self {
            Self::Program => true,
            Self::Person(claims) => claims.sub == user,
            Self::Anybody => false,
        }
    }
}

/// The API key stands bare in `Authorization`.
pub(super) fn require_key(headers: &HeaderMap, identity: &Identity) -> Result<(), ApiRefusal> {
    let sent = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    // Compared as hashes, so that the time it takes says nothing about the key.
    let right = !sent.is_empty() && ids::hashed(sent) == ids::hashed(identity.api_key.expose());
    if right {
        Ok(())
    } else {
        Err(ApiRefusal::Unauthorized)
    }
}

/// The first cookie called `name`.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
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
