//! `GET` and `POST /oauth2/logout`: a client asks to sign the user out of this server (OpenID
//! Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::authorization_grant::redirect;
use super::browser::{Browser, add_cookie};
use super::clients::OpenIdSettings;
use super::form_parameters::{FormParameters, is_form, with_parameters};
use super::sign_in_page::{HiddenField, Page};
use crate::embedded::browser_sessions::BrowserSession;
use crate::embedded::fusionauth_api::api_error::{ApiError, ApiResult};
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::TokenIssuer;

/// The parameters that a page that asks the user keeps.
const KEPT: [&str; 4] = [
    "id_token_hint",
    "client_id",
    "post_logout_redirect_uri",
    "state",
];

/// What an ID token says about its session. It may have expired.
#[derive(Deserialize)]
struct IdTokenHint {
    iss: String,
    sub: String,
    aud: String,
    sid: Option<String>,
}

/// A browser that a client sends to be signed out.
struct SignOut<'a> {
    state: &'a Arc<ServerState>,
    browser: Browser<'a>,
    parameters: FormParameters,
    hint: Option<IdTokenHint>,
    /// Where the browser gets afterwards.
    target: Option<String>,
}

/// The request of a client in a query.
pub async fn show(
    State(state): State<Arc<ServerState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> ApiResult {
    answer(&state, query.unwrap_or_default().as_bytes(), &headers).await
}

/// The request of a client in a form, or the user's own after the page has asked.
pub async fn submit(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    if !is_form(&headers) {
        return Err(ApiError::MalformedBody);
    }
    answer(&state, &body, &headers).await
}

async fn answer(state: &Arc<ServerState>, parameters: &[u8], headers: &HeaderMap) -> ApiResult {
    let settings = state.openid_settings().ok_or(ApiError::NotFound)?;
    let Ok(parameters) = FormParameters::parse(parameters) else {
        return Ok(refused("A parameter of the request is given twice."));
    };
    let hint = parameters.get("id_token_hint");
    let hint = hint.and_then(|token| read_hint(&state.issuer(), token));
    let target = match target(&settings, &parameters, hint.as_ref()) {
        Ok(target) => target,
        Err(notice) => return Ok(refused(notice)),
    };
    let sign_out = SignOut {
        state,
        browser: Browser::new(headers, &settings),
        parameters,
        hint,
        target,
    };
    sign_out.answer().await
}

impl SignOut<'_> {
    async fn answer(&self) -> ApiResult {
        let session = self.browser_session().await?;
        let is_confirmed = self.browser.sent_form(self.parameters.get("csrf"));
        // Without an ID token of the user, any page could sign the user out.
        let is_hinted = self.hint.as_ref().is_some_and(|hint| {
            session
                .as_ref()
                .is_none_or(|session| session.user == hint.sub)
        });
        if session.is_some() && !is_confirmed && !is_hinted {
            return Ok(self.question());
        }
        self.end(session).await?;
        let mut response = match &self.target {
            Some(target) => redirect(target),
            None => Page::telling("Signed out", "You are signed out.").response(StatusCode::OK),
        };
        add_cookie(&mut response, self.browser.cleared_session_cookie());
        Ok(response)
    }

    async fn browser_session(&self) -> Result<Option<BrowserSession>, ApiError> {
        let Some(secret) = self.browser.session_secret() else {
            return Ok(None);
        };
        let now = self.state.clock.now();
        with_database(self.state, move |state| {
            state.browser_sessions.find(&secret, now)
        })
        .await
    }

    /// Ends the browser's session, and that of the ID token: the browser may have lost its cookie.
    async fn end(&self, session: Option<BrowserSession>) -> Result<(), ApiError> {
        let hinted = self.hint.as_ref().and_then(|hint| hint.sid.clone());
        let now = self.state.clock.now();
        with_database(self.state, move |state| {
            let hinted = hinted.map(|sid| state.sessions().by_id(&sid, now));
            let hinted = hinted.transpose()?.flatten();
            let hinted = hinted.and_then(|session| session.browser_session);
            let mut ended: Vec<String> = session.map(|session| session.id).into_iter().collect();
            ended.extend(hinted);
            ended.dedup();
            ended
                .iter()
                .try_for_each(|id| state.end_browser_session(id))
        })
        .await
    }

    /// The page that asks the user.
    fn question(&self) -> Response {
        let token = self.browser.form_token();
        let kept = KEPT.into_iter().filter_map(|name| {
            let value = self.parameters.get(name)?.to_owned();
            Some(HiddenField { name, value })
        });
        let page = Page {
            heading: "Sign out?",
            step: Some("sign_out"),
            action: "/oauth2/logout".to_owned(),
            csrf: token.field,
            hidden: kept.collect(),
            ..Page::default()
        };
        let mut response = page.response(StatusCode::OK);
        add_cookie(&mut response, token.cookie);
        response
    }
}

/// The address after the logout, which must be registered for the client that asks.
fn target(
    settings: &OpenIdSettings,
    parameters: &FormParameters,
    hint: Option<&IdTokenHint>,
) -> Result<Option<String>, &'static str> {
    let named = parameters.get("client_id");
    let client = match (named, hint) {
        (Some(named), Some(hint)) if named != hint.aud => {
            return Err("The client_id is not that of the ID token.");
        }
        (Some(id), _) => Some(id),
        (None, hint) => hint.map(|hint| hint.aud.as_str()),
    };
    let client = client.and_then(|id| settings.client(id));
    let Some(uri) = parameters.get("post_logout_redirect_uri") else {
        return Ok(None);
    };
    let is_registered = client.is_some_and(|client| {
        let mut registered = client.post_logout_redirect_uris.iter();
        registered.any(|registered| registered == uri)
    });
    if !is_registered {
        return Err("The post_logout_redirect_uri is not registered for the application.");
    }
    Ok(Some(match parameters.get("state") {
        Some(state) => with_parameters(uri, &[("state", state)]),
        None => uri.to_owned(),
    }))
}

/// Reads an ID token of this server.
fn read_hint(issuer: &TokenIssuer, token: &str) -> Option<IdTokenHint> {
    let hint: IdTokenHint = serde_json::from_slice(&issuer.key().verified(token)?).ok()?;
    (hint.iss == issuer.name()).then_some(hint)
}

fn refused(notice: &str) -> Response {
    Page::telling("This sign-out cannot go on", notice).response(StatusCode::BAD_REQUEST)
}
