//! What follows from what: every policy of the gateway, pure.
//!
//! The shell has no opinion. It asks [`decide`]; where something must be found out first it finds
//! that out, writes it into [`Facts`] and asks again; else it is settled:
//!
//! ```text
//! loop {
//!     match decide(&request, &site, &facts, now) {
//!         Decision::Needs(question) => facts.fill(fetch(question).await),
//!         Decision::Settled(verdict) => break verdict,
//!     }
//! }
//! ```
//!
//! To argue with the policy, read [`authorize`] (guarded pages), [`login`], `steps` (what may
//! follow a password), [`logout`], [`api`] (programs),
//! [`hosted_backend`] (FusionAuth's SDKs), [`cors`] and [`upstream_headers`].

use std::sync::Arc;

use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::local_response::{CookieChange, LocalResponse, Problem};
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;

pub mod api;
mod api_mfa;
pub mod authorize;
pub mod client_address;
pub mod cors;
pub mod credential_headers;
mod credentials;
pub mod endpoint;
pub mod explain;
pub mod facts;
pub mod hosted_backend;
pub mod login;
pub mod logout;
mod mfa;
pub mod preserved_post;
mod redirect_loop;
pub mod request_validation;
pub mod upstream_headers;

pub use facts::{Facts, Known, Question};

use endpoint::Endpoint;

/// Either something must be found out first, or it is settled.
#[derive(Clone, Debug)]
pub enum Decision<'a> {
    /// Find this out and ask again.
    Needs(Question<'a>),
    /// Carry this out.
    Settled(Verdict<'a>),
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub struct Verdict<'a> {
    /// On to the application, or an answer of our own.
    pub outcome: Outcome<'a>,
    /// What happens to the visitor's cookies, whoever answers.
    pub cookies: Vec<CookieChange>,
    /// Why.
    pub reason: Reason,
}

/// On to the application, or an answer of our own.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The application may see this request.
    Forward(Grant<'a>),
    /// The gateway answers.
    Reply(LocalResponse),
}

/// The proof that a request may be forwarded: only this room can make one, and nothing is forwarded
/// without it.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    principal: Option<Arc<Principal>>,
    early_refresh: Option<RefreshRequest<'a>>,
    /// How the proof was carried that was looked at; `None` where none was.
    kind: Option<CredentialKind>,
}

impl<'a> Grant<'a> {
    /// Whose identity goes along.
    #[must_use]
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// What to renew with beside the upstream call.
    #[must_use]
    pub fn early_refresh(&self) -> Option<RefreshRequest<'a>> {
        self.early_refresh
    }

    /// Whether the request's `Authorization` was the gateway's to use, and is not the application's
    /// to see.
    #[must_use]
    pub fn used_authorization(&self) -> bool {
        self.kind == Some(CredentialKind::Bearer)
    }
}

impl<'a> Verdict<'a> {
    fn reply(answer: LocalResponse, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Reply(answer),
            cookies: Vec::new(),
            reason,
        }
    }

    fn problem(reason: Reason) -> Self {
        Self::reply(LocalResponse::Problem(Problem::new(reason)), reason)
    }

    fn forward(grant: Grant<'a>, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Forward(grant),
            cookies: Vec::new(),
            reason,
        }
    }

    /// The outcome as access records, metrics and `explain` name it.
    #[must_use]
    pub fn label(&self) -> OutcomeLabel {
        match &self.outcome {
            Outcome::Forward(_) => OutcomeLabel::Forwarded,
            Outcome::Reply(_) if self.reason.is_failure() => OutcomeLabel::Failed,
            Outcome::Reply(LocalResponse::Redirect(_) | LocalResponse::AllowedRedirect { .. }) => {
                OutcomeLabel::Redirected
            }
            Outcome::Reply(LocalResponse::Problem(_)) if !self.reason.is_login_result() => {
                OutcomeLabel::Refused
            }
            Outcome::Reply(LocalResponse::LoginPage(_))
                if matches!(
                    self.reason,
                    Reason::CsrfFailed | Reason::Throttled | Reason::SignedOut | Reason::Revoked
                ) =>
            {
                OutcomeLabel::Refused
            }
            Outcome::Reply(LocalResponse::StepPage(_))
                if matches!(self.reason, Reason::CsrfFailed | Reason::Throttled) =>
            {
                OutcomeLabel::Refused
            }
            Outcome::Reply(
                LocalResponse::Problem(_)
                | LocalResponse::LoginPage(_)
                | LocalResponse::StepPage(_)
                | LocalResponse::LogoutPage
                | LocalResponse::PreservedPost(_)
                | LocalResponse::ActionRequired(_)
                | LocalResponse::Asset(_)
                | LocalResponse::AssertionKeys
                | LocalResponse::Json(_)
                | LocalResponse::NoContent
                | LocalResponse::Preflight(_),
            ) => OutcomeLabel::Answered,
        }
    }

    fn with_cookies(mut self, cookies: Vec<CookieChange>) -> Self {
        self.cookies = cookies;
        self
    }
}

