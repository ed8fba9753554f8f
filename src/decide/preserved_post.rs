//! No lost work: a form that meets a session which has ended goes along through the sign-in.
//!
//! It is offered to the person who wrote it, once, behind a button. Whoever else signs in can only
//! copy the text: a browser that two people share must not send one's words in the other's name.

use crate::model::local_response::{LoginPage, PreservedPostPage, Resubmission};
use crate::model::preserved_post::RestoredPost;
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::rule::UnauthenticatedAction;
use crate::model::site::{Requirement, Site};

use super::credentials;
use super::facts::{Facts, Known, Question};

/// What becomes of what a signed-out visitor sends.
pub(super) enum Preserve<'a> {
    /// It must be looked at first.
    Ask(Question<'a>),
    /// The sign-in form carries it.
    Page(LoginPage),
    /// It is no form, or none that can be carried.
    Nothing,
}

/// Keeps a form of the site's own pages. Another site's is nobody's work: offered here, it would be
/// that site's words that the visitor sends.
pub(super) fn preserve<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    facts: &Facts,
) -> Preserve<'a> {
    let is_own = request.provenance(site) == Provenance::SameOrigin;
    if !request.is_form_post()
        || !is_own
        || requirement.unauthenticated == UnauthenticatedAction::Status
    {
        return Preserve::Nothing;
    }
    match &facts.preserved_post {
        Known::NotAsked => {
            let proof = credentials::of(request, site);
            let refresh = proof.refresh.map(|refresh| (proof.kind, refresh));
            let device = request.cookies.device.value();
            Preserve::Ask(Question::PreservePost {
                target: request.target.raw(),
                refresh,
                device,
            })
        }
        Known::Found(sealed) => Preserve::Page(LoginPage {
            status: Reason::SignedOut.status(),
            error: None,
            cookie_missing: false,
            login_id: String::new(),
            return_to: request.referring_page(site),
            remember: false,
            preserved_post: Some(sealed.clone()),
            retry_after: None,
        }),
        Known::Absent(_) | Known::Failed(_) => Preserve::Nothing,
    }
}

/// What to show of `returned` to who has just signed in and would go on to `onward`.
pub(super) fn page(returned: &RestoredPost, onward: String) -> PreservedPostPage {
    let RestoredPost {
        post: preserved_post,
        by_author: by_same_person,
        first_time,
    } = returned;
    let offer = match (by_same_person, first_time, preserved_post.path()) {
        (false, _, _) => Resubmission::OtherAuthor,
        (true, true, Some(path)) => Resubmission::Allowed(path),
        (true, false, _) | (true, true, None) => Resubmission::AlreadyOffered,
    };
    PreservedPostPage {
        preserved_post: preserved_post.clone(),
        resubmission: offer,
        continue_to: onward,
    }
}

/// Whether the posted sign-in form says that it holds an unsent one.
pub(super) fn is_carried_by(request: &RequestView<'_>) -> bool {
    request.target.query() == Some(PRESERVED_POST_QUERY)
}

/// The query of the form's address where it holds an unsent form: it may be larger then.
pub const PRESERVED_POST_QUERY: &str = "unsent";

/// Where the sign-in form is posted to.
#[must_use]
pub fn form_action(login: &str, has_unsent: bool) -> String {
    if has_unsent {
        format!("{login}?{PRESERVED_POST_QUERY}")
    } else {
        login.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::preserved_post::{FormEncoding, PostedForm, PreservedPost};
    use crate::model::return_path::ReturnPath;

    fn returned(by_same_person: bool, first_time: bool) -> RestoredPost {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "hello".into())],
        };
        let preserved_post = PreservedPost {
            id: "i".into(),
            author: None,
            target: "/posts?x=1".into(),
            form,
            until: 1,
        };
        RestoredPost {
            post: preserved_post,
            by_author: by_same_person,
            first_time,
        }
    }

    #[test]
    fn only_its_author_sends_it_and_once() {
        let offer = |by_same_person, first_time| {
            page(&returned(by_same_person, first_time), "/".into()).resubmission
        };
        assert_eq!(
            offer(true, true),
            Resubmission::Allowed(ReturnPath::parse("/posts?x=1").unwrap())
        );
        assert_eq!(offer(true, false), Resubmission::AlreadyOffered);
        assert_eq!(offer(false, true), Resubmission::OtherAuthor);
        assert_eq!(offer(false, false), Resubmission::OtherAuthor);
    }

    #[test]
    fn an_address_that_leads_off_the_site_is_not_sent_to() {
        let mut elsewhere = returned(true, true);
        elsewhere.post.target = "//evil.example/".into();
        assert_eq!(
            page(&elsewhere, "/".into()).resubmission,
            Resubmission::AlreadyOffered
        );
    }
}
