//! `POST /api/logout`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::api_auth::cookie;
use super::response::{Answer, read_or_default, with_database};
use crate::embedded::refresh_sessions::Selection;
use crate::embedded::server::Identity;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogoutRequest {
    global: Option<bool>,
    refresh_token: Option<String>,
}

/// Ends the session of the refresh token, with `global` all of its owner's. The body wins over the
/// query, and both over the cookie. Ending nothing is a success.
pub(super) async fn logout(
    State(identity): State<Arc<Identity>>,
    Query(query): Query<LogoutRequest>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    identity.statistics.logouts.one_more();
    let request: LogoutRequest = read_or_default(&body)?;
    let token = request
        .refresh_token
        .or(query.refresh_token)
        .or_else(|| cookie(&headers, "refresh_token"));
    let everywhere = request.global.or(query.global).unwrap_or(false);
    let now = identity.clock.now();
    if let Some(token) = token {
        with_database(&identity, move |identity| {
            let Some(session) = identity.sessions.of_token(&token, now)? else {
                return Ok(());
            };
            if everywhere {
                identity.sessions.end_all(&Selection {
                    user: Some(session.user),
                    application: None,
                })
            } else {
                identity.sessions.end(&session.id)
            }
        })
        .await?;
    }
    Ok(StatusCode::OK.into_response())
}
