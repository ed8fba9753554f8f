//! The sign-out: a page with one button, and the button.

use http::Method;

use crate::model::credential::PresentedCredential;
use crate::model::local_path::LocalPath;
use crate::model::local_response::{CookieChange, LocalResponse, Redirect};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;

use super::credentials::{self, RequestCredentials};
use super::facts::{Facts, Known, Question};
use super::{Decision, Verdict};

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
    let RequestCredentials {
        kind,
        token: main,
        refresh,
        ..
    } = credentials::of(request, site);
    if matches!(facts.logout, Known::NotAsked) && (main.is_some() || refresh.is_some()) {
        return Decision::Needs(Question::Logout(PresentedCredential {
            kind,
            token: main,
            refresh,
        }));
    }
    // Whatever came of it elsewhere, the sign-out here stands: the cookies go.
    let redirect = Redirect {
        status: 303,
        location: LocalPath::from(&site.after_logout),
        clear_site_data: true,
    };
    let verdict = Verdict::reply(LocalResponse::Redirect(redirect), Reason::OwnEndpoint);
    Decision::Settled(verdict.with_cookies(vec![CookieChange::ClearCredentials]))
}
