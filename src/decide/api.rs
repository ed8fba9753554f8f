//! The JSON endpoints: the same sign-in, renewal and sign-out as the pages', for programs
//! (`docs/reference/endpoints.md#json-api`).
//!
//! Cookies for scripts in browsers, which never see a token; tokens in bodies for clients that are
//! no browsers.

use crate::model::api_request::{ApiRequestBody, LoginRequest, TokenDelivery};
use crate::model::api_response::{ApiResponse, CurrentUser, SignedInUser, TokenResponse, User};
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::local_response::{CookieChange, LocalResponse, Problem};
use crate::model::login::{Credentials, LoginRefused};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::CompletedLogin;

use super::api_mfa;
use super::authorize::{AuthStatus, auth_status, www_authenticate};
use super::credentials::{self, RequestCredentials};
use super::endpoint::ApiEndpoint;
use super::facts::{Facts, Known, Question};
use super::login::session_cookies;
use super::{Decision, Verdict, unavailable};

/// Where a call ends before its own question is asked.
pub(super) enum ApiError {
    BodyNotRead,
    Refused(Reason),
    Unavailable(Reason),
}

impl From<ApiError> for Decision<'_> {
    fn from(stop: ApiError) -> Self {
        match stop {
            ApiError::BodyNotRead => Self::Needs(Question::ReadBody),
            ApiError::Refused(reason) => Self::Settled(Verdict::problem(reason)),
            ApiError::Unavailable(reason) => Self::Settled(unavailable(reason)),
        }
    }
}

pub(super) fn decide<'a>(
    call: ApiEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let decided = match call {
        ApiEndpoint::User => return user(request, site, facts, now),
        ApiEndpoint::Login => login(request, site, facts),
        ApiEndpoint::Step(call) => api_mfa::decide(call, request, site, facts, now),
        ApiEndpoint::Refresh => refresh(request, site, facts),
        ApiEndpoint::Logout => logout(request, site, facts),
    };
    decided.unwrap_or_else(Decision::from)
}

/// `GET /api/user`: asked when a program starts, so that nobody being signed in is `404` and no
/// failure.
fn user<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Ask(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(somebody) => {
            let principal = somebody.principal();
            let user = User::from(&principal.identity);
            let current = CurrentUser {
                user,
                expires_instant: principal.expires_at.millis(),
            };
            json(ApiResponse::CurrentUser(current)).with_cookies(somebody.cookies())
        }
        AuthStatus::Anonymous(reason, cookies) => Verdict::reply(
            LocalResponse::Problem(Problem::new(reason).with_status(404)),
            reason,
        )
        .with_cookies(cookies),
        AuthStatus::Unavailable(reason) => unavailable(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// What a call brings along, from whom it may come: a page of this site or a listed one, or no
/// browser at all.
pub(super) fn body<'f>(
    request: &RequestView<'_>,
    site: &Site,
    facts: &'f Facts,
) -> Result<&'f ApiRequestBody, ApiError> {
    if request.provenance(site) == Provenance::CrossOrigin {
        return Err(ApiError::Refused(Reason::CrossSiteRequest));
    }
    match &facts.body {
        Known::NotAsked => Err(ApiError::BodyNotRead),
        Known::Found(body) => Ok(body),
        Known::Absent(reason) => Err(ApiError::Refused(*reason)),
        Known::Failed(reason) => Err(ApiError::Unavailable(*reason)),
    }
}

/// `POST /api/login`.
fn login<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    let call = body(request, site, facts)?
        .login()
        .ok_or(ApiError::Refused(Reason::RejectedInput))?;
    let kind = match call.token_delivery {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => bearer_kind(request, site)?,
    };
    if call.login_id.trim().is_empty() || call.password.expose().is_empty() {
        return Err(ApiError::Refused(Reason::RejectedInput));
    }
    Ok(Decision::Settled(match &facts.login {
        Known::NotAsked => {
            let LoginRequest {
                login_id,
                password,
                remember,
                ..
            } = call;
            let credentials = Credentials {
                login_id,
                password,
                remember,
                return_to: None,
            };
            // A client that keeps its tokens itself has nothing to do with a browser's session.
            let in_cookies = kind != CredentialKind::Bearer;
            let session = request.cookies.session.value().filter(|_| in_cookies);
            let device = request.cookies.device.value().filter(|_| in_cookies);
            return Ok(Decision::Needs(Question::Login {
                credentials,
                kind,
                session,
                device,
            }));
        }
        Known::Found(signed_in) => login_response(signed_in),
        Known::Absent(refused) => login_refused(refused),
        Known::Failed(reason) => unavailable(*reason),
    }))
}

/// Tokens leave in bodies only where the operator wants it, and never where a script injected into
/// a page could read them.
pub(super) fn bearer_kind(
    request: &RequestView<'_>,
    site: &Site,
) -> Result<CredentialKind, ApiError> {
    if !site.bearer {
        return Err(ApiError::Refused(Reason::BearerNotEnabled));
    }
    if request.fetch_metadata.is_browser {
        return Err(ApiError::Refused(Reason::BrowserTokensRefused));
    }
    Ok(CredentialKind::Bearer)
}

