//! Pages of the application: who may see them (`docs/reference/request-handling.md`, from the rules
//! on).
//!
//! The first rule that matches the request decides (see [`Site::match_rule`]), in this order:
//!
//! 1. A `public` page is forwarded without looking at credentials, and without an identity. Basic
//!    credentials that are the gateway's are removed.
//! 2. A CORS preflight of a listed origin to a `required` page is answered by the gateway. Browsers
//!    send it without credentials, so the page's own policy could only refuse it.
//! 3. A service token is checked by itself, see `service_access`, and so are Basic credentials, see
//!    `basic_access`.
//! 4. An `optional` page is forwarded with the identity where the credentials prove one, and
//!    anonymously otherwise, also while the provider is unavailable.
//! 5. A `required` page needs an authenticated user with one of the rule's roles. Everybody else is
//!    sent to log in, or refused. While the provider is unavailable, nobody is refused: the answer
//!    is `503`, and cookies are kept.
//! 6. A cross-site write with cookies is refused. Browsers attach cookies on their own, but
//!    never headers, so bearer tokens are exempt.

use std::time::Duration;

use crate::model::cookie_change::CookieChange;
use crate::model::credential::CredentialKind;
use crate::model::local_response::{LocalResponse, Problem, SwitchUser};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::rule::Access;
use crate::model::site::{Requirement, Site};
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;

use super::auth_status::{AuthStatus, AuthenticatedPrincipal, auth_status};
use super::basic_access;
use super::cors;
use super::facts::Facts;
use super::preserved_post::{self, Preserve};
use super::redirect_loop;
use super::service_access;
use super::unauthenticated::{deny_unauthenticated, return_address};
use super::verdict::{Decision, Grant, Outcome, Verdict};

/// Decides about a request for a page of the application.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let requirement = site.match_rule(
        request.method,
        request.target.decoded_path(),
        request.client,
    );
    let decision = authorize(request, site, &requirement, facts, now);
    // Whatever lets such a request pass, the application must not see the password.
    match basic_access::presented(request, &requirement) {
        Some(_) => decision.by_authorization(),
        None => decision,
    }
}

/// Decides about a request for a page with this requirement.
fn authorize<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if requirement.access == Access::Public {
        return Decision::Settled(Verdict::forward(Grant::anonymous(), Reason::Public));
    }
    if requirement.access == Access::Required
        && let Some(verdict) = cors::preflight(request, site, cors::ANY_METHOD)
    {
        return Decision::Settled(verdict);
    }
    if let Some(verdict) = service_access::decide(request, site, requirement, now) {
        return Decision::Settled(verdict);
    }
    if let Some(credentials) = basic_access::presented(request, requirement) {
        return basic_access::decide(credentials, site, requirement, facts);
    }
    let is_optional = requirement.access == Access::Optional;
    let forward_anonymous = || Verdict::forward(Grant::anonymous(), Reason::Anonymous);
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Authenticated(user) => admit(request, site, requirement, user, now),
        AuthStatus::Anonymous(_, cookies) if is_optional => {
            forward_anonymous().with_cookies(cookies)
        }
        AuthStatus::Anonymous(reason, cookies) => {
            let denied = Denied { reason, cookies };
            return deny(request, site, requirement, facts, denied);
        }
        AuthStatus::Unavailable(_) if is_optional => forward_anonymous(),
        AuthStatus::Unavailable(reason) => Verdict::unavailable(reason),
        AuthStatus::Refused(reason) => Verdict::problem(reason),
    })
}

/// Why the credentials of a request prove nobody, and the cookies to clear for it.
struct Denied {
    reason: Reason,
    cookies: Vec<CookieChange>,
}

