//! `POST /api/user/change-password`: the new password that a login required.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::json_response::json_response;
use super::request_body::parse_json;
use crate::embedded::password_policy::PolicyViolation;
use crate::embedded::refresh_sessions::SessionFilter;
use crate::embedded::server_state::ServerState;
use crate::embedded::users::User;
use crate::model::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangePasswordRequest {
    change_password_id: Option<String>,
    password: Option<String>,
    current_password: Option<String>,
}

/// Changes the password. The id is in the body.
pub(super) async fn change(State(state): State<Arc<ServerState>>, body: Bytes) -> ApiResult {
    state.statistics.password_changes.increment();
    let request: ChangePasswordRequest = parse_json(&body)?;
    let id = request
        .change_password_id
        .clone()
        .ok_or(ApiError::InvalidField(
            "changePasswordId",
            FieldError::Blank,
        ))?;
    change_password(&state, id, request).await
}

/// Changes the password. The id is in the path.
pub(super) async fn change_by_id(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult {
    state.statistics.password_changes.increment();
    change_password(&state, id, parse_json(&body)?).await
}

/// 200 if the id is valid.
pub(super) async fn check(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
) -> ApiResult {
    let pending = state.pending_password_changes.get(&id, state.clock.now());
    pending
        .map(|_| StatusCode::OK.into_response())
        .ok_or(ApiError::NotFound)
}

async fn change_password(
    state: &Arc<ServerState>,
    id: String,
    request: ChangePasswordRequest,
) -> ApiResult {
    let user = set_password(state, id, request.password, request.current_password).await?;
    let password = state
        .one_time_passwords
        .insert(user.id.clone(), state.clock.now());
    let body = json!({ "oneTimePassword": password });
    Ok(json_response(StatusCode::OK, &body))
}

/// Sets the password that the login `id` requires, and ends the sessions and logins that began with
/// the old one. Where the old password is given too, it must be right.
///
/// # Errors
/// [`ApiError::NotFound`] if the login has ended or the old password is wrong, and
/// [`ApiError::RejectedPassword`] if the policy refuses the new one. Another one may be tried then.
pub(in crate::embedded) async fn set_password(
    state: &Arc<ServerState>,
    id: String,
    new: Option<String>,
    old: Option<String>,
) -> Result<Arc<User>, ApiError> {
    let now = state.clock.now();
    let pending = state
        .pending_password_changes
        .get(&id, now)
        .ok_or(ApiError::NotFound)?;
    let user = Arc::clone(state.users().by_id(&pending).ok_or(ApiError::NotFound)?);
    let password = check_policy(state, new)?;
    let current_hash = current_hash(state, &user).await?;
    if let Some(current) = old
        && !state
            .password_hasher()
            .verify(Some(current_hash.clone()), Secret::new(current))
            .await
    {
        return Err(ApiError::NotFound);
    }
    if state
        .password_hasher()
        .verify(Some(current_hash), password.clone())
        .await
    {
        let violations = vec![PolicyViolation::PreviouslyUsed];
        return Err(ApiError::RejectedPassword(violations));
    }
    let hash = state
        .password_hasher()
        .hash(password)
        .await
        .map_err(|_| ApiError::Internal)?;
    // The id is taken last, so that the client can try again after a rejected password.
    state
        .pending_password_changes
        .take(&id, now)
        .ok_or(ApiError::NotFound)?;
    let changed = Arc::clone(&user);
    with_database(state, move |state| {
        state.account_changes.set_password(&changed, hash)?;
        state.end_sessions(&SessionFilter::of_user(&changed.id))
    })
    .await?;
    end_pending_logins(state, &user);
    Ok(user)
}

/// Ends the logins of `user` that started with the old password.
fn end_pending_logins(state: &ServerState, user: &User) {
    state
        .pending_password_changes
        .remove_if(|pending| *pending == user.id);
    state
        .one_time_passwords
        .remove_if(|pending| *pending == user.id);
    state
        .pending_codes
        .remove_if(|pending| pending.user == user.id);
}

fn check_policy(state: &ServerState, password: Option<String>) -> Result<Secret, ApiError> {
    let password = password.unwrap_or_default();
    let violations = state.users().password_policy.violations(&password);
    if violations.is_empty() {
        Ok(Secret::new(password))
    } else {
        Err(ApiError::RejectedPassword(violations))
    }
}

async fn current_hash(state: &Arc<ServerState>, user: &Arc<User>) -> Result<String, ApiError> {
    let user = Arc::clone(user);
    let current = with_database(state, move |state| {
        state.account_changes.current_password(&user)
    })
    .await?;
    Ok(current.hash)
}
