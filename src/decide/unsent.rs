//! No lost work: a form that meets a session which has ended goes along through the sign-in.
//!
//! It is offered to the person who wrote it, once, behind a button. Whoever else signs in can only
//! copy the text: a browser that two people share must not send one's words in the other's name.

use crate::model::answer::{Offer, SignInForm, UnsentPage};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::rule::SignedOut;
use crate::model::site::{Demand, Site};
use crate::model::unsent::Returned;

use super::facts::{Facts, Known, Question};
use super::proof;

/// What becomes of what a signed-out visitor sends.
pub(super) enum Keep<'a> {
    /// It must be looked at first.
    Ask(Question<'a>),
    /// The sign-in form carries it.
    Form(SignInForm),
    /// It is no form, or none that can be carried.
    Nothing,
}

/// Keeps a form of the site's own pages. Another site's is nobody's work: offered here, it would be
/// that site's words that the visitor sends.
pub(super) fn keep<'a>(
    request: &RequestView<'a>,
    site: &Site,
    demand: &Demand<'_>,
    facts: &Facts,
) -> Keep<'a> {
    let is_own = request.provenance(site) == Provenance::Own;
    if !request.is_form_post() || !is_own || demand.signed_out == SignedOut::Status {
        return Keep::Nothing;
    }
    match &facts.kept {
        Known::NotAsked => {
            let proof = proof::of(request, site);
            let refresh = proof.refresh.map(|refresh| (proof.kind, refresh));
            let device = request.cookies.device.value();
            Keep::Ask(Question::KeepForm {
                target: request.target.raw(),
                refresh,
                device,
            })
        }
        Known::Found(sealed) => Keep::Form(SignInForm {
            status: Reason::SignedOut.status(),
            trouble: None,
            cookieless: false,
            login_id: String::new(),
            return_to: request.page_before(site),
            remember: false,
            unsent: Some(sealed.clone()),
            retry_after: None,
        }),
        Known::Absent(_) | Known::Failed(_) => Keep::Nothing,
    }
}

/// What to show of `returned` to who has just signed in and would go on to `onward`.
pub(super) fn page(returned: &Returned, onward: String) -> UnsentPage {
    let Returned {
        unsent,
        by_same_person,
        first_time,
    } = returned;
    let offer = match (by_same_person, first_time, unsent.path()) {
        (false, _, _) => Offer::CopyOfAnother,
        (true, true, Some(path)) => Offer::Send(path),
        (true, false, _) | (true, true, None) => Offer::CopyAgain,
    };
    UnsentPage {
        unsent: unsent.clone(),
        offer,
        onward,
    }
}

/// Whether the posted sign-in form says that it holds an unsent one.
pub(super) fn comes_along(request: &RequestView<'_>) -> bool {
    request.target.query() == Some(MARK)
}

/// The query of the form's address where it holds an unsent form: it may be larger then.
pub const MARK: &str = "unsent";

/// Where the sign-in form is posted to.
#[must_use]
pub fn action(login: &str, has_unsent: bool) -> String {
    if has_unsent {
        format!("{login}?{MARK}")
    } else {
        login.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::return_path::ReturnPath;
    use crate::model::unsent::{FormEncoding, PostedForm, UnsentForm};

    fn returned(by_same_person: bool, first_time: bool) -> Returned {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "hello".into())],
        };
        let unsent = UnsentForm {
            id: "i".into(),
            author: None,
            target: "/posts?x=1".into(),
            form,
            until: 1,
        };
        Returned {
            unsent,
            by_same_person,
            first_time,
        }
    }

    #[test]
    fn only_its_author_sends_it_and_once() {
        let offer = |by_same_person, first_time| {
            page(&returned(by_same_person, first_time), "/".into()).offer
        };
        assert_eq!(
            offer(true, true),
            Offer::Send(ReturnPath::parse("/posts?x=1").unwrap())
        );
        assert_eq!(offer(true, false), Offer::CopyAgain);
        assert_eq!(offer(false, true), Offer::CopyOfAnother);
        assert_eq!(offer(false, false), Offer::CopyOfAnother);
    }

    #[test]
    fn an_address_that_leads_off_the_site_is_not_sent_to() {
        let mut elsewhere = returned(true, true);
        elsewhere.unsent.target = "//evil.example/".into();
        assert_eq!(page(&elsewhere, "/".into()).offer, Offer::CopyAgain);
    }
}
