//! The JSON endpoints: the same login, refresh and logout as the pages', for scripts and API
//! clients (`docs/reference/endpoints.md#json-api`).
//!
//! * A script in a browser works with cookies and never sees a token. A client that is not a
//!   browser gets its tokens in response bodies, see [`super::api_body`].
//! * `GET /api/user` answers `404` where nobody is logged in: a program asks at its start, and that
//!   nobody is logged in yet is no error.
//! * `POST /api/refresh` refreshes also while the access token is still valid.
//! * `POST /api/logout` answers `204` whatever there was to end.

use crate::model::api_response::{ApiResponse, CurrentUser, TokenResponse, User};
use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::api_body::{ApiError, bearer_kind, request_body};
use super::auth_status::{AuthStatus, auth_status};
use super::basic_access;
use super::credentials::RequestCredentials;
use super::endpoint::ApiEndpoint;
use super::facts::{Facts, Known, Question};
use super::forget;
use super::unauthenticated::unauthorized;
use super::verdict::{Decision, Verdict};
use super::{api_login, api_mfa};

/// Decides about a call to a JSON endpoint.
pub(super) fn decide<'a>(
    endpoint: ApiEndpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let decided = match endpoint {
        ApiEndpoint::User => return user(request, site, facts, now),
        ApiEndpoint::Login => api_login::decide(request, site, facts),
        ApiEndpoint::Step(endpoint) => api_mfa::decide(endpoint, request, site, facts, now),
        ApiEndpoint::Refresh => refresh(request, site, facts),
        ApiEndpoint::Logout => logout(request, site, facts),
    };
    decided.unwrap_or_else(Decision::from)
}

/// `GET /api/user`: the user who is logged in.
fn user<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts, now: Timestamp) -> Decision<'a> {
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(user) => {
            let current = CurrentUser {
                user: User::from(&user.principal.identity),
                expires_instant: user.principal.expires_at.millis(),
            };
            json(ApiResponse::CurrentUser(current)).with_cookies(user.cookies)
        }
        AuthStatus::Anonymous(reason, cookies) => {
            let problem = Problem::new(reason).with_status(404);
            Verdict::reply(LocalResponse::Problem(problem), reason).with_cookies(cookies)
        }
        AuthStatus::Unavailable(reason) => Verdict::unavailable(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// `POST /api/refresh`: new tokens for the refresh token.
fn refresh<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    let posted = posted_token(request, site, facts)?;
    let credentials = RequestCredentials::of(request, site);
    let kind = match &posted {
        Some(_) => bearer_kind(request, site)?,
        None if credentials.kind == CredentialKind::Bearer => bearer_kind(request, site)?,
        None => credentials.kind,
    };
    let question = match (&posted, credentials.refresh_request()) {
        (Some(token), _) => Question::RefreshFromBody(token.clone()),
        (None, Some(refresh)) => Question::Refresh(refresh),
        // Nothing is cleared: the access token, if there is one, may still be valid.
        (None, None) => {
            let verdict = unauthorized(request, site, Reason::SignedOut);
            return Ok(Decision::Settled(verdict));
        }
    };
    Ok(Decision::Settled(match &facts.refresh {
        Known::NotAsked => return Ok(Decision::Needs(question)),
        Known::Found(refresh) if kind == CredentialKind::Bearer => {
            let presented = posted.as_ref().map(Secret::expose).or(credentials.refresh);
            let expires_at = refresh.principal.expires_at;
            let tokens = TokenResponse::new(&refresh.tokens, expires_at, presented);
            json(ApiResponse::Tokens(tokens))
        }
        Known::Found(refresh) => {
            no_content().with_cookies(vec![CookieChange::SetTokens(refresh.tokens.clone())])
        }
        Known::Absent(reason) => {
            let cookies = cleared(posted.as_ref(), &credentials);
            unauthorized(request, site, *reason).with_cookies(cookies)
        }
        Known::Failed(reason) => Verdict::unavailable(*reason),
    }))
}

/// The refresh token in the body of a client that is not a browser. A different one in the header
/// beside it is refused: nothing tells which of the two is meant.
fn posted_token(
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Result<Option<Secret>, ApiError> {
    let body = request_body(request, site, facts)?
        .token()
        .ok_or(ApiError::Refused(Reason::RejectedInput))?;
    let in_header = request.bearer.refresh.filter(|_| site.bearer);
    match (&body.refresh_token, in_header) {
        (Some(posted), Some(header)) if posted.expose() != header => {
            Err(ApiError::Refused(Reason::RejectedInput))
        }
        _ => Ok(body.refresh_token),
    }
}

/// `POST /api/logout`: ends the login of the credentials.
fn logout<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, ApiError> {
    // A site that takes no bearer tokens issued none: a posted one is ignored.
    let posted = posted_token(request, site, facts)?.filter(|_| site.bearer);
    let credentials = RequestCredentials::of(request, site);
    let mut cookies = cleared(posted.as_ref(), &credentials);
    cookies.extend(forget::at_logout(request, site));
    if matches!(facts.logout, Known::NotAsked) {
        if let Some(refresh) = posted {
            return Ok(Decision::Needs(Question::LogoutFromBody {
                access: request.bearer.access,
                refresh,
            }));
        }
        if let Some(credentials) = basic_access::at_logout(request, site) {
            return Ok(Decision::Needs(Question::LogoutBasic(credentials)));
        }
        if let Some(credential) = credentials.presented() {
            return Ok(Decision::Needs(Question::Logout(credential)));
        }
    }
    Ok(Decision::Settled(no_content().with_cookies(cookies)))
}

/// The changes that remove the credentials of a call from the client. A client that posts its
/// refresh token keeps it itself, and its cookies are another login's.
fn cleared(posted: Option<&Secret>, credentials: &RequestCredentials<'_>) -> Vec<CookieChange> {
    match posted {
        Some(_) => Vec::new(),
        None => credentials.cleared(),
    }
}

fn no_content<'a>() -> Verdict<'a> {
    Verdict::reply(LocalResponse::NoContent, Reason::OwnEndpoint)
}

fn json<'a>(response: ApiResponse) -> Verdict<'a> {
    Verdict::reply(LocalResponse::Json(response), Reason::OwnEndpoint)
}