pub(super) fn login_response<'a>(signed_in: &CompletedLogin) -> Verdict<'a> {
    let CompletedLogin {
        tokens, principal, ..
    } = signed_in;
    let user = User::from(&principal.identity);
    if tokens.kind == CredentialKind::Bearer {
        let tokens = Some(TokenResponse::new(tokens, principal.expires_at, None));
        return json(ApiResponse::Login(SignedInUser { user, tokens }));
    }
    json(ApiResponse::Login(SignedInUser { user, tokens: None }))
        .with_cookies(session_cookies(signed_in))
}

pub(super) fn login_refused<'a>(refused: &LoginRefused) -> Verdict<'a> {
    let mut problem = Problem::new(refused.reason);
    problem.retry_after = refused.retry_after;
    problem.change_reason.clone_from(&refused.change_reason);
    problem.next_step.clone_from(&refused.next_step);
    problem.violations.clone_from(&refused.violations);
    Verdict::reply(LocalResponse::Problem(problem), refused.reason)
}

/// `POST /api/refresh`: also while the access token still holds.
fn refresh<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    let posted = posted_token(request, site, facts)?;
    let proof = credentials::of(request, site);
    let kind = match &posted {
        Some(_) => bearer_kind(request, site)?,
        None if proof.kind == CredentialKind::Bearer => bearer_kind(request, site)?,
        None => proof.kind,
    };
    let question = match (&posted, proof.refresh) {
        (Some(token), _) => Question::RefreshFromBody(token.clone()),
        (None, Some(refresh)) => {
            let session = proof.token.filter(|_| kind == CredentialKind::Session);
            Question::Refresh(RefreshRequest {
                kind,
                refresh,
                session_id: session,
            })
        }
        // What else the client carries may hold still: nothing of it is cleared.
        (None, None) => {
            return Ok(Decision::Settled(signed_out(
                request,
                site,
                Reason::SignedOut,
            )));
        }
    };
    Ok(Decision::Settled(match &facts.refresh {
        Known::NotAsked => return Ok(Decision::Needs(question)),
        Known::Found(renewed) if kind == CredentialKind::Bearer => {
            let kept = posted.as_ref().map(Secret::expose).or(proof.refresh);
            json(ApiResponse::Tokens(TokenResponse::new(
                &renewed.tokens,
                renewed.principal.expires_at,
                kept,
            )))
        }
        Known::Found(renewed) => {
            no_content().with_cookies(vec![CookieChange::SetTokens(renewed.tokens.clone())])
        }
        Known::Absent(reason) => signed_out(request, site, *reason).with_cookies(cleared(kind)),
        Known::Failed(reason) => unavailable(*reason),
    }))
}

/// The refresh token in the body of a client that is no browser. Beside another one in a header
/// nobody can say which is meant.
fn posted_token(
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Result<Option<Secret>, ApiError> {
    let call = body(request, site, facts)?
        .token()
        .ok_or(ApiError::Refused(Reason::RejectedInput))?;
    let in_header = request.bearer.refresh.filter(|_| site.bearer);
    match (&call.refresh_token, in_header) {
        (Some(posted), Some(header)) if posted.expose() != header => {
            Err(ApiError::Refused(Reason::RejectedInput))
        }
        _ => Ok(call.refresh_token),
    }
}

fn signed_out<'a>(request: &RequestView<'a>, site: &Site, reason: Reason) -> Verdict<'a> {
    let mut problem = Problem::new(reason);
    problem.www_authenticate = site.bearer.then(|| www_authenticate(request));
    Verdict::reply(LocalResponse::Problem(problem), reason)
}

/// `POST /api/logout`: whatever there was, it is over.
fn logout<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    // Where the site takes no tokens from clients, there is none to end.
    let posted = posted_token(request, site, facts)?.filter(|_| site.bearer);
    let RequestCredentials {
        kind,
        token: main,
        refresh,
        any_presented: any,
        ..
    } = credentials::of(request, site);
    let kind = if posted.is_some() {
        CredentialKind::Bearer
    } else {
        kind
    };
    if matches!(facts.logout, Known::NotAsked) {
        if let Some(refresh) = posted {
            return Ok(Decision::Needs(Question::LogoutFromBody {
                access: request.bearer.access,
                refresh,
            }));
        }
        if main.is_some() || refresh.is_some() {
            return Ok(Decision::Needs(Question::Logout(PresentedCredential {
                kind,
                token: main,
                refresh,
            })));
        }
    }
    Ok(Decision::Settled(no_content().with_cookies(if any {
        cleared(kind)
    } else {
        Vec::new()
    })))
}

/// What a client forgets with its proof: cookies, where it carries it so.
fn cleared(kind: CredentialKind) -> Vec<CookieChange> {
    (kind != CredentialKind::Bearer)
        .then_some(CookieChange::ClearCredentials)
        .into_iter()
        .collect()
}

pub(super) fn no_content<'a>() -> Verdict<'a> {
    Verdict::reply(LocalResponse::NoContent, Reason::OwnEndpoint)
}

fn json<'a>(answer: ApiResponse) -> Verdict<'a> {
    Verdict::reply(LocalResponse::Json(answer), Reason::OwnEndpoint)
}
