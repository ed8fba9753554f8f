//! The answer of the authorization endpoint to a client whose user is signed in: a code.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::authorization_code::CodeGrant;
use super::browser::Browser;
use super::clients::RegisteredClient;
use super::requested_sign_in::RequestedSignIn;
use crate::embedded::accounts::password_fingerprint;
use crate::embedded::browser_sessions::{BrowserSession, StartedBrowserSession};
use crate::embedded::fusionauth_api::api_error::ApiError;
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::ids;
use crate::embedded::server_state::ServerState;
use crate::embedded::users::User;
use crate::model::timestamp::Timestamp;

/// A browser that is signed in at this server, and its user.
pub struct SignedInBrowser {
    pub session: BrowserSession,
    pub user: Arc<User>,
}

/// The session of the browser, if its user could sign in now.
///
/// # Errors
/// [`ApiError::Internal`].
pub async fn find_session(
    state: &Arc<ServerState>,
    browser: &Browser<'_>,
) -> Result<Option<SignedInBrowser>, ApiError> {
    let Some(secret) = browser.session_secret() else {
        return Ok(None);
    };
    let now = state.clock.now();
    let found = with_database(state, move |state| {
        state.browser_sessions.find(&secret, now)
    });
    let Some(session) = found.await? else {
        return Ok(None);
    };
    let user = state.accounts().user_of_browser(&session).cloned();
    Ok(user.map(|user| SignedInBrowser { session, user }))
}

/// Signs the browser in at this server. Another user who was signed in there is signed out.
///
/// # Errors
/// [`ApiError::Internal`].
pub async fn start_session(
    state: &Arc<ServerState>,
    browser: &Browser<'_>,
    user: &Arc<User>,
) -> Result<StartedBrowserSession, ApiError> {
    let now = state.clock.now();
    let lifetime = state.users().token_policy.refresh_token_lifetime;
    let session = BrowserSession {
        id: ids::random_uuid(),
        user: user.id.clone(),
        started: now.millis(),
        expires: now.plus(lifetime).millis(),
        password: password_fingerprint(user),
    };
    let previous = browser.session_secret();
    with_database(state, move |state| {
        let started = state.browser_sessions.start(session, previous.as_deref())?;
        if let Some(replaced) = &started.replaced {
            state.end_browser_session(&replaced.id)?;
        }
        Ok(started)
    })
    .await
}

/// Whether `user` may sign in to the application of `client`.
pub fn may_enter(user: &User, client: &RegisteredClient) -> bool {
    user.is_registered(&client.id) && !user.unverified_applications.contains(&client.id)
}

/// The redirect that brings the client a code for `session`.
pub fn answer_with_code(
    state: &ServerState,
    request: &RequestedSignIn,
    session: &BrowserSession,
) -> Response {
    let now = state.clock.now();
    let grant = CodeGrant {
        client: request.client.id.clone(),
        redirect_uri: request.answer_to.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        nonce: request.nonce.clone(),
        offline_access: request.offline_access,
        user: session.user.clone(),
        browser_session: session.id.clone(),
        signed_in: Timestamp::from_millis(session.started),
        issued: now,
        presented: 0,
        session: None,
    };
    let code = state.openid.codes.insert(grant, now);
    let issuer = state.issuer();
    redirect(&request.answer_to.url(issuer.name(), &[("code", &code)]))
}

/// 303, so that the client gets neither the method nor the body of the form (RFC 9700, section
/// 4.12).
pub fn redirect(url: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(url) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