/// Seconds a client is asked to wait after a failure that passes.
const RETRY_AFTER_FAILURE: u32 = 5;

/// A failure that keeps every cookie: a hiccup never signs anyone out.
fn unavailable<'a>(reason: Reason) -> Verdict<'a> {
    let mut problem = Problem::new(reason);
    problem.retry_after = (problem.status == 503).then_some(RETRY_AFTER_FAILURE);
    Verdict::reply(LocalResponse::Problem(problem), reason)
}

/// Decides about a request that passed the hygiene, at the site its host names. Never blocks, never
/// guesses: what is not in `facts` is asked for.
#[must_use]
pub fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    match endpoint::find(site, request.target) {
        Some(endpoint) => decide_endpoint(endpoint, request, site, facts, now),
        None => authorize::decide(request, site, facts, now),
    }
}

impl Decision<'_> {
    /// A program called: what went wrong it is told as a program.
    fn for_api_client(mut self) -> Self {
        if let Self::Settled(Verdict {
            outcome: Outcome::Reply(LocalResponse::Problem(problem)),
            ..
        }) = &mut self
        {
            problem.for_api_client = true;
        }
        self
    }
}

fn decide_endpoint<'a>(
    endpoint: Endpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let for_programs = endpoint.is_for_api_clients();
    if for_programs && let Some(verdict) = cors::preflight(request, site, endpoint.methods()) {
        return Decision::Settled(verdict);
    }
    if let Some(refusal) = wrong_method(&endpoint, request) {
        let refusal = Decision::Settled(refusal);
        return if for_programs {
            refusal.for_api_client()
        } else {
            refusal
        };
    }
    match endpoint {
        Endpoint::Api(call) => api::decide(call, request, site, facts, now).for_api_client(),
        Endpoint::Hosted(call) if for_programs => {
            hosted_backend::decide(&call, request, site, facts, now).for_api_client()
        }
        Endpoint::Hosted(call) => hosted_backend::decide(&call, request, site, facts, now),
        Endpoint::Login => login::decide(request, site, facts, now),
        Endpoint::Step(call) => mfa::decide(call, request, site, facts, now),
        Endpoint::Logout => logout::decide(request, site, facts),
        Endpoint::Asset(name) => Decision::Settled(Verdict::reply(
            LocalResponse::Asset(name),
            Reason::OwnEndpoint,
        )),
        Endpoint::AssertionKeys => Decision::Settled(Verdict::reply(
            LocalResponse::AssertionKeys,
            Reason::OwnEndpoint,
        )),
    }
}

/// `405`, where the endpoint does not take the request's method.
fn wrong_method<'a>(endpoint: &Endpoint, request: &RequestView<'a>) -> Option<Verdict<'a>> {
    let mut problem = Problem::new(Reason::MethodNotAllowed);
    problem.allow = Some(endpoint.disallows(request.method)?);
    Some(Verdict::reply(
        LocalResponse::Problem(problem),
        Reason::MethodNotAllowed,
    ))
}

#[cfg(test)]
mod tests;
