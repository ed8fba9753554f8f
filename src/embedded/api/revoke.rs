//! `DELETE /api/jwt/refresh`: ending sessions from outside.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::api_auth::ApiAuth;
use super::response::{Answer, ApiError, ApiRefusal, read_or_default, with_database};
use crate::embedded::refresh_sessions::Selection;
use crate::embedded::server::Identity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevokeRequest {
    token: Option<String>,
    user_id: Option<String>,
    application_id: Option<String>,
}

/// Ends the session of a token, or all of a user, of an application, or of both together.
/// What is asked stands in the query, a form, or a JSON body.
pub(super) async fn revoke(
    State(identity): State<Arc<Identity>>,
    Query(query): Query<RevokeRequest>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    identity.statistics.revocations.one_more();
    let sent = in_body(&headers, &body)?;
    let request = RevokeRequest {
        token: query.token.or(sent.token),
        user_id: query.user_id.or(sent.user_id),
        application_id: query.application_id.or(sent.application_id),
    };
    let caller = ApiAuth::of(&headers, &identity);
    if let Some(token) = request.token {
        let now = identity.clock.now();
        let session = with_database(&identity, move |identity| {
            identity.sessions.of_token(&token, now)
        })
        .await?;
        return end(
            &identity,
            &caller,
            session.map(|session| (session.id, session.user)),
        )
        .await;
    }
    if request.user_id.is_none() && request.application_id.is_none() {
        return Err(ApiRefusal::Invalid("token", ApiError::Blank));
    }
    let allowed = match &request.user_id {
        Some(user) => caller.may_act_on(user),
        None => matches!(caller, ApiAuth::Program),
    };
    if !allowed {
        return Err(ApiRefusal::Unauthorized);
    }
    let selection = Selection {
        user: request.user_id,
        application: request.application_id,
    };
    with_database(&identity, move |identity| {
        identity.sessions.end_all(&selection)
    })
    .await?;
    Ok(StatusCode::OK.into_response())
}

/// Ends the session with this id.
pub(super) async fn revoke_by_id(
    State(identity): State<Arc<Identity>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    identity.statistics.revocations.one_more();
    let caller = ApiAuth::of(&headers, &identity);
    let now = identity.clock.now();
    let session =
        with_database(&identity, move |identity| identity.sessions.by_id(&id, now)).await?;
    end(
        &identity,
        &caller,
        session.map(|session| (session.id, session.user)),
    )
    .await
}

async fn end(
    identity: &Arc<Identity>,
    caller: &ApiAuth,
    session: Option<(String, String)>,
) -> Answer {
    if matches!(caller, ApiAuth::Anybody) {
        return Err(ApiRefusal::Unauthorized);
    }
    let (id, user) = session.ok_or(ApiRefusal::NotFound)?;
    if !caller.may_act_on(&user) {
        return Err(ApiRefusal::Unauthorized);
    }
    with_database(identity, move |identity| identity.sessions.end(&id)).await?;
    Ok(StatusCode::OK.into_response())
}

fn in_body(headers: &HeaderMap, body: &Bytes) -> Result<RevokeRequest, ApiRefusal> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return read_or_default(body);
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
