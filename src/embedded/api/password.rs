//! `POST /api/user/change-password`: the new password that a sign-in demanded.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::response::{Answer, ApiError, ApiRefusal, json_with, read, with_database};
use crate::embedded::password_rules::Broken;
use crate::embedded::refresh_sessions::Selection;
use crate::embedded::server::Identity;
use crate::embedded::users::User;
use crate::model::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangePasswordRequest {
    change_password_id: Option<String>,
    password: Option<String>,
    current_password: Option<String>,
}

/// The id stands in the body.
pub(super) async fn change(State(identity): State<Arc<Identity>>, body: Bytes) -> Answer {
    identity.statistics.password_changes.one_more();
    let request: ChangePasswordRequest = read(&body)?;
    let id = request
        .change_password_id
        .clone()
        .ok_or(ApiRefusal::Invalid("changePasswordId", ApiError::Blank))?;
    replace(&identity, id, request).await
}

/// The id stands in the path.
pub(super) async fn change_by_id(
    State(identity): State<Arc<Identity>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    identity.statistics.password_changes.one_more();
    replace(&identity, id, read(&body)?).await
}

/// Whether the id is good.
pub(super) async fn check(State(identity): State<Arc<Identity>>, Path(id): Path<String>) -> Answer {
    let waiting = identity
        .password_changes
        .look(&id, identity.clock.now(), |_| {});
    waiting
        .map(|_| StatusCode::OK.into_response())
        .ok_or(ApiRefusal::NotFound)
}

async fn replace(identity: &Arc<Identity>, id: String, request: ChangePasswordRequest) -> Answer {
    let now = identity.clock.now();
    let waiting = identity
        .password_changes
        .look(&id, now, |_| {})
        .ok_or(ApiRefusal::NotFound)?;
    let user = Arc::clone(identity.users.by_id(&waiting).ok_or(ApiRefusal::NotFound)?);
    let password = acceptable(identity, request.password)?;
    let current = current_hash(identity, &user).await?;
    if let Some(claimed) = request.current_password
        && !identity
            .passwords
            .matches(Some(current.clone()), Secret::new(claimed))
            .await
    {
        return Err(ApiRefusal::NotFound);
    }
    if identity
        .passwords
        .matches(Some(current), password.clone())
        .await
    {
        return Err(ApiRefusal::Unfit(vec![Broken::PreviouslyUsed]));
    }
    let hash = identity
        .passwords
        .hash(password)
        .await
        .map_err(|_| ApiRefusal::Internal)?;
    // Taken only now: a refused password leaves the way open for a better one.
    identity
        .password_changes
        .take(&id, now)
        .ok_or(ApiRefusal::NotFound)?;
    let changed = Arc::clone(&user);
    with_database(identity, move |identity| {
        identity.accounts.set_password(&changed, hash)?;
        identity.sessions.end_all(&Selection {
            user: Some(changed.id.clone()),
            application: None,
        })
    })
    .await?;
    identity.password_changes.forget(|other| *other == user.id);
    identity
        .one_time_passwords
        .forget(|other| *other == user.id);
    identity.codes.forget(|awaited| awaited.user == user.id);
    let once = identity.one_time_passwords.put(user.id.clone(), now);
    Ok(json_with(
        StatusCode::OK,
        &json!({ "oneTimePassword": once }),
    ))
}

fn acceptable(identity: &Identity, password: Option<String>) -> Result<Secret, ApiRefusal> {
    let password = password.unwrap_or_default();
    let broken = identity.users.password_rules.broken_by(&password);
    if broken.is_empty() {
        Ok(Secret::new(password))
    } else {
        Err(ApiRefusal::Unfit(broken))
    }
}

async fn current_hash(identity: &Arc<Identity>, user: &Arc<User>) -> Result<String, ApiRefusal> {
    let user = Arc::clone(user);
    let (hash, _) = with_database(identity, move |identity| {
        identity.accounts.password_of(&user)
    })
    .await?;
    Ok(hash)
}