/// An unauthenticated request for a page that requires a login: a posted form is preserved for
/// after the login; a redirect is stopped where it is one of a loop.
fn deny<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    facts: &Facts,
    Denied { reason, cookies }: Denied,
) -> Decision<'a> {
    match preserved_post::preserve(request, site, requirement, facts) {
        Preserve::Needs(question) => Decision::Needs(question),
        Preserve::Page(page) => {
            let verdict = Verdict::reply(LocalResponse::LoginPage(page), reason);
            Decision::Settled(verdict.with_cookies(cookies))
        }
        Preserve::Nothing => {
            let verdict = deny_unauthenticated(request, site, requirement, reason);
            let verdict = verdict.with_cookies(cookies);
            match &verdict.outcome {
                Outcome::Reply(LocalResponse::Redirect(_)) => {
                    redirect_loop::before_login(request, site, facts, verdict)
                }
                Outcome::Reply(_) | Outcome::Forward(_) => Decision::Settled(verdict),
            }
        }
    }
}

/// An authenticated request: roles first, then cross-site writes. Either refusal keeps the cookies
/// of a refresh, whose old refresh token may be spent.
fn admit<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    user: AuthenticatedPrincipal<'a>,
    now: Timestamp,
) -> Verdict<'a> {
    let AuthenticatedPrincipal {
        principal,
        kind,
        cookies,
        reason,
        unused_refresh,
    } = user;
    if requirement.access == Access::Required && !principal.identity.has_any_role(requirement.roles)
    {
        return role_missing(request, &principal, kind).with_cookies(cookies);
    }
    if kind != CredentialKind::Bearer && is_csrf(request, site) {
        return Verdict::problem(Reason::CrossSiteRequest).with_cookies(cookies);
    }
    // The new tokens of a bearer client are sent in response headers, which scripts can read.
    let is_browser_bearer = kind == CredentialKind::Bearer && request.fetch_metadata.is_browser;
    let early_refresh = unused_refresh.filter(|_| {
        let is_prevented = is_browser_bearer || request.is_prefetch();
        !is_prevented && principal.expires_within(early_refresh_window(request, site), now)
    });
    let mut grant = Grant::authenticated(principal, early_refresh);
    // With a refresh token alone, the field is none of the gateway's, such as `Basic`.
    if kind == CredentialKind::Bearer && request.bearer.access.is_some() {
        grant = grant.by_authorization();
    }
    Verdict::forward(grant, reason).with_cookies(cookies)
}

/// `403`: who is signed in has no access, and may sign in as somebody else.
fn role_missing<'a>(
    request: &RequestView<'_>,
    principal: &Principal,
    kind: CredentialKind,
) -> Verdict<'a> {
    let mut problem = Problem::new(Reason::RoleMissing);
    if kind != CredentialKind::Bearer {
        let identity = &principal.identity;
        let name = identity.email.as_ref().or(identity.username.as_ref());
        problem.switch_user = Some(SwitchUser {
            signed_in_as: name.unwrap_or(&identity.sub).clone(),
            return_to: return_address(request),
        });
    }
    Verdict::reply(LocalResponse::Problem(problem), Reason::RoleMissing)
}

/// How long before its expiry a token is refreshed: `refresh_ahead`, twice that for unsafe methods,
/// so that what users write seldom meets an expired login. A third of the token's lifetime bounds
/// both, see [`Principal::expires_within`](crate::model::token::Principal::expires_within).
fn early_refresh_window(request: &RequestView<'_>, site: &Site) -> Duration {
    if request.is_unsafe() {
        site.refresh_ahead.saturating_mul(2)
    } else {
        site.refresh_ahead
    }
}

/// Whether a page of another site makes the user's browser write, or open a WebSocket, with the
/// user's cookies (`docs/reference/request-handling.md#cross-site-writes`). Only `Origin` and
/// `Sec-Fetch-Site` count: current browsers send one of them with every write, and no page can
/// forge either. `Referer` is not consulted.
fn is_csrf(request: &RequestView<'_>, site: &Site) -> bool {
    let metadata = &request.fetch_metadata;
    if !request.is_unsafe() && !metadata.is_websocket {
        return false;
    }
    if metadata.origin.is_none() && metadata.fetch_site.is_none() {
        return false;
    }
    request.provenance(site) == Provenance::CrossOrigin
}
