//! Requests that are answered or refused before a rule is asked, as `explain` tells them.

use http::Method;

use crate::decide::endpoint;
use crate::decide::rejection::Rejection;
use crate::decide::request_validation::validate_method;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::model::rule::Access;
use crate::model::site::Site;
use crate::model::target::Target;

use super::{ExplainedOutcome, Explanation, OWN_ENDPOINT, REFUSED, REQUEST_CHECKS};

/// Why a request is refused whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainedRejection {
    /// What the client gets.
    pub rejection: Rejection,
    /// Why, for an operator.
    pub why: &'static str,
}

/// Checks the request line as the gateway does.
///
/// # Errors
/// What the client gets, and why. A target with several readings is no error here.
pub fn validate_request_line<'a>(
    method: &Method,
    target: &'a [u8],
    site: &Site,
) -> Result<Target<'a>, ExplainedRejection> {
    validate_method(method).map_err(|rejection| ExplainedRejection {
        rejection,
        why: if rejection.status == 405 {
            "the gateway accepts no `TRACE` and no `CONNECT`"
        } else {
            "some applications take this method for the one in capital letters"
        },
    })?;
    if target.len() > site.limits.head.target {
        return Err(ExplainedRejection {
            rejection: Rejection::too_large(414),
            why: "it is longer than `max_target` of the site",
        });
    }
    Target::parse(target, site.encoded_slashes).map_err(|error| ExplainedRejection {
        rejection: error.into(),
        why: error.as_str(),
    })
}

/// The explanation of a health check, which is answered at any host; `None` for other targets.
#[must_use]
pub fn explain_health_check(method: &Method, target: &[u8]) -> Option<Explanation> {
    if validate_method(method).is_err() || !endpoint::is_health_check(target) {
        return None;
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let (outcome, reason, status) = if is_read {
        (OutcomeLabel::Answered, Reason::OwnEndpoint, 200)
    } else {
        (OutcomeLabel::Refused, Reason::MethodNotAllowed, 405)
    };
    let outcome = ExplainedOutcome {
        outcome: outcome.as_str(),
        reason: reason.as_str(),
        status: Some(status),
        location: None,
    };
    Some(Explanation {
        rule: OWN_ENDPOINT.into(),
        access: Access::Public.as_str(),
        ..for_everybody(String::new(), outcome)
    })
}

/// The explanation of a request that is refused whoever sends it.
#[must_use]
pub fn explain_rejection(site: &Site, rejected: ExplainedRejection) -> Explanation {
    let outcome = ExplainedOutcome {
        outcome: "refused",
        reason: rejected.rejection.reason.as_str(),
        status: Some(rejected.rejection.status),
        location: None,
    };
    Explanation {
        why: Some(rejected.why),
        ..for_everybody(site.name.clone(), outcome)
    }
}

/// The explanation of a request that no rule is asked about.
fn for_everybody(site: String, outcome: ExplainedOutcome) -> Explanation {
    Explanation {
        site,
        host: None,
        rule: REQUEST_CHECKS.into(),
        line: None,
        access: REFUSED,
        signed_out: outcome.clone(),
        signed_in: outcome.clone(),
        without_role: outcome,
        program: None,
        readings: Vec::new(),
        why: None,
    }
}
