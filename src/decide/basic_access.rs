//! Requests with Basic credentials, on rules with `basic = true`
//! (`docs/guide/api-clients.md#clients-that-send-a-password-with-each-request`).
//!
//! * They come before every other credential but service tokens. What else the request carries is
//!   ignored, and no cookie changes.
//! * The credentials of a browser are not the gateway's: browsers send them by themselves once an
//!   application has asked for a password.
//! * Wrong ones are refused, also where access is `optional`: a program with a wrong password must
//!   learn it, instead of being served as a stranger. So is an account from which the provider asks
//!   for a further step, which such a client cannot take.
//! * The application never sees them: not on `public` pages, and not beside a service token in a
//!   header of its own. `authorize` sees to that.
//! * They count for pages of the application, and for `POST /api/logout`, which forgets them.

use crate::model::authorization::BasicCredentials;
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::rule::Access;
use crate::model::site::{Requirement, Site};

use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Grant, Verdict};

/// The Basic credentials of a request that are the gateway's to check.
pub(super) fn presented<'a>(
    request: &RequestView<'a>,
    requirement: &Requirement<'_>,
) -> Option<BasicCredentials<'a>> {
    let credentials = request.basic.filter(|_| requirement.basic)?;
    (!request.is_from_browser()).then_some(credentials)
}

/// The Basic credentials that `POST /api/logout` forgets.
pub(super) fn at_logout<'a>(
    request: &RequestView<'a>,
    site: &Site,
) -> Option<BasicCredentials<'a>> {
    let credentials = request.basic.filter(|_| site.takes_basic())?;
    (!request.is_from_browser()).then_some(credentials)
}

/// Decides about a request with these credentials for a page that is not public.
pub(super) fn decide<'a>(
    credentials: BasicCredentials<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    facts: &Facts,
) -> Decision<'a> {
    let is_optional = requirement.access == Access::Optional;
    Decision::Settled(match &facts.basic {
        Known::NotAsked => return Decision::Needs(Question::CheckBasic(credentials)),
        Known::Found(login)
            if is_optional || login.principal.identity.has_any_role(requirement.roles) =>
        {
            let grant = Grant::authenticated(login.principal.clone(), None);
            Verdict::forward(grant, login.reason)
        }
        Known::Found(_) => Verdict::problem(Reason::RoleMissing),
        Known::Absent(refused) => refuse(site, refused),
        Known::Failed(_) if is_optional => Verdict::forward(Grant::anonymous(), Reason::Anonymous),
        Known::Failed(reason) => Verdict::unavailable(*reason),
    })
}

/// A refused sign-in: its code alone. A challenge would be of no use to a client that sends the
/// same field again.
fn refuse<'a>(site: &Site, refused: &LoginRefused) -> Verdict<'a> {
    let mut problem = Problem::new(refused.reason);
    problem.retry_after = refused.retry_after;
    problem.www_authenticate = (problem.status == 401).then(|| challenge(site));
    problem.for_api_client = true;
    Verdict::reply(LocalResponse::Problem(problem), refused.reason)
}

/// The challenge for Basic (RFC 7617, section 2). The name of a site has no character to be quoted.
pub(super) fn challenge(site: &Site) -> String {
    format!("Basic realm=\"{}\"", site.name)
}
