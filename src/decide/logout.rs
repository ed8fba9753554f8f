//! The logout page.
//!
//! `GET` shows a page with one button and changes nothing, so that a link or an image of another
//! site logs nobody out. `POST`, from a page of this site only, ends the login at the provider and
//! here. Whatever comes of it elsewhere, the cookies are cleared: a user who logs out is logged out
//! of this browser, even while the provider is unavailable.

use http::Method;

use crate::model::cookie_change::CookieChange;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{LocalResponse, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;

use super::credentials::RequestCredentials;
use super::facts::{Facts, Known, Question};
use super::verdict::{Decision, Verdict};

/// Decides about a request for the logout page.
pub(super) fn decide<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Decision<'a> {
    if *request.method != Method::POST {
        return Decision::Settled(Verdict::reply(
            LocalResponse::LogoutPage,
            Reason::OwnEndpoint,
        ));
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
        location: LocalPath::from(&site.after_logout),
        clear_site_data: true,
    };
    let verdict = Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint);
    Decision::Settled(verdict.with_cookies(vec![CookieChange::ClearCredentials]))
}
