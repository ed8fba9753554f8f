//! `POST /api/login`: a login by JSON, with the tokens in cookies or in the response body.

use crate::model::api_request::{LoginRequest, TokenDelivery};
use crate::model::api_response::{ApiResponse, SignedInUser, TokenResponse, User};
use crate::model::credential::CredentialKind;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::login::{Credentials, LoginRefused};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::{SignIn, Site};
use crate::model::token::CompletedLogin;

use super::api_body::{ApiError, bearer_kind, request_body};
use super::facts::{Facts, Known, Question};
use super::login_result::session_cookies;
use super::provider_login;
use super::verdict::{Decision, Verdict};

/// Decides about `POST /api/login`.
///
/// # Errors
/// [`ApiError`] where the provider is not asked.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    if site.sign_in == SignIn::Redirect {
        return Ok(Decision::Settled(provider_login::password_refused(site)));
    }
    let body = request_body(request, site, facts)?
        .login()
        .ok_or(ApiError::Refused(Reason::RejectedInput))?;
    let kind = match body.token_delivery {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => bearer_kind(request, site)?,
    };
    if body.login_id.trim().is_empty() || body.password.expose().is_empty() {
        return Err(ApiError::Refused(Reason::RejectedInput));
    }
    Ok(match &facts.login {
        Known::NotAsked => Decision::Needs(login_question(request, body, kind)),
        Known::Found(login) => Decision::Settled(login_response(login)),
        Known::Absent(refused) => Decision::Settled(login_refused(refused)),
        Known::Failed(reason) => Decision::Settled(Verdict::unavailable(*reason)),
    })
}

fn login_question<'a>(
    request: &RequestView<'a>,
    body: LoginRequest,
    kind: CredentialKind,
) -> Question<'a> {
    let credentials = Credentials {
        browser: None,
        login_id: body.login_id,
        password: body.password,
        remember: body.remember,
        return_to: None,
    };
    let BrowserState { session, device } = BrowserState::of(request, kind);
    Question::Login {
        credentials: Box::new(credentials),
        kind,
        session,
        device,
    }
}

/// The cookies of a browser that a login replaces or uses.
pub(super) struct BrowserState<'a> {
    /// The id of the session that the login replaces.
    pub(super) session: Option<&'a str>,
    /// The sealed device, as presented.
    pub(super) device: Option<&'a str>,
}

impl<'a> BrowserState<'a> {
    /// The cookies that concern a login whose tokens are delivered as `kind`. A client that keeps
    /// its tokens itself has nothing to do with a browser's session: none do.
    pub(super) fn of(request: &RequestView<'a>, kind: CredentialKind) -> Self {
        let in_cookies = kind != CredentialKind::Bearer;
        Self {
            session: request.cookies.session.value().filter(|_| in_cookies),
            device: request.cookies.device.value().filter(|_| in_cookies),
        }
    }
}

/// The response to a login that succeeded: the user, and the tokens in the body or in cookies.
pub(super) fn login_response<'a>(login: &CompletedLogin) -> Verdict<'a> {
    let CompletedLogin {
        tokens, principal, ..
    } = login;
    let user = User::from(&principal.identity);
    if tokens.kind == CredentialKind::Bearer {
        let tokens = Some(TokenResponse::new(tokens, principal.expires_at, None));
        return json(SignedInUser { user, tokens });
    }
    json(SignedInUser { user, tokens: None }).with_cookies(session_cookies(login))
}

fn json<'a>(user: SignedInUser) -> Verdict<'a> {
    let response = LocalResponse::Json(ApiResponse::Login(user));
    Verdict::reply(response, Reason::OwnEndpoint)
}

/// The response to a login, or a step of one, that was refused.
pub(super) fn login_refused<'a>(refused: &LoginRefused) -> Verdict<'a> {
    let mut problem = Problem::new(refused.reason);
    problem.retry_after = refused.retry_after;
    problem.change_reason.clone_from(&refused.change_reason);
    problem.next_step.clone_from(&refused.next_step);
    problem.violations.clone_from(&refused.violations);
    Verdict::reply(LocalResponse::Problem(problem), refused.reason)
}
