//! `vestibule explain`: what three kinds of client would get for a request, and which readings
//! others have of its path.
//!
//! The answers come from [`decide`] itself, asked with facts that are made up: nobody is logged in,
//! somebody with the given roles is, somebody without any role is. So they cannot differ from what
//! a request gets.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::credential::CredentialKind;
use crate::model::identity::Identity;
use crate::model::local_response::LocalResponse;
use crate::model::path_readings::other_readings;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::{PresentedCookie, PresentedCookies};
use crate::model::rule::{Access, RuleClient};
use crate::model::site::Site;
use crate::model::target::Target;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, Session};

use super::decide;
use super::endpoint;
use super::facts::{Facts, Known};
use super::rejection::Rejection;
use super::request_target::find_ambiguity;
use super::verdict::{Decision, Outcome};

mod before_rules;

pub use before_rules::{
    ExplainedRejection, explain_health_check, explain_rejection, validate_request_line,
};

/// In place of a rule: the gateway answers.
pub const OWN_ENDPOINT: &str = "own endpoint";
/// In place of a rule: the request is refused before a rule is asked.
pub const REQUEST_CHECKS: &str = "request checks";
/// The access of such a request.
pub const REFUSED: &str = "refused";

/// What would happen to a request (`docs/reference/commands.md#explain`).
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The name of the site; empty for a request that belongs to none.
    pub site: String,
    /// The host of the site, where the caller left its port out: a request without it gets `421`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The pattern of the rule that matches, `default_access` where none does, [`OWN_ENDPOINT`] or
    /// [`REQUEST_CHECKS`].
    pub rule: String,
    /// The line of the rule in the configuration, where a rule matches and the caller knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The access that the rule asks for; `refused` where no rule is asked.
    pub access: &'static str,
    /// For a person who opens the page without any credential.
    pub signed_out: ExplainedOutcome,
    /// For a user with the given roles; where none was given, with the rule's first role.
    pub signed_in: ExplainedOutcome,
    /// For a user without any role.
    pub without_role: ExplainedOutcome,
    /// For a program without a form that sends no credentials yet, where the rule takes Basic
    /// credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<ExplainedOutcome>,
    /// Every reading that an application may have of the path, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<ExplainedReading>,
    /// Why the request passes in spite of its readings, or is refused before a rule is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

/// A path that an application may read in place of the one that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedReading {
    /// The path, decoded. What is not UTF-8 is replaced.
    pub path: String,
    /// What it meets, as in [`Explanation::rule`].
    pub rule: String,
    /// The access that the rule asks for.
    pub access: &'static str,
}

/// What one client would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedOutcome {
    /// `forwarded`, `answered`, `redirected`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The reason code of the decision.
    pub reason: &'static str,
    /// The status of the gateway's response; absent where the application answers.
    pub status: Option<u16>,
    /// The address of a redirect.
    pub location: Option<String>,
}

/// The request that is explained.
#[derive(Clone, Copy, Debug)]
pub struct ExplainedRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The validated target.
    pub target: &'a Target<'a>,
    /// What the conditions of rules are checked against.
    pub client: RuleClient<'a>,
}

/// Explains a request at `site`.
#[must_use]
pub fn explain(site: &Site, request: &ExplainedRequest<'_>, roles: &[String]) -> Explanation {
    let ExplainedRequest {
        method,
        target,
        client,
    } = *request;
    let readings = explain_readings(site, request);
    if let Some(ambiguity) = find_ambiguity(target, method, client, site) {
        let rejected = ExplainedRejection {
            rejection: Rejection::MALFORMED,
            why: ambiguity.as_str(),
        };
        return Explanation {
            readings,
            ..explain_rejection(site, rejected)
        };
    }
    let requirement = site.match_rule(method, target.decoded_path(), client);
    let (rule, access) = met_by(site, request, target.decoded_path());
    let with_role = if roles.is_empty() {
        requirement.roles.iter().take(1).cloned().collect()
    } else {
        roles.to_vec()
    };
    Explanation {
        site: site.name.clone(),
        host: None,
        rule: rule.into(),
        line: None,
        access: access.as_str(),
        signed_out: explain_outcome(site, request, None),
        signed_in: explain_outcome(site, request, Some(with_role)),
        without_role: explain_outcome(site, request, Some(Vec::new())),
        program: (requirement.basic && access != Access::Public)
            .then(|| explain_program(site, request)),
        why: (!readings.is_empty()).then_some("every reading meets the same rule"),
        readings,
    }
}

/// The readings of the path, the decoded path first. Empty where there is only that one.
fn explain_readings(site: &Site, request: &ExplainedRequest<'_>) -> Vec<ExplainedReading> {
    let target = request.target;
    let others = other_readings(target).unwrap_or_default();
    if others.is_empty() {
        return Vec::new();
    }
    let first = std::iter::once(target.decoded_path());
    first
        .chain(others.iter().map(Vec::as_slice))
        .map(|path| {
            let (rule, access) = met_by(site, request, path);
            ExplainedReading {
                path: String::from_utf8_lossy(path).into_owned(),
                rule: rule.to_owned(),
                access: access.as_str(),
            }
        })
        .collect()
}

