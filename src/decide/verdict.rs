//! What [`decide`](super::decide) returns: a question, or a verdict.

use std::sync::Arc;

use crate::model::application_cookies::OwnerHash;
use crate::model::cookie_change::CookieChange;
use crate::model::credential::RefreshRequest;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::model::token::Principal;

use super::facts::Question;

/// Either a fact is missing, or the request is decided.
#[derive(Clone, Debug)]
pub enum Decision<'a> {
    /// The caller finds this out, stores it in [`Facts`](super::Facts) and asks again.
    Needs(Question<'a>),
    /// The caller carries this out.
    Settled(Verdict<'a>),
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub struct Verdict<'a> {
    /// Who answers: the application or the gateway.
    pub outcome: Outcome<'a>,
    /// The changes to the client's cookies, whoever answers.
    pub cookies: Vec<CookieChange>,
    /// What becomes of the application's cookies that `forget` names; `None` at a site without it,
    /// and for a response of the gateway's own that logs nobody in.
    pub application_cookies: Option<ApplicationCookies>,
    /// The reason code for the client, logs, metrics and `explain`.
    pub reason: Reason,
}

/// What becomes of the application's cookies that `forget` names, of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplicationCookies {
    /// Whether those of the request reach the application.
    pub request: RequestCookies,
    /// Whose those of the response are; `None` for nobody's.
    pub owner: Option<OwnerHash>,
}

/// Whether the named cookies of a request reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestCookies {
    /// They are forwarded.
    Kept,
    /// They are another user's, and taken out.
    Removed,
}

/// Who answers a request.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The application: the request is forwarded.
    Forward(Grant<'a>),
    /// The gateway, with this response.
    Reply(LocalResponse),
}

/// The permission to forward one request. Its fields are private, so only `decide` can grant one,
/// and the proxy forwards nothing without it.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    principal: Option<Arc<Principal>>,
    early_refresh: Option<RefreshRequest<'a>>,
    authorization: AuthorizationUse,
}

/// Whether the request's `Authorization` field was meant for the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthorizationUse {
    Unused,
    Used,
}

/// The value of `Retry-After` after a failure that is expected to pass, in seconds.
pub(super) const RETRY_AFTER_FAILURE: u32 = 5;

impl Decision<'_> {
    /// The same decision for a request whose `Authorization` field was meant for the gateway.
    pub(super) fn by_authorization(mut self) -> Self {
        if let Self::Settled(Verdict {
            outcome: Outcome::Forward(grant),
            ..
        }) = &mut self
        {
            grant.authorization = AuthorizationUse::Used;
        }
        self
    }

    /// Marks a problem response as one for an API client, which gets a problem document and never
    /// a page, whatever its `Accept` says.
    pub(super) fn for_api_client(mut self) -> Self {
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

impl<'a> Verdict<'a> {
    /// The gateway answers with `response`.
    pub(super) fn reply(response: LocalResponse, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Reply(response),
            cookies: Vec::new(),
            application_cookies: None,
            reason,
        }
    }

    /// The gateway answers with a problem that has no details beyond its reason code.
    pub(super) fn problem(reason: Reason) -> Self {
        Self::reply(LocalResponse::Problem(Problem::new(reason)), reason)
    }

    /// A failure of the gateway, the provider or the store. It changes no cookie: an outage must
    /// not log anyone out. A `503` asks the client to retry after [`RETRY_AFTER_FAILURE`] seconds.
    pub(super) fn unavailable(reason: Reason) -> Self {
        let mut problem = Problem::new(reason);
        problem.retry_after = (problem.status == 503).then_some(RETRY_AFTER_FAILURE);
        Self::reply(LocalResponse::Problem(problem), reason)
    }

    /// The request is forwarded.
    pub(super) fn forward(grant: Grant<'a>, reason: Reason) -> Self {
        Self {
            outcome: Outcome::Forward(grant),
            cookies: Vec::new(),
            application_cookies: None,
            reason,
        }
    }

    /// The same verdict with these changes to the client's cookies.
    pub(super) fn with_cookies(mut self, cookies: Vec<CookieChange>) -> Self {
        self.cookies = cookies;
        self
    }

    /// The outcome, as access records, metrics and `explain` name it.
    #[must_use]
    pub fn label(&self) -> OutcomeLabel {
        match &self.outcome {
            Outcome::Forward(_) => OutcomeLabel::Forwarded,
            Outcome::Reply(_) if self.reason.is_failure() => OutcomeLabel::Failed,
            Outcome::Reply(
                LocalResponse::Redirect(_)
                | LocalResponse::ProviderRedirect(_)
                | LocalResponse::AllowedRedirect { .. }
                | LocalResponse::HttpsRedirect(_)
                | LocalResponse::LinkedPage(_),
            ) => OutcomeLabel::Redirected,
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
                | LocalResponse::SignedOutPage
                | LocalResponse::PrefetchRefused
                | LocalResponse::Hook(_)
                | LocalResponse::HealthCheck(_)
                | LocalResponse::AcmeChallenge(_)
                | LocalResponse::Allowed
                | LocalResponse::PreservedPost(_)
                | LocalResponse::Asset(_)
                | LocalResponse::AssertionKeys
                | LocalResponse::Json(_)
                | LocalResponse::NoContent
                | LocalResponse::Preflight(_),
            ) => OutcomeLabel::Answered,
        }
    }
}

impl<'a> Grant<'a> {
    /// Forwards a request without an identity. Whatever its `Authorization` holds proved nobody to
    /// the gateway: it may be meant for the application.
    pub(super) fn anonymous() -> Self {
        Self {
            principal: None,
            early_refresh: None,
            authorization: AuthorizationUse::Unused,
        }
    }

    /// Forwards a request with the identity of `principal`.
    pub(super) fn authenticated(
        principal: Arc<Principal>,
        early_refresh: Option<RefreshRequest<'a>>,
    ) -> Self {
        Self {
            principal: Some(principal),
            early_refresh,
            authorization: AuthorizationUse::Unused,
        }
    }

    /// The same grant for a request whose `Authorization` field was meant for the gateway.
    pub(super) fn by_authorization(mut self) -> Self {
        self.authorization = AuthorizationUse::Used;
        self
    }

    /// The user whose identity is forwarded; `None` for an anonymous request.
    #[must_use]
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// The refresh to run beside the upstream call, because the access token expires soon.
    #[must_use]
    pub fn early_refresh(&self) -> Option<RefreshRequest<'a>> {
        self.early_refresh
    }

    /// Whether the request's `Authorization` field was meant for the gateway: it proved who the
    /// user is, or would have. The application must not see it then.
    #[must_use]
    pub fn used_authorization(&self) -> bool {
        self.authorization == AuthorizationUse::Used
    }
}
