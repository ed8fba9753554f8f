//! What an unauthenticated request gets where a login is required.
//!
//! * A navigation (a person opens a page) is redirected to the login page, which leads back to the
//!   page afterwards. Everything else (scripts, API clients, writes) gets `401` with the reason.
//! * A rule may force either with `signed_out = "redirect"` or `"status"`.
//! * The way back is kept only for a page that the browser asked for as HTML. A browser also
//!   requests icons and the like on its own, and nobody wants to end up on one of those.
//! * Where clients without a form may sign in with Basic credentials, `401` asks them for some.
//!   Browsers are never asked: they would open a dialog of their own, which nothing can close but
//!   the right password.
//! * What only programs ask for (`/robots.txt`, `/favicon.ico`, `/.well-known/…`) never leads to
//!   the login page: a crawler or password manager would take the form for the file.

use http::Method;

use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Problem, Redirect};
use crate::model::reason::Reason;
use crate::model::request::RequestView;
use crate::model::return_path::ReturnPath;
use crate::model::rule::UnauthenticatedAction;
use crate::model::site::{Requirement, Site};

use super::basic_access;
use super::verdict::Verdict;

/// Refuses a request for a page that requires a login: by redirect or by status, as the rule says.
pub(super) fn deny_unauthenticated<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    reason: Reason,
) -> Verdict<'a> {
    let is_redirect = !is_for_programs(request.target.decoded_path())
        && match requirement.unauthenticated {
            UnauthenticatedAction::Auto if asks_for_basic(request, requirement) => {
                request.is_navigation() && request.prefers_html()
            }
            UnauthenticatedAction::Auto => request.is_navigation(),
            UnauthenticatedAction::Redirect => true,
            UnauthenticatedAction::Status => false,
        };
    if !is_redirect {
        let mut problem = Problem::new(reason);
        problem.www_authenticate = if asks_for_basic(request, requirement) {
            Some(basic_access::challenge(site))
        } else {
            bearer_challenge(request, site)
        };
        return Verdict::reply(LocalResponse::Problem(problem), reason);
    }
    let redirect = redirect_to_login(site, return_address(request).as_ref());
    Verdict::reply(LocalResponse::Redirect(redirect), reason)
}

/// A problem under the status of `reason` (`401`), with `WWW-Authenticate` where the site takes
/// bearer tokens.
pub(super) fn unauthorized<'a>(
    request: &RequestView<'a>,
    site: &Site,
    reason: Reason,
) -> Verdict<'a> {
    let mut problem = Problem::new(reason);
    problem.www_authenticate = bearer_challenge(request, site);
    Verdict::reply(LocalResponse::Problem(problem), reason)
}

/// The value of `WWW-Authenticate` for bearer clients (RFC 6750, section 3): with an error code
/// only where the request had a token. `None` where the site takes none.
fn bearer_challenge(request: &RequestView<'_>, site: &Site) -> Option<String> {
    let has_token = request.bearer.access.is_some() || request.bearer.service.is_some();
    let challenge = if has_token {
        "Bearer error=\"invalid_token\""
    } else {
        "Bearer"
    };
    site.takes_bearer().then(|| challenge.to_owned())
}

/// Whether a `401` asks for Basic credentials: the rule takes them, the client has no token of
/// another kind, and is no browser.
fn asks_for_basic(request: &RequestView<'_>, requirement: &Requirement<'_>) -> bool {
    let bearer = request.bearer;
    let has_token = bearer.access.is_some() || bearer.refresh.is_some();
    requirement.basic && !has_token && !request.could_open_dialog()
}

/// A `302` to the login page, and from there to `return_to`.
pub(super) fn redirect_to_login(site: &Site, return_to: Option<&ReturnPath>) -> Redirect {
    Redirect {
        status: 302,
        location: login_address(site, return_to),
        clear_site_data: false,
    }
}

/// The address of the login page that leads to `return_to` after the login. Where that address
/// would be longer than any target that the gateway takes, it is the login page's own: the user
/// sees the form, and the landing page after it.
#[must_use]
pub fn login_address(site: &Site, return_to: Option<&ReturnPath>) -> LocalPath {
    let login = LocalPath::endpoint(&site.paths.login);
    let Some(path) = return_to else { return login };
    let leading_back = login.clone().with_parameter("return_to", path.as_str());
    if leading_back.as_str().len() <= site.limits.own_target() {
        leading_back
    } else {
        login
    }
}

/// The value of `WWW-Authenticate` of a `401` that has none of its own (RFC 9110, section 15.5.2):
/// `Bearer` where the site takes bearer tokens, otherwise a scheme that browsers do not know, so
/// that none shows its password dialog. Some clients report a `401` without the field as a broken
/// connection.
#[must_use]
pub fn default_challenge(site: &Site) -> String {
    if site.takes_bearer() {
        "Bearer".to_owned()
    } else {
        format!("Cookie realm=\"{}\"", site.name)
    }
}

/// Whether only programs ask for this path by themselves: browsers for icons, crawlers for their
/// rules, password managers and others for well-known addresses (RFC 8615).
fn is_for_programs(path: &[u8]) -> bool {
    matches!(
        path,
        b"/favicon.ico" | b"/robots.txt" | b"/sitemap.xml" | b"/ads.txt"
    ) || path.starts_with(b"/.well-known/")
        || (path.starts_with(b"/apple-touch-icon") && path.ends_with(b".png"))
}

/// The address to return to after the login: that of a `GET` navigation that accepts HTML.
pub(super) fn return_address(request: &RequestView<'_>) -> Option<ReturnPath> {
    (request.method == Method::GET && request.is_navigation() && request.accepts_html())
        .then(|| ReturnPath::parse(request.target.raw()))
        .flatten()
}
