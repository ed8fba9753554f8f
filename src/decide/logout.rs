//! The logout page.
//!
//! `GET` shows a page with one button and changes nothing, so that a link or an image of another
//! site logs nobody out. Where nobody is logged in, it says so and asks nothing.
//!
//! `POST`, from a page of this site only, ends the login at the provider and
//! here. Whatever comes of it elsewhere, the cookies are cleared: a user who logs out is logged out
//! of this browser, even while the provider is unavailable.

use http::Method;

use crate::model::cookie_change::CookieChange;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;

use super::auth_status::{AuthStatus, auth_status};
use super::credentials::RequestCredentials;
use super::facts::{Facts, Known, Question};
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
    if matches!(facts.logout, Known::NotAsked)
        && let Some(credential) = RequestCredentials::of(request, site).presented()
    {
        return Decision::Needs(Question::Logout(credential));
    }
    let redirect = Redirect {
        status: 303,
        location: destination(request, site),
        clear_site_data: true,
    };
    let verdict = Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint);
    Decision::Settled(verdict.with_cookies(vec![CookieChange::ClearCredentials]))
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
