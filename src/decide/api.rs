//! The JSON endpoints: the same sign-in, renewal and sign-out as the pages', for programs
//! (`docs/reference/endpoints.md#json-api`).
//!
//! Cookies for scripts in browsers, which never see a token; tokens in bodies for clients that are
//! no browsers.

use crate::model::api_call::{CallBody, LoginCall, TokenDelivery};
use crate::model::api_response::{ApiResponse, CurrentUser, SignedInUser, TokenResponse, User};
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::local_response::{CookieChange, LocalResponse, Problem};
use crate::model::login::{Credentials, LoginRefused};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::SignedIn;

use super::api_mfa;
use super::authorize::{AuthStatus, auth_status, challenge};
use super::credentials::{self, RequestCredentials};
use super::endpoint::ApiCall;
use super::facts::{Facts, Known, Question};
use super::login::kept;
use super::{Decision, Verdict, trouble};

/// Where a call ends before its own question is asked.
pub(super) enum Stop {
    Unread,
    Refused(Reason),
    Trouble(Reason),
}

impl From<Stop> for Decision<'_> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Unread => Self::Needs(Question::ReadBody),
            Stop::Refused(reason) => Self::Settled(Verdict::problem(reason)),
            Stop::Trouble(reason) => Self::Settled(trouble(reason)),
        }
    }
}

pub(super) fn decide<'a>(
    call: ApiCall,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let decided = match call {
        ApiCall::User => return user(request, site, facts, now),
        ApiCall::Login => login(request, site, facts),
        ApiCall::Step(call) => api_mfa::decide(call, request, site, facts, now),
        ApiCall::Refresh => refresh(request, site, facts),
        ApiCall::Logout => logout(request, site, facts),
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
                expires_instant: principal.expires.millis(),
            };
            json(ApiResponse::Current(current)).with(somebody.cookies())
        }
        AuthStatus::Anonymous(reason, cookies) => Verdict::reply(
            LocalResponse::Problem(Problem::new(reason).with_status(404)),
            reason,
        )
        .with(cookies),
        AuthStatus::Unavailable(reason) => trouble(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// What a call brings along, from whom it may come: a page of this site or a listed one, or no
/// browser at all.
pub(super) fn body<'f>(
    request: &RequestView<'_>,
    site: &Site,
    facts: &'f Facts,
) -> Result<&'f CallBody, Stop> {
    if request.provenance(site) == Provenance::CrossOrigin {
        return Err(Stop::Refused(Reason::CrossSiteRequest));
    }
    match &facts.body {
        Known::NotAsked => Err(Stop::Unread),
        Known::Found(body) => Ok(body),
        Known::Absent(reason) => Err(Stop::Refused(*reason)),
        Known::Failed(reason) => Err(Stop::Trouble(*reason)),
    }
}

/// `POST /api/login`.
fn login<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Result<Decision<'a>, Stop> {
    let call = body(request, site, facts)?
        .login()
        .ok_or(Stop::Refused(Reason::RejectedInput))?;
    let kind = match call.tokens {
        TokenDelivery::Cookie => site.credential,
        TokenDelivery::Body => in_bodies(request, site)?,
    };
    if call.login_id.trim().is_empty() || call.password.expose().is_empty() {
        return Err(Stop::Refused(Reason::RejectedInput));
    }
    Ok(Decision::Settled(match &facts.sign_in {
        Known::NotAsked => {
            let LoginCall {
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
            return Ok(Decision::Needs(Question::SignIn {
                credentials,
                kind,
                session,
                device,
            }));
        }
        Known::Found(signed_in) => welcome(signed_in),
        Known::Absent(refused) => refusal(refused),
        Known::Failed(reason) => trouble(*reason),
    }))
}

/// Tokens leave in bodies only where the operator wants it, and never where a script injected into
/// a page could read them.
pub(super) fn in_bodies(request: &RequestView<'_>, site: &Site) -> Result<CredentialKind, Stop> {
    if !site.bearer {
        return Err(Stop::Refused(Reason::BearerNotEnabled));
    }
    if request.marks.browser {
        return Err(Stop::Refused(Reason::BrowserTokensRefused));
    }
    Ok(CredentialKind::Bearer)
}

