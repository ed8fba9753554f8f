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
//! To argue with the policy, read [`visitor`] (guarded pages), [`sign_in`], `steps` (what may
//! follow a password), [`sign_out`], [`api`] (programs),
//! [`hosted`] (FusionAuth's SDKs), [`cors`] and [`forward`].

use std::sync::Arc;

use crate::model::answer::{Answer, CookieChange, Problem};
use crate::model::credential::{CredentialKind, Renewable};
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::site::Site;
use crate::model::token::Visitor;

pub mod api;
mod api_steps;
mod circle;
pub mod cors;
pub mod endpoint;
pub mod explain;
pub mod facts;
pub mod forward;
pub mod hosted;
mod proof;
pub mod sign_in;
pub mod sign_out;
mod steps;
pub mod unsent;
pub mod visitor;

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
    Reply(Answer),
}

/// The proof that a request may be forwarded: only this room can make one, and nothing is forwarded
/// without it.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    visitor: Option<Arc<Visitor>>,
    renew_ahead: Option<Renewable<'a>>,
    /// How the proof was carried that was looked at; `None` where none was.
    kind: Option<CredentialKind>,
}

impl<'a> Grant<'a> {
    /// Whose identity goes along.
    #[must_use]
    pub fn visitor(&self) -> Option<&Arc<Visitor>> {
        self.visitor.as_ref()
    }

    /// What to renew with beside the upstream call.
    #[must_use]
    pub fn renew_ahead(&self) -> Option<Renewable<'a>> {
        self.renew_ahead
    }

    /// Whether the request's `Authorization` was the gateway's to use, and is not the application's
    /// to see.
    #[must_use]
    pub fn used_authorization(&self) -> bool {
        self.kind == Some(CredentialKind::Bearer)
    }
}

impl<'a> Verdict<'a> {
    fn reply(answer: Answer, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Reply(answer),
            cookies: Vec::new(),
            reason,
        }
    }

    fn problem(reason: Reason) -> Self {
        Self::reply(Answer::Problem(Problem::new(reason)), reason)
    }

    fn forward(grant: Grant<'a>, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Forward(grant),
            cookies: Vec::new(),
            reason,
        }
    }

    /// `forwarded`, `answered`, `redirected`, `refused` or `failed`: the outcome as metrics and
    /// logs name it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match &self.outcome {
            Outcome::Forward(_) => "forwarded",
            Outcome::Reply(_) if self.reason.is_failure() => "failed",
            Outcome::Reply(Answer::Redirect(_) | Answer::Leave { .. }) => "redirected",
            Outcome::Reply(Answer::Problem(_)) if !self.reason.answers_a_sign_in() => "refused",
            Outcome::Reply(Answer::SignInForm(_))
                if matches!(
                    self.reason,
                    Reason::CsrfFailed | Reason::Throttled | Reason::SignedOut | Reason::Revoked
                ) =>
            {
                "refused"
            }
            Outcome::Reply(Answer::StepForm(_))
                if matches!(self.reason, Reason::CsrfFailed | Reason::Throttled) =>
            {
                "refused"
            }
            Outcome::Reply(
                Answer::Problem(_)
                | Answer::SignInForm(_)
                | Answer::StepForm(_)
                | Answer::SignOutPage
                | Answer::Unsent(_)
                | Answer::ProviderAsks(_)
                | Answer::Asset(_)
                | Answer::AssertionKeys
                | Answer::Json(_)
                | Answer::Done
                | Answer::Preflight(_),
            ) => "answered",
        }
    }

    fn with(mut self, cookies: Vec<CookieChange>) -> Self {
        self.cookies = cookies;
        self
    }
}

/// Seconds a client is asked to wait after a failure that passes.
const RETRY_AFTER_TROUBLE: u32 = 5;

/// A failure that keeps every cookie: a hiccup never signs anyone out.
fn trouble<'a>(reason: Reason) -> Verdict<'a> {
    let mut problem = Problem::new(reason);
    problem.retry_after = (problem.status == 503).then_some(RETRY_AFTER_TROUBLE);
    Verdict::reply(Answer::Problem(problem), reason)
}

/// Decides about a request that passed the hygiene, at the site its host names. Never blocks, never
/// guesses: what is not in `facts` is asked for.
#[must_use]
pub fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Moment,
) -> Decision<'a> {
    match endpoint::find(site, request.target) {
        Some(endpoint) => decide_endpoint(endpoint, request, site, facts, now),
        None => visitor::decide(request, site, facts, now),
    }
}

impl Decision<'_> {
    /// A program called: what went wrong it is told as a program.
    fn for_programs(mut self) -> Self {
        if let Self::Settled(Verdict {
            outcome: Outcome::Reply(Answer::Problem(problem)),
            ..
        }) = &mut self
        {
            problem.for_programs = true;
        }
        self
    }
}

fn decide_endpoint<'a>(
    endpoint: Endpoint,
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Moment,
) -> Decision<'a> {
    let for_programs = endpoint.is_for_programs();
    if for_programs && let Some(verdict) = cors::preflight(request, site, endpoint.methods()) {
        return Decision::Settled(verdict);
    }
    if let Some(refusal) = wrong_method(&endpoint, request) {
        let refusal = Decision::Settled(refusal);
        return if for_programs {
            refusal.for_programs()
        } else {
            refusal
        };
    }
    match endpoint {
        Endpoint::Api(call) => api::decide(call, request, site, facts, now).for_programs(),
        Endpoint::Hosted(call) if for_programs => {
            hosted::decide(&call, request, site, facts, now).for_programs()
        }
        Endpoint::Hosted(call) => hosted::decide(&call, request, site, facts, now),
        Endpoint::Login => sign_in::decide(request, site, facts, now),
        Endpoint::Step(call) => steps::decide(call, request, site, facts, now),
        Endpoint::Logout => sign_out::decide(request, site, facts),
        Endpoint::Asset(name) => {
            Decision::Settled(Verdict::reply(Answer::Asset(name), Reason::OwnEndpoint))
        }
        Endpoint::AssertionKeys => {
            Decision::Settled(Verdict::reply(Answer::AssertionKeys, Reason::OwnEndpoint))
        }
    }
}

/// `405`, where the endpoint does not take the request's method.
fn wrong_method<'a>(endpoint: &Endpoint, request: &RequestView<'a>) -> Option<Verdict<'a>> {
    let mut problem = Problem::new(Reason::MethodNotAllowed);
    problem.allow = Some(endpoint.refuses(request.method)?);
    Some(Verdict::reply(
        Answer::Problem(problem),
        Reason::MethodNotAllowed,
    ))
}

#[cfg(test)]
mod tests;
