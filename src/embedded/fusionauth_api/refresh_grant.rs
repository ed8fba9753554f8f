//! `POST /api/jwt/refresh` and the refresh token grant of `POST /oauth2/token`: new tokens for a
//! refresh token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Form, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::api_auth::cookie;
use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::json_response::json_response;
use super::request_body::parse_optional_json;
use crate::embedded::refresh_sessions::{Rotation, Session, SessionWithToken};
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::{AuthenticationType, TokenSubject};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    refresh_token: Option<String>,
    time_to_live_in_seconds: Option<u64>,
}

/// Exchanges a refresh token for an access token and a new refresh token. A cookie takes precedence
/// over the body.
pub(super) async fn refresh(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    state.statistics.refreshes.increment();
    let request: RefreshRequest = parse_optional_json(&body)?;
    let lifetime = request.time_to_live_in_seconds.map(Duration::from_secs);
    if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime >= state.issuer().lifetime())
    {
        let error = FieldError::Invalid;
        return Err(ApiError::InvalidField("timeToLiveInSeconds", error));
    }
    let presented = cookie(&headers, "refresh_token").or(request.refresh_token);
    let presented = presented.filter(|token| !token.is_empty());
    let presented = presented.ok_or(ApiError::InvalidField("refreshToken", FieldError::Blank))?;
    let issued = exchange(&state, presented, lifetime).await?;
    let issued = issued.ok_or(ApiError::InvalidField("refreshToken", FieldError::Invalid))?;
    let body = json!({
        "token": issued.access_token,
        "refreshToken": issued.refresh_token.expose(),
        "refreshTokenId": issued.session.id,
    });
    Ok(json_response(StatusCode::OK, &body))
}

#[derive(Deserialize)]
pub(super) struct TokenRequest {
    grant_type: Option<String>,
    refresh_token: Option<String>,
    client_id: Option<String>,
}

/// The refresh token grant of OAuth 2.0 (RFC 6749, section 6).
pub(super) async fn token(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> ApiResult {
    state.statistics.refreshes.increment();
    match request.grant_type.as_deref() {
        Some("refresh_token") => {}
        Some(_) => return Ok(oauth_error("unsupported_grant_type", "invalid_grant_type")),
        None => return Ok(oauth_error("invalid_request", "missing_grant_type")),
    }
    let Some(presented) = request.refresh_token.filter(|token| !token.is_empty()) else {
        return Ok(oauth_error("invalid_request", "missing_refresh_token"));
    };
    let Some(client_id) = request.client_id.or_else(|| basic_auth_user(&headers)) else {
        return Ok(oauth_error("invalid_request", "missing_client_id"));
    };
    let (token, now) = (presented.clone(), state.clock.now());
    let session =
        with_database(&state, move |state| state.sessions().by_token(&token, now)).await?;
    // The client is checked before the token is used: a client that presents the token of another
    // one must not end it.
    if session.is_some_and(|session| session.application != client_id) {
        return Ok(oauth_error("invalid_grant", "client_id_mismatch"));
    }
    let Some(issued) = exchange(&state, presented, None).await? else {
        return Ok(oauth_error("invalid_grant", "refresh_token_not_found"));
    };
    let body = json!({
        "access_token": issued.access_token,
        "expires_in": state.clock.now().until(issued.expires).as_secs(),
        "token_type": "Bearer",
        "userId": issued.session.user,
        "refresh_token": issued.refresh_token.expose(),
        "refresh_token_id": issued.session.id,
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// New tokens for a session.
struct IssuedTokens {
    session: Session,
    refresh_token: Secret,
    access_token: String,
    /// When the access token expires.
    expires: Timestamp,
}

/// Uses the refresh token `presented` and issues new tokens. `None` if it is invalid, was reused,
/// or if the account can no longer be used.
async fn exchange(
    state: &Arc<ServerState>,
    presented: String,
    lifetime: Option<Duration>,
) -> Result<Option<IssuedTokens>, ApiError> {
    let now = state.clock.now();
    let rotation =
        with_database(state, move |state| state.sessions().rotate(&presented, now)).await?;
    let SessionWithToken {
        session,
        refresh_token,
    } = match rotation {
        Rotation::Rotated(rotated) => *rotated,
        Rotation::Reused(user) => {
            tracing::warn!(
                user,
                "a used refresh token was presented; its session was ended"
            );
            return Ok(None);
        }
        Rotation::Invalid => return Ok(None),
    };
    // What a login would not start now is not continued.
    let accounts = state.accounts();
    let Some(user) = accounts.user_of(&session) else {
        with_database(state, move |state| state.sessions().end(&session.id)).await?;
        return Ok(None);
    };
    let subject = TokenSubject {
        user,
        application: Some(&session.application),
        session: Some(&session.id),
        signed_in: Timestamp::from_millis(session.started),
        authentication: AuthenticationType::RefreshToken,
    };
    let (access_token, expires) = accounts.issuer.issue(&subject, lifetime, now)?;
    Ok(Some(IssuedTokens {
        session,
        refresh_token,
        access_token,
        expires,
    }))
}

fn oauth_error(error: &str, reason: &str) -> Response {
    let description = format!("The refresh token grant is refused: {reason}.");
    let body = json!({ "error": error, "error_reason": reason, "error_description": description });
    json_response(StatusCode::BAD_REQUEST, &body)
}

/// The client id of a client that authenticates with HTTP Basic (RFC 6749, section 2.3.1).
fn basic_auth_user(headers: &HeaderMap) -> Option<String> {
    let encoded = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded
        .split_once(':')
        .map(|(user, _)| user.to_owned())
        .filter(|user| !user.is_empty())
}
