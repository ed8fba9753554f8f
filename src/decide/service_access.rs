//! Requests with a service token (`docs/guide/service-tokens.md`).
//!
//! * A service token comes before every other credential. What else the request carries is ignored,
//!   and no cookie changes.
//! * A token that proves nobody is refused with `401`, also where access is `optional`: a program
//!   whose token has expired must learn it, instead of being served as a stranger.
//! * A token counts for pages of the application only, not at the gateway's own endpoints.
//! * At a site without service tokens, a bearer token that looks like one is the application's.

use std::sync::Arc;

use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::rule::Access;
use crate::model::service_token::{ServiceToken, ServiceTokenError};
use crate::model::site::{Requirement, Site};
use crate::model::timestamp::Timestamp;

use super::unauthenticated::unauthorized;
use super::verdict::{Grant, Verdict};

/// Decides about a request with a service token for a page that is not public; `None` where the
/// request has none.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    now: Timestamp,
) -> Option<Verdict<'a>> {
    let presented = request
        .bearer
        .service
        .filter(|_| !site.service_tokens.is_empty())?;
    Some(match site.service_tokens.check(presented, now) {
        Ok(token) if may_access(token, requirement) => {
            let grant = Grant::authenticated(Arc::clone(&token.principal), None);
            Verdict::forward(grant, Reason::ServiceToken)
        }
        Ok(_) => Verdict::problem(Reason::RoleMissing),
        Err(ServiceTokenError::Expired) => unauthorized(request, site, Reason::ServiceTokenExpired),
        Err(ServiceTokenError::Unknown) => unauthorized(request, site, Reason::ServiceTokenInvalid),
    })
}

/// Whether the token may meet the rule, and has one of its roles.
fn may_access(token: &ServiceToken, requirement: &Requirement<'_>) -> bool {
    let has_role = requirement.access != Access::Required
        || token.principal.identity.has_any_role(requirement.roles);
    has_role && token.may_meet(requirement.pattern.map(|pattern| &**pattern))
}
