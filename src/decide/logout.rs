//! The logout page.
//!
//! `GET` shows a page with one button and changes nothing, so that a link or an image of another
//! site logs nobody out. Where nobody is logged in, it says so and asks nothing.
//!
//! The application's own sign-out (`sign_out_paths`) ends the login too, where the user follows a
//! link of this site or presses a button there. Everybody else, such as a page of another site, a
//! script or a prefetch, gets the page with the button. The application does not see the request:
//! the response must clear the cookies and lead away, and the application's session ends with its
//! cookies (`forget`).
//!
//! `POST`, from a page of this site only, ends the login at the provider and
//! here. Whatever comes of it elsewhere, the cookies are cleared: a user who logs out is logged out
//! of this browser, even while the provider is unavailable.

use http::Method;

use crate::model::cookie_change::CookieChange;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, ProviderRedirect, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::credentials::RequestCredentials;
use super::facts::{Facts, Known, Question};
use super::forget;
use super::login;
use super::unauthenticated::login_address;
use super::verdict::{Decision, Verdict};

/// Decides about a request for the logout page.
pub(super) fn decide<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if *request.method != Method::POST {
        return logout_page(request, site, facts, now);
    }
    if matches!(
        request.provenance(site),
        Provenance::CrossOrigin | Provenance::Allowed
    ) {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let to = destination(request, site);
    log_out(request, site, facts, to)
}

/// Decides about a request for the application's own sign-out (`sign_out_paths`).
pub(super) fn decide_application<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    if is_intentional(request, site) {
        let to = LocalPath::from(&site.after_logout);
        log_out(request, site, facts, to)
    } else {
        logout_page(request, site, facts, now)
    }
}

/// Whether a user follows a link of the site, types the address, or presses a button of the site.
/// Old browsers that do not say where a form comes from are believed, as at the gateway's own page;
/// a link may come from anywhere, an image among them.
fn is_intentional(request: &RequestView<'_>, site: &Site) -> bool {
    let provenance = request.provenance(site);
    let by_link = *request.method == Method::GET
        && request.is_navigation()
        && provenance == Provenance::SameOrigin;
    let by_form = request.is_form_post()
        && matches!(provenance, Provenance::SameOrigin | Provenance::Unknown);
    (by_link || by_form) && !request.is_prefetch() && !request.fetch_metadata.is_websocket
}

/// Ends the login, and leads to `location`.
fn log_out<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    location: LocalPath,
) -> Decision<'a> {
    if matches!(facts.logout, Known::NotAsked)
        && let Some(credential) = RequestCredentials::of(request, site).presented()
    {
        return Decision::Needs(Question::Logout(credential));
    }
    let response = match &facts.logout {
        // Or the provider would log the user in again without a question.
        Known::Found(Some(address)) => LocalResponse::ProviderRedirect(ProviderRedirect {
            status: 303,
            address: address.clone(),
            clear_site_data: true,
        }),
        Known::Found(None) | Known::NotAsked | Known::Absent(_) | Known::Failed(_) => {
            LocalResponse::Redirect(Redirect {
                status: 303,
                location,
                clear_site_data: true,
            })
        }
    };
    let verdict = Verdict::reply(response, Reason::OwnEndpoint);
    let mut cookies = vec![CookieChange::ClearCredentials];
    cookies.extend(forget::at_logout(request, site));
    Decision::Settled(verdict.with_cookies(cookies))
}

/// Where a logout leads: to the login page where it was asked for with a `return_to`, so that
/// somebody else can log in and open that page, else to the site's `after_logout`.
fn destination(request: &RequestView<'_>, site: &Site) -> LocalPath {
    match login::return_address(request) {
        Some(path) => login_address(site, Some(&path)),
        None => LocalPath::from(&site.after_logout),
    }
}

/// The page with the button, or the one that tells that nobody is logged in. A refresh token counts
/// as somebody's: only the provider could tell, and this page changes nothing.
pub(super) fn logout_page<'a>(
    request: &RequestView<'a>,
    site: &Site,
    facts: &Facts,
    now: Timestamp,
) -> Decision<'a> {
    let page = |response| Verdict::reply(response, Reason::OwnEndpoint);
    if RequestCredentials::of(request, site).refresh.is_some() {
        return Decision::Settled(page(LocalResponse::LogoutPage));
    }
    Decision::Settled(match auth_status(request, site, facts, now) {
        AuthStatus::Needs(question) => return Decision::Needs(question),
        AuthStatus::Anonymous(_, cookies) => {
            page(LocalResponse::SignedOutPage).with_cookies(cookies)
        }
        AuthStatus::Authenticated(_) | AuthStatus::Unavailable(_) | AuthStatus::Refused(_) => {
            page(LocalResponse::LogoutPage)
        }
    })
}
