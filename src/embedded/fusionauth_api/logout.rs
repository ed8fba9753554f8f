//! `POST /api/logout`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::api_auth::cookie;
use super::api_error::ApiResult;
use super::blocking::with_database;
use super::request_body::parse_optional_json;
use crate::embedded::refresh_sessions::SessionFilter;
use crate::embedded::server_state::ServerState;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogoutRequest {
    global: Option<bool>,
    refresh_token: Option<String>,
}

/// Ends the session of the refresh token, or with `global` all sessions of its user. The body takes
/// precedence over the query, and both over the cookie. It is no error if there is no session.
pub(super) async fn logout(
    State(state): State<Arc<ServerState>>,
    Query(query): Query<LogoutRequest>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    state.statistics.logouts.increment();
    let request: LogoutRequest = parse_optional_json(&body)?;
    let token = request
        .refresh_token
        .or(query.refresh_token)
        .or_else(|| cookie(&headers, "refresh_token"));
    let is_global = request.global.or(query.global).unwrap_or(false);
    let now = state.clock.now();
    if let Some(token) = token {
        with_database(&state, move |state| {
            let Some(session) = state.sessions().by_token(&token, now)? else {
                return Ok(());
            };
            if is_global {
                state.end_sessions(&SessionFilter::of_user(&session.user))
            } else {
                state.end_session(session)
            }
        })
        .await?;
    }
    Ok(StatusCode::OK.into_response())
}
