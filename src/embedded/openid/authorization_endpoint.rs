//! `GET` and `POST /oauth2/authorize`: a browser that a client sends to sign in.
//!
//! Who is signed in comes through without a form. The form is posted to the address of the request
//! itself, so that it never expires, and tabs do not disturb each other.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;

use super::authorization_grant::{
    answer_with_code, find_session, may_enter, redirect, start_session,
};
use super::browser::{Browser, add_cookie};
use super::clients::OpenIdSettings;
use super::form_parameters::{FormParameters, is_form};
use super::requested_sign_in::{AuthorizationError, Prompt, Refusal, RequestedSignIn, parse};
use super::sign_in_page::Page;
use super::sign_in_steps::{SignInStep, StepResult, password_form};
use crate::embedded::fusionauth_api::api_error::{ApiError, ApiResult};
use crate::embedded::server_state::ServerState;

const NO_ACCESS: &str =
    "This account has no access to the application. Sign in with another one, or cancel.";
const STALE_FORM: &str =
    "The page was out of date, or the browser refuses cookies. Please sign in again.";

/// A request to the endpoint that a client made.
struct Visit<'a> {
    state: &'a Arc<ServerState>,
    settings: &'a OpenIdSettings,
    browser: Browser<'a>,
    query: String,
    request: RequestedSignIn,
}

/// Answers with a code, with the form, or with what is wrong.
pub async fn show(
    State(state): State<Arc<ServerState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> ApiResult {
    let settings = state.openid_settings().ok_or(ApiError::NotFound)?;
    match Visit::new(&state, &settings, &headers, query.unwrap_or_default()) {
        Ok(visit) => visit.show().await,
        Err(refused) => Ok(*refused),
    }
}

/// Takes a step of the sign-in. A client may also post its request here: then it is shown.
pub async fn submit(
    State(state): State<Arc<ServerState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    let settings = state.openid_settings().ok_or(ApiError::NotFound)?;
    let form = FormParameters::parse(&body)
        .ok()
        .filter(|_| is_form(&headers));
    let Some(form) = form else {
        return Err(ApiError::MalformedBody);
    };
    if query.is_none() && form.get("client_id").is_some() {
        let query = String::from_utf8_lossy(&body);
        return Ok(redirect(&format!("/oauth2/authorize?{query}")));
    }
    match Visit::new(&state, &settings, &headers, query.unwrap_or_default()) {
        Ok(visit) => visit.submit(&form).await,
        Err(refused) => Ok(*refused),
    }
}

impl<'a> Visit<'a> {
    fn new(
        state: &'a Arc<ServerState>,
        settings: &'a OpenIdSettings,
        headers: &'a HeaderMap,
        query: String,
    ) -> Result<Self, Box<Response>> {
        let request = parse(query.as_bytes(), settings).map_err(|error| {
            Box::new(match error {
                AuthorizationError::Unattributed(notice) => {
                    let page = Page::telling("This sign-in cannot go on", notice);
                    page.response(StatusCode::BAD_REQUEST)
                }
                AuthorizationError::Refused(answer_to, refusal) => {
                    redirect(&answer_to.refusal_url(state.issuer().name(), refusal))
                }
            })
        })?;
        Ok(Self {
            state,
            settings,
            browser: Browser::new(headers, settings),
            query,
            request,
        })
    }

    async fn show(&self) -> ApiResult {
        let now = self.state.clock.now();
        let found = find_session(self.state, &self.browser).await?;
        let usable = found.filter(|found| self.request.accepts(&found.session, now));
        let notice = match usable {
            Some(found) if may_enter(&found.user, &self.request.client) => {
                return Ok(answer_with_code(self.state, &self.request, &found.session));
            }
            Some(_) if self.request.prompt == Prompt::Never => {
                return Ok(self.refuse(Refusal::ACCESS_DENIED));
            }
            Some(_) => Some(NO_ACCESS),
            None if self.request.prompt == Prompt::Never => {
                return Ok(self.refuse(Refusal::LOGIN_REQUIRED));
            }
            None => None,
        };
        let hint = self.request.login_hint.as_deref().unwrap_or_default();
        Ok(self.page(StatusCode::OK, password_form(hint, notice)))
    }

    async fn submit(&self, form: &FormParameters) -> ApiResult {
        if !self.browser.sent_form(form.get("csrf")) {
            let login_id = form.get("loginId").unwrap_or_default();
            let page = password_form(login_id, Some(STALE_FORM));
            return Ok(self.page(StatusCode::FORBIDDEN, page));
        }
        let step = SignInStep {
            state: self.state,
            settings: self.settings,
            address: self.browser.address(),
            form,
        };
        let user = match step.take().await? {
            StepResult::SignedIn(user) => user,
            StepResult::Form(status, page) => return Ok(self.page(status, *page)),
            StepResult::Throttled(seconds, page) => {
                let mut response = self.page(StatusCode::TOO_MANY_REQUESTS, *page);
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                return Ok(response);
            }
        };
        if !may_enter(&user, &self.request.client) {
            let page = password_form(&user.email, Some(NO_ACCESS));
            return Ok(self.page(StatusCode::FORBIDDEN, page));
        }
        let started = start_session(self.state, &self.browser, &user).await?;
        let mut response = answer_with_code(self.state, &self.request, &started.session);
        add_cookie(&mut response, self.browser.session_cookie(&started.secret));
        Ok(response)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        let issuer = self.state.issuer();
        redirect(&self.request.answer_to.refusal_url(issuer.name(), refusal))
    }

    /// The response with a form of a step.
    fn page(&self, status: StatusCode, page: Page) -> Response {
        let token = self.browser.form_token();
        let issuer = self.state.issuer();
        let answer_to = &self.request.answer_to;
        let page = Page {
            action: format!("/oauth2/authorize?{}", self.query),
            csrf: token.field,
            continue_to: host(&answer_to.redirect_uri),
            cancel: Some(answer_to.refusal_url(issuer.name(), Refusal::ACCESS_DENIED)),
            ..page
        };
        let mut response = page.response(status).into_response();
        add_cookie(&mut response, token.cookie);
        response
    }
}

/// The host of the client, so that users see where they will get.
fn host(redirect_uri: &str) -> Option<String> {
    Some(Url::parse(redirect_uri).ok()?.host_str()?.to_owned())
}
