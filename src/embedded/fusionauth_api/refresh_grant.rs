//! `POST /api/jwt/refresh`: new tokens for a refresh token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::api_auth::cookie;
use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::json_response::json_response;
use super::request_body::parse_optional_json;
use crate::embedded::refresh_sessions::{Rotation, Session, SessionWithToken};
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::{AccessToken, AuthenticationType, TokenSubject};
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
        "token": issued.access_token.token,
        "refreshToken": issued.refresh_token.expose(),
        "refreshTokenId": issued.session.id,
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// New tokens for a session.
pub(in crate::embedded) struct IssuedTokens {
    pub(in crate::embedded) session: Session,
    pub(in crate::embedded) refresh_token: Secret,
    pub(in crate::embedded) access_token: AccessToken,
}

/// Uses the refresh token `presented` and issues new tokens. `None` if it is invalid, was reused,
/// or if the account can no longer be used.
pub(in crate::embedded) async fn exchange(
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
        Rotation::Reused(session) => {
            tracing::warn!(
                user = session.user,
                "a used refresh token was presented; its session was ended"
            );
            // It tells the client, whose access token is still valid.
            with_database(state, move |state| state.end_session(*session)).await?;
            return Ok(None);
        }
        Rotation::Invalid => return Ok(None),
    };
    // What a login would not start now is not continued.
    let accounts = state.accounts();
    let Some(user) = accounts.user_of(&session) else {
        with_database(state, move |state| state.end_session(session)).await?;
        return Ok(None);
    };
    let subject = TokenSubject {
        user,
        application: Some(&session.application),
        session: Some(&session.id),
        signed_in: Timestamp::from_millis(session.started),
        authentication: AuthenticationType::RefreshToken,
    };
    let access_token = accounts.issuer.issue(&subject, lifetime, now)?;
    Ok(Some(IssuedTokens {
        session,
        refresh_token,
        access_token,
    }))
}
