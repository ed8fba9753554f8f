//! Forms that were posted after the login had expired: nobody's work is lost.
//!
//! * A form of the site's own pages is not refused but carried through the login, sealed, in the
//!   login page itself. A form of another site is not: offered again here, the user would send that
//!   site's words.
//! * A form that is too large to be carried, has files or cannot be read is lost. The login page says
//!   so.
//! * After the login the form is offered for sending again, once, behind a button, and only to the
//!   user who wrote it. Two people may share a browser, and one's words must not be sent in the
//!   other's name: any other user can only copy the text.

use std::sync::Arc;

use crate::model::local_response::{LoginPage, LostPost, PreservedPostPage, Resubmission};
use crate::model::preserved_post::{NotPreservedError, RestoredPost};
use crate::model::reason::Reason;
use crate::model::request::{Provenance, RequestView};
use crate::model::rule::UnauthenticatedAction;
use crate::model::site::{Requirement, Site};

use super::credentials::RequestCredentials;
use super::facts::{Facts, FormSize, Known, Question};

/// The query of the login page's form action where the form carries a preserved post. Such a form
/// may be larger than others, and its size limit must be known before its body is read.
pub const PRESERVED_POST_QUERY: &str = "unsent";

/// What happens to the body of an unauthenticated request.
pub(super) enum Preserve<'a> {
    /// The body must be read and sealed first.
    Needs(Question<'a>),
    /// The login page, which carries it or says that it is lost.
    Page(LoginPage),
    /// Nothing is preserved: the request is no form, or none that can be carried.
    Nothing,
}

/// Preserves the form that an unauthenticated request posts, where it is one of the site's own
/// pages.
pub(super) fn preserve<'a>(
    request: &RequestView<'a>,
    site: &Site,
    requirement: &Requirement<'_>,
    facts: &Facts,
) -> Preserve<'a> {
    let is_own = request.provenance(site) == Provenance::SameOrigin;
    let wants_status = requirement.unauthenticated == UnauthenticatedAction::Status;
    if !request.is_form_post() || !is_own || wants_status || request.is_prefetch() {
        return Preserve::Nothing;
    }
    match &facts.preserved_post {
        Known::NotAsked => {
            let credentials = RequestCredentials::of(request, site);
            let refresh = credentials.refresh.map(|token| (credentials.kind, token));
            Preserve::Needs(Question::PreservePost {
                target: request.target.raw(),
                refresh,
                device: request.cookies.device.value(),
            })
        }
        Known::Found(sealed) => Preserve::Page(LoginPage {
            status: Reason::SignedOut.status(),
            return_to: request.referring_page(site),
            preserved_post: Some(Arc::clone(sealed)),
            ..LoginPage::new()
        }),
        // What was written is lost here. The page says so, as the browser may have it still.
        Known::Absent(NotPreservedError::TooLarge) => {
            Preserve::Page(lost_page(request, site, LostPost::TooLarge))
        }
        Known::Absent(NotPreservedError::HasFiles) => {
            Preserve::Page(lost_page(request, site, LostPost::HasFiles))
        }
        Known::Absent(NotPreservedError::OtherForm) => {
            Preserve::Page(lost_page(request, site, LostPost::OtherForm))
        }
        Known::Absent(NotPreservedError::NoForm) | Known::Failed(_) => Preserve::Nothing,
    }
}

/// The login page after a form that is not preserved.
fn lost_page(request: &RequestView<'_>, site: &Site, lost_post: LostPost) -> LoginPage {
    LoginPage {
        status: Reason::SignedOut.status(),
        return_to: request.referring_page(site),
        lost_post: Some(lost_post),
        ..LoginPage::new()
    }
}

/// The page that offers `restored` to the user who has just logged in. `continue_to` is where they
/// go on without it.
pub(super) fn restored_page(restored: &RestoredPost, continue_to: String) -> PreservedPostPage {
    let RestoredPost {
        post,
        by_author,
        first_time,
    } = restored;
    let resubmission = match (by_author, first_time, post.path()) {
        (false, _, _) => Resubmission::OtherAuthor,
        (true, true, Some(path)) => Resubmission::Allowed(path),
        (true, false, _) | (true, true, None) => Resubmission::AlreadyOffered,
    };
    PreservedPostPage {
        preserved_post: post.clone(),
        resubmission,
        continue_to,
    }
}

/// How large the body of a posted login form may be, by what its address says.
pub(super) fn form_size(request: &RequestView<'_>) -> FormSize {
    if request.target.query() == Some(PRESERVED_POST_QUERY) {
        FormSize::WithPreservedPost
    } else {
        FormSize::Plain
    }
}

/// The `action` of a form that posts to `path` and carries `preserved_post`.
#[must_use]
pub fn form_action(path: &str, preserved_post: Option<&str>) -> String {
    match preserved_post {
        Some(_) => format!("{path}?{PRESERVED_POST_QUERY}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::preserved_post::{FormEncoding, PostedForm, PreservedPost};
    use crate::model::return_path::ReturnPath;

    #[test]
    fn the_address_of_a_form_says_what_it_carries() {
        assert_eq!(form_action("/login", None), "/login");
        assert_eq!(
            form_action("/login", Some("sealed")),
            format!("/login?{PRESERVED_POST_QUERY}")
        );
    }

    fn restored() -> RestoredPost {
        let form = PostedForm {
            encoding: FormEncoding::UrlEncoded,
            fields: vec![("text".into(), "hello".into())],
        };
        let post = PreservedPost {
            id: "i".into(),
            author: None,
            target: "/posts?x=1".into(),
            form,
            until: 1,
        };
        RestoredPost {
            post,
            by_author: true,
            first_time: true,
        }
    }

    #[test]
    fn only_the_author_may_resubmit_and_only_once() {
        let path = ReturnPath::parse("/posts?x=1").unwrap();
        for (by_author, first_time, expected) in [
            (true, true, Resubmission::Allowed(path)),
            (true, false, Resubmission::AlreadyOffered),
            (false, true, Resubmission::OtherAuthor),
            (false, false, Resubmission::OtherAuthor),
        ] {
            let restored = RestoredPost {
                by_author,
                first_time,
                ..restored()
            };
            let page = restored_page(&restored, "/".into());
            assert_eq!(page.resubmission, expected, "{by_author} {first_time}");
        }
    }

    #[test]
    fn a_post_to_another_origin_is_not_resubmitted() {
        let mut elsewhere = restored();
        elsewhere.post.target = "//evil.example/".into();
        assert_eq!(
            restored_page(&elsewhere, "/".into()).resubmission,
            Resubmission::AlreadyOffered
        );
    }
}
