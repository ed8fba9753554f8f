//! The sign-out: a page with one button, and the button.

use http::Method;

use crate::model::answer::{Answer, CookieChange, Redirect};
use crate::model::credential::Carried;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::site::Site;

use super::facts::{Facts, Known, Question};
use super::proof::{self, Proof};
use super::{Decision, Verdict};

pub(super) fn decide<'a>(request: &RequestView<'a>, site: &Site, facts: &Facts) -> Decision<'a> {
    if *request.method != Method::POST {
        return Decision::Settled(Verdict::reply(Answer::SignOutPage, Reason::OwnEndpoint));
    }
    if matches!(
        request.provenance(site),
        Provenance::Foreign | Provenance::Listed
    ) {
        return Decision::Settled(Verdict::problem(Reason::CrossSiteRequest));
    }
    let Proof {
        kind,
        main,
        refresh,
        ..
    } = proof::of(request, site);
    if matches!(facts.sign_out, Known::NotAsked) && (main.is_some() || refresh.is_some()) {
        return Decision::Needs(Question::SignOut(Carried {
            kind,
            proof: main,
            refresh,
        }));
    }
    // Whatever came of it elsewhere, the sign-out here stands: the cookies go.
    let redirect = Redirect {
        status: 303,
        location: site.after_logout.to_string(),
        clear_site_data: true,
    };
    let verdict = Verdict::reply(Answer::Redirect(redirect), Reason::OwnEndpoint);
    Decision::Settled(verdict.with(vec![CookieChange::ClearCredentials]))
}
