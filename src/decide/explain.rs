//! The decision's narrated twin: what three kinds of visitor would get, told by asking
//! [`super::decide`] itself.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::model::cookie::{PresentedCookie, PresentedCookies};
use crate::model::credential::CredentialKind;
use crate::model::identity::Identity;
use crate::model::local_response::LocalResponse;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::rule::Access;
use crate::model::site::Site;
use crate::model::target::Target;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, Session};

use super::endpoint;
use super::facts::{Facts, Known};
use super::{Decision, Outcome, decide};

/// What would happen to a request (`docs/reference/commands.md#explain`).
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The site's name.
    pub site: String,
    /// The rule that matches, as written; `default_access` where none does, or the gateway's own
    /// endpoint.
    pub rule: String,
    /// What it asks for.
    pub access: &'static str,
    /// For a person's navigation without any credential.
    pub signed_out: ExplainedOutcome,
    /// For somebody signed in with the given roles, or with the rule's first role where none was
    /// given.
    pub signed_in: ExplainedOutcome,
    /// For somebody signed in without any role.
    pub without_role: ExplainedOutcome,
}

/// What one visitor would get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedOutcome {
    /// `forwarded`, `answered`, `redirected`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// The status of the gateway's answer; absent where the application answers.
    pub status: Option<u16>,
    /// Where a redirect leads.
    pub location: Option<String>,
}

/// Explains `method` on `target` at `site`.
#[must_use]
pub fn explain(site: &Site, target: &Target<'_>, method: &Method, roles: &[String]) -> Explanation {
    let requirement = site.match_rule(method, target.decoded_path());
    let own = endpoint::find(site, target).is_some();
    let with_role = if roles.is_empty() {
        requirement.roles.iter().take(1).cloned().collect()
    } else {
        roles.to_vec()
    };
    Explanation {
        site: site.name.clone(),
        rule: if own {
            "own endpoint".into()
        } else {
            requirement
                .pattern
                .map_or("default_access", |pattern| pattern)
                .into()
        },
        access: if own {
            Access::Public.as_str()
        } else {
            requirement.access.as_str()
        },
        signed_out: explain_outcome(site, target, method, None),
        signed_in: explain_outcome(site, target, method, Some(with_role)),
        without_role: explain_outcome(site, target, method, Some(Vec::new())),
    }
}

fn explain_outcome(
    site: &Site,
    target: &Target<'_>,
    method: &Method,
    roles: Option<Vec<String>>,
) -> ExplainedOutcome {
    let mut cookies = PresentedCookies::default();
    // Whoever comes for the first time.
    let mut facts = Facts {
        redirects: Known::Found(1),
        ..Facts::default()
    };
    if let Some(roles) = roles {
        let (explained, principal) = (
            PresentedCookie::Single("explained".into()),
            Arc::new(explained_principal(roles)),
        );
        match site.credential {
            CredentialKind::Session => {
                cookies.session = explained;
                facts.session = Known::Found(Session {
                    principal,
                    access: None,
                });
            }
            CredentialKind::Jwt | CredentialKind::Bearer => {
                cookies.access = explained;
                facts.token = Known::Found(principal);
            }
        }
        facts.logout = Known::Found(());
    }
    let marks = FetchMetadata {
        accept: Some("text/html"),
        fetch_mode: Some("navigate"),
        ..FetchMetadata::default()
    };
    let request = RequestView {
        method,
        target,
        cookies: &cookies,
        bearer: BearerTokens::default(),
        fetch_metadata: marks,
    };
    match decide(&request, site, &facts, Timestamp::from_secs(0)) {
        // A posted sign-in form: what comes of it is the provider's to say.
        Decision::Needs(_) => ExplainedOutcome {
            outcome: "answered",
            reason: "own_endpoint",
            status: None,
            location: None,
        },
        Decision::Settled(verdict) => {
            let (status, location) = match &verdict.outcome {
                Outcome::Forward(_) => (None, None),
                Outcome::Reply(answer) => status_and_location(answer),
            };
            ExplainedOutcome {
                outcome: verdict.label().as_str(),
                reason: verdict.reason.as_str(),
                status,
                location,
            }
        }
    }
}

fn status_and_location(answer: &LocalResponse) -> (Option<u16>, Option<String>) {
    match answer {
        LocalResponse::Redirect(redirect) => {
            (Some(redirect.status), Some(redirect.location.to_string()))
        }
        LocalResponse::AllowedRedirect { to, .. } => (Some(302), Some(to.as_str().to_owned())),
        LocalResponse::Problem(problem) => (Some(problem.status), None),
        LocalResponse::LoginPage(form) => (Some(form.status), None),
        LocalResponse::StepPage(form) => (Some(form.status), None),
        LocalResponse::ActionRequired(asks) => (Some(asks.status), None),
        LocalResponse::LogoutPage
        | LocalResponse::PreservedPost(_)
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys
        | LocalResponse::Json(_) => (Some(200), None),
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