pub(super) fn welcome<'a>(signed_in: &SignedIn) -> Verdict<'a> {
    let SignedIn {
        tokens, principal, ..
    } = signed_in;
    let user = User::from(&principal.identity);
    if tokens.kind == CredentialKind::Bearer {
        let tokens = Some(TokenResponse::new(tokens, principal.expires, None));
        return json(ApiResponse::SignedIn(SignedInUser { user, tokens }));
    }
    json(ApiResponse::SignedIn(SignedInUser { user, tokens: None })).with(kept(signed_in))
}

pub(super) fn refusal<'a>(refused: &LoginRefused) -> Verdict<'a> {
    let mut problem = Problem::new(refused.reason);
    problem.retry_after = refused.retry_after;
    problem.change_reason.clone_from(&refused.change_reason);
    problem.next.clone_from(&refused.next);
    problem.violations.clone_from(&refused.faults);
    Verdict::reply(LocalResponse::Problem(problem), refused.reason)
}

/// `POST /api/refresh`: also while the access token still holds.
fn refresh<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
) -> Result<Decision<'a>, Stop> {
    let posted = posted_token(request, site, facts)?;
    let proof = credentials::of(request, site);
    let kind = match &posted {
        Some(_) => in_bodies(request, site)?,
        None if proof.kind == CredentialKind::Bearer => in_bodies(request, site)?,
        None => proof.kind,
    };
    let question = match (&posted, proof.refresh) {
        (Some(token), _) => Question::RenewPosted(token.clone()),
        (None, Some(refresh)) => {
            let session = proof.main.filter(|_| kind == CredentialKind::Session);
            Question::Renew(RefreshRequest {
                kind,
                refresh,
                session,
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
    Ok(Decision::Settled(match &facts.renewal {
        Known::NotAsked => return Ok(Decision::Needs(question)),
        Known::Found(renewed) if kind == CredentialKind::Bearer => {
            let kept = posted.as_ref().map(Secret::expose).or(proof.refresh);
            json(ApiResponse::Tokens(TokenResponse::new(
                &renewed.tokens,
                renewed.principal.expires,
                kept,
            )))
        }
        Known::Found(renewed) => done().with(vec![CookieChange::SetTokens(renewed.tokens.clone())]),
        Known::Absent(reason) => signed_out(request, site, *reason).with(cleared(kind)),
        Known::Failed(reason) => trouble(*reason),
    }))
}

/// The refresh token in the body of a client that is no browser. Beside another one in a header
/// nobody can say which is meant.
fn posted_token(
    request: &RequestView<'_>,
    site: &Site,
    facts: &Facts,
) -> Result<Option<Secret>, Stop> {
    let call = body(request, site, facts)?
        .token()
        .ok_or(Stop::Refused(Reason::RejectedInput))?;
    let in_header = request.bearer.refresh.filter(|_| site.bearer);
    match (&call.refresh_token, in_header) {
        (Some(posted), Some(header)) if posted.expose() != header => {
            Err(Stop::Refused(Reason::RejectedInput))
        }
        _ => Ok(call.refresh_token),
    }
}

fn signed_out<'a>(request: &RequestView<'a>, site: &Site, reason: Reason) -> Verdict<'a> {
    let mut problem = Problem::new(reason);
    problem.challenge = site.bearer.then(|| challenge(request));
    Verdict::reply(LocalResponse::Problem(problem), reason)
}

/// `POST /api/logout`: whatever there was, it is over.
fn logout<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Result<Decision<'a>, Stop> {
    // Where the site takes no tokens from clients, there is none to end.
    let posted = posted_token(request, site, facts)?.filter(|_| site.bearer);
    let RequestCredentials {
        kind,
        main,
        refresh,
        any,
        ..
    } = credentials::of(request, site);
    let kind = if posted.is_some() {
        CredentialKind::Bearer
    } else {
        kind
    };
    if matches!(facts.sign_out, Known::NotAsked) {
        if let Some(refresh) = posted {
            return Ok(Decision::Needs(Question::SignOutPosted {
                access: request.bearer.access,
                refresh,
            }));
        }
        if main.is_some() || refresh.is_some() {
            return Ok(Decision::Needs(Question::SignOut(PresentedCredential {
                kind,
                proof: main,
                refresh,
            })));
        }
    }
    Ok(Decision::Settled(done().with(if any {
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

pub(super) fn done<'a>() -> Verdict<'a> {
    Verdict::reply(LocalResponse::NoContent, Reason::OwnEndpoint)
}

fn json<'a>(answer: ApiResponse) -> Verdict<'a> {
    Verdict::reply(LocalResponse::Json(answer), Reason::OwnEndpoint)
}
