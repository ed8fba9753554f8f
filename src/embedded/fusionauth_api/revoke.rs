//! `DELETE /api/jwt/refresh` and `DELETE /api/jwt/refresh/{tokenId}`: revocation of sessions.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::api_auth::ApiAuth;
use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::request_body::parse_optional_json;
use crate::embedded::refresh_sessions::{Session, SessionFilter};
use crate::embedded::server_state::ServerState;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevokeRequest {
    token: Option<String>,
    user_id: Option<String>,
    application_id: Option<String>,
}

/// Ends the session of a refresh token, or all sessions of a user, of an application, or of a user
/// in an application. The parameters are in the query, in a form, or in a JSON body.
pub(super) async fn revoke(
    State(state): State<Arc<ServerState>>,
    Query(query): Query<RevokeRequest>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    state.statistics.revocations.increment();
    let in_body = parse_body(&headers, &body)?;
    let request = RevokeRequest {
        token: query.token.or(in_body.token),
        user_id: query.user_id.or(in_body.user_id),
        application_id: query.application_id.or(in_body.application_id),
    };
    let caller = ApiAuth::of(&headers, &state);
    if let Some(token) = request.token {
        let now = state.clock.now();
        let session =
            with_database(&state, move |state| state.sessions().by_token(&token, now)).await?;
        return end_session(&state, &caller, session).await;
    }
    if request.user_id.is_none() && request.application_id.is_none() {
        return Err(ApiError::InvalidField("token", FieldError::Blank));
    }
    let is_allowed = match &request.user_id {
        Some(user) => caller.may_access(user),
        None => matches!(caller, ApiAuth::ApiKey),
    };
    if !is_allowed {
        return Err(ApiError::Unauthorized);
    }
    let filter = SessionFilter {
        user: request.user_id,
        application: request.application_id,
    };
    with_database(&state, move |state| state.end_sessions(&filter)).await?;
    Ok(StatusCode::OK.into_response())
}

/// Ends the session with this id.
pub(super) async fn revoke_by_id(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    state.statistics.revocations.increment();
    let caller = ApiAuth::of(&headers, &state);
    let now = state.clock.now();
    let session = with_database(&state, move |state| state.sessions().by_id(&id, now)).await?;
    end_session(&state, &caller, session).await
}

/// Ends `session` if it exists and `caller` may do so.
async fn end_session(
    state: &Arc<ServerState>,
    caller: &ApiAuth,
    session: Option<Session>,
) -> ApiResult {
    if matches!(caller, ApiAuth::Anonymous) {
        return Err(ApiError::Unauthorized);
    }
    let session = session.ok_or(ApiError::NotFound)?;
    if !caller.may_access(&session.user) {
        return Err(ApiError::Unauthorized);
    }
    with_database(state, move |state| state.end_session(session)).await?;
    Ok(StatusCode::OK.into_response())
}

/// The parameters in the body: a form, or JSON that may be left out.
fn parse_body(headers: &HeaderMap, body: &Bytes) -> Result<RevokeRequest, ApiError> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !content_type.starts_with("application/x-www-form-urlencoded") {
        return parse_optional_json(body);
    }
    let mut request = RevokeRequest::default();
    for (name, value) in url::form_urlencoded::parse(body) {
        match name.as_ref() {
            "token" => request.token = Some(value.into_owned()),
            "userId" => request.user_id = Some(value.into_owned()),
            "applicationId" => request.application_id = Some(value.into_owned()),
            _ => {}
        }
    }
    Ok(request)
}