/// What a decoded path meets: the pattern of a rule, or another word of [`Explanation::rule`].
fn met_by<'a>(site: &'a Site, request: &ExplainedRequest<'_>, path: &[u8]) -> (&'a str, Access) {
    if endpoint::find_reading(site, path, request.target.query()).is_some() {
        return (OWN_ENDPOINT, Access::Public);
    }
    let requirement = site.match_rule(request.method, path, request.client);
    let rule = requirement.pattern.map_or("default_access", |it| it);
    (rule, requirement.access)
}

/// The outcome for a navigation of a user with `roles` who follows a link of the site or presses a
/// button there; `None` for one without credentials.
fn explain_outcome(
    site: &Site,
    explained: &ExplainedRequest<'_>,
    roles: Option<Vec<String>>,
) -> ExplainedOutcome {
    let mut cookies = PresentedCookies::default();
    let mut facts = Facts {
        // The first redirect, which is no loop.
        redirects: Known::Found(1),
        preserved_post: Known::Found("explained".into()),
        ..Facts::default()
    };
    if let Some(roles) = roles {
        let cookie = PresentedCookie::Single("explained".into());
        let principal = Arc::new(explained_principal(roles));
        match site.credential {
            CredentialKind::Session => {
                cookies.session = cookie;
                facts.session = Known::Found(Session {
                    principal,
                    access: None,
                });
            }
            CredentialKind::Jwt | CredentialKind::Bearer => {
                cookies.access = cookie.clone();
                cookies.refresh = cookie;
                facts.token = Known::Found(principal);
            }
        }
        facts.logout = Known::Found(None);
    }
    let navigation = FetchMetadata {
        accept: Some("text/html"),
        fetch_mode: Some("navigate"),
        fetch_site: Some("same-origin"),
        ..FetchMetadata::default()
    };
    let request = RequestView {
        fetch_metadata: navigation,
        ..view(explained, &cookies)
    };
    explain_decision(&decide(&request, site, &facts, Timestamp::from_secs(0)))
}

/// The outcome for a program that has no credentials.
fn explain_program(site: &Site, explained: &ExplainedRequest<'_>) -> ExplainedOutcome {
    let cookies = PresentedCookies::default();
    let request = view(explained, &cookies);
    let decision = decide(&request, site, &Facts::default(), Timestamp::from_secs(0));
    explain_decision(&decision)
}

/// The request of a client that says nothing about itself.
fn view<'a>(
    explained: &ExplainedRequest<'a>,
    cookies: &'a PresentedCookies<'a>,
) -> RequestView<'a> {
    RequestView {
        method: explained.method,
        target: explained.target,
        cookies,
        bearer: BearerTokens::default(),
        basic: None,
        fetch_metadata: FetchMetadata::default(),
        client: explained.client,
    }
}

fn explain_decision(decision: &Decision<'_>) -> ExplainedOutcome {
    let verdict = match decision {
        // A posted form or body: what follows depends on what is in it.
        Decision::Needs(_) => {
            return ExplainedOutcome {
                outcome: "answered",
                reason: "own_endpoint",
                status: None,
                location: None,
            };
        }
        Decision::Settled(verdict) => verdict,
    };
    let (status, location) = match &verdict.outcome {
        Outcome::Forward(_) => (None, None),
        Outcome::Reply(response) => status_and_location(response),
    };
    ExplainedOutcome {
        outcome: verdict.label().as_str(),
        reason: verdict.reason.as_str(),
        status,
        location,
    }
}

fn status_and_location(response: &LocalResponse) -> (Option<u16>, Option<String>) {
    match response {
        LocalResponse::Redirect(redirect) => {
            (Some(redirect.status), Some(redirect.location.to_string()))
        }
        LocalResponse::ProviderRedirect(redirect) => {
            let address = redirect.address.as_str().to_owned();
            (Some(redirect.status), Some(address))
        }
        LocalResponse::AllowedRedirect { to, .. } => (Some(302), Some(to.as_str().to_owned())),
        LocalResponse::LinkedPage(link) => (Some(302), Some(link.as_str().to_owned())),
        LocalResponse::HttpsRedirect(location) => (Some(308), Some(location.clone())),
        LocalResponse::PrefetchRefused => (Some(503), None),
        LocalResponse::Hook(answer) => (Some(answer.status), None),
        LocalResponse::Problem(problem) => (Some(problem.status), None),
        LocalResponse::LoginPage(page) => (Some(page.status), None),
        LocalResponse::StepPage(page) => (Some(page.status), None),
        LocalResponse::LogoutPage
        | LocalResponse::SignedOutPage
        | LocalResponse::HealthCheck(_)
        | LocalResponse::AcmeChallenge(_)
        | LocalResponse::Allowed
        | LocalResponse::PreservedPost(_)
        | LocalResponse::AssertionKeys
        | LocalResponse::Json(_) => (Some(200), None),
        // Whether there is such a file is not known here.
        LocalResponse::Asset(_) => (None, None),
        LocalResponse::NoContent | LocalResponse::Preflight(_) => (Some(204), None),
    }
}

fn explained_principal(roles: Vec<String>) -> Principal {
    let identity = Identity {
        sub: "somebody".into(),
        email: None,
        email_verified: false,
        username: None,
        roles,
        claims: Map::<String, Value>::new(),
    };
    Principal {
        identity,
        issued_at: Timestamp::from_secs(0),
        expires_at: Timestamp::from_secs(0).plus(Duration::from_secs(3600)),
        revocation_key: RevocationKey("explained".into()),
        identity_headers: Vec::new(),
    }
}
