//! `POST /oauth2/revoke` (RFC 7009): a client ends a session of its own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;

use super::client_credentials::{ClientCredentials, invalid_client, oauth_error};
use super::form_parameters::{FormParameters, is_form};
use crate::embedded::fusionauth_api::api_error::{ApiError, ApiResult};
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::server_state::ServerState;

/// Ends the session of a refresh token or an access token. The client knows, so it gets no logout
/// token. A token that is unknown, or of another client, is no error and changes nothing.
pub async fn revoke(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    state.statistics.revocations.increment();
    let settings = state.openid_settings().ok_or(ApiError::NotFound)?;
    let form = FormParameters::parse(&body)
        .ok()
        .filter(|_| is_form(&headers));
    let Some(form) = form else {
        return Ok(oauth_error("invalid_request", "malformed_form"));
    };
    let credentials = ClientCredentials::of(&headers, &form).ok().flatten();
    let Some(client) = credentials.and_then(|given| given.authenticate(&settings)) else {
        return Ok(invalid_client());
    };
    let Some(token) = form.get("token").map(ToOwned::to_owned) else {
        return Ok(oauth_error("invalid_request", "missing_token"));
    };
    let now = state.clock.now();
    let claims = state.issuer().verify(&token, now);
    with_database(&state, move |state| {
        let sessions = state.sessions();
        let session = match claims.and_then(|claims| claims.sid) {
            Some(sid) => sessions.by_id(&sid, now)?,
            None => sessions.by_token(&token, now)?,
        };
        match session.filter(|session| session.application == client.id) {
            Some(session) => sessions.end(&session.id),
            None => Ok(()),
        }
    })
    .await?;
    Ok(StatusCode::OK.into_response())
}
