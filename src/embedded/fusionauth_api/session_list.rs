//! `GET /api/jwt/refresh` and `GET /api/jwt/refresh/{tokenId}`: the sessions of a user.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api_auth::ApiAuth;
use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::json_response::json_response;
use crate::embedded::refresh_sessions::{Session, SessionFilter};
use crate::embedded::server_state::ServerState;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    user_id: Option<String>,
}

/// The active sessions of a user.
pub(super) async fn list(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> ApiResult {
    let user = query
        .user_id
        .ok_or(ApiError::InvalidField("userId", FieldError::Blank))?;
    if !ApiAuth::of(&headers, &state).may_access(&user) {
        return Err(ApiError::Unauthorized);
    }
    let filter = SessionFilter {
        user: Some(user),
        application: None,
    };
    let now = state.clock.now();
    let sessions = with_database(&state, move |state| state.sessions().list(&filter, now)).await?;
    let described: Vec<Value> = sessions
        .iter()
        .map(|session| describe_session(&state, session))
        .collect();
    let body = json!({ "refreshTokens": described });
    Ok(json_response(StatusCode::OK, &body))
}

/// The session with this id, if it is active.
pub(super) async fn by_id(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> ApiResult {
    let now = state.clock.now();
    let session = with_database(&state, move |state| state.sessions().by_id(&id, now)).await?;
    let caller = ApiAuth::of(&headers, &state);
    match session {
        Some(session) if caller.may_access(&session.user) => {
            let body = json!({ "refreshToken": describe_session(&state, &session) });
            Ok(json_response(StatusCode::OK, &body))
        }
        None if matches!(caller, ApiAuth::ApiKey | ApiAuth::User(_)) => Err(ApiError::NotFound),
        Some(_) | None => Err(ApiError::Unauthorized),
    }
}

/// A session as FusionAuth describes it: as a refresh token.
fn describe_session(state: &ServerState, session: &Session) -> Value {
    let mut device = session
        .client
        .device()
        .map_or_else(|| json!({}), |device| json!(device));
    if let (Some(address), Some(members)) = (&session.client.ip_address, device.as_object_mut()) {
        members.insert("lastAccessedAddress".to_owned(), address.as_str().into());
        members.insert("lastAccessedInstant".to_owned(), session.started.into());
    }
    json!({
        "metaData": { "device": device },
        "id": session.id,
        "userId": session.user,
        "applicationId": session.application,
        "tenantId": state.issuer().tenant(),
        "insertInstant": session.started,
        "startInstant": session.started,
    })
}
