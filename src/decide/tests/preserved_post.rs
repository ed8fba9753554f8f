//! Forms that are posted after the login has expired.

use http::Method;

use super::case::{Case, request};
use super::fixtures::refreshed;
use crate::decide::Known;
use crate::model::preserved_post::NotPreservedError;
use crate::model::reason::Reason;
use crate::model::rule::UnauthenticatedAction;

const PRESERVED: &str = "401 form with sealed signed_out, clear";
const REFUSED: &str = "401 signed_out, clear";

/// Ann posts a form of the site's own page, with a refresh token that is refused.
fn posts() -> Case {
    request(&Method::POST, "/mine?x=1")
        .refresh(Known::Absent(Reason::SignedOut))
        .with_metadata(|metadata| {
            metadata.origin = Some("https://store.example.com");
            metadata.fetch_mode = Some("navigate");
        })
}

fn preserved(mut case: Case) -> Case {
    case.facts.preserved_post = Known::Found("sealed".into());
    case
}

#[test]
fn a_form_posted_after_the_login_expired_is_preserved() {
    assert_eq!(posts().decision(), "ask preserve /mine?x=1 R");
    assert_eq!(preserved(posts()).decision(), PRESERVED);
    for (page, back) in [
        (
            "https://store.example.com/mine?new#part",
            " to /mine?new#part",
        ),
        ("https://store.example.com", ""),
        ("https://evil.example/mine", ""),
    ] {
        let decision = preserved(posts())
            .with_metadata(|metadata| metadata.referer = Some(page))
            .decision();
        assert_eq!(
            decision,
            format!("401 form{back} with sealed signed_out, clear"),
            "{page}"
        );
    }
    let without_a_mode = |metadata: &mut crate::model::request::FetchMetadata<'static>| {
        (metadata.fetch_mode, metadata.accept) = (None, Some("text/html"));
    };
    assert_eq!(
        preserved(posts()).with_metadata(without_a_mode).decision(),
        PRESERVED
    );
}

#[test]
fn a_body_that_cannot_be_preserved_is_refused() {
    for no in [
        Known::Absent(NotPreservedError::NoForm),
        Known::Failed(Reason::Internal),
    ] {
        let mut case = posts();
        case.facts.preserved_post = no;
        assert_eq!(case.decision(), REFUSED);
    }
}

#[test]
fn a_form_that_cannot_be_preserved_is_said_to_be_lost() {
    for (error, lost) in [
        (NotPreservedError::TooLarge, "as too large"),
        (NotPreservedError::HasFiles, "with files"),
        (NotPreservedError::OtherForm, "as of another kind"),
    ] {
        let mut case = posts();
        case.facts.preserved_post = Known::Absent(error);
        let expected = format!("401 form lost {lost} signed_out, clear");
        assert_eq!(case.decision(), expected);
        let back = case
            .with_metadata(|metadata| metadata.referer = Some("https://store.example.com/mine"));
        let expected = format!("401 form to /mine lost {lost} signed_out, clear");
        assert_eq!(back.decision(), expected);
    }
}

#[test]
fn scripts_and_forms_of_other_sites_are_not_preserved() {
    assert_eq!(
        preserved(posts())
            .with_metadata(|metadata| metadata.fetch_mode = Some("cors"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        preserved(posts())
            .with_metadata(|metadata| metadata.has_requested_with = true)
            .decision(),
        REFUSED
    );
    assert_eq!(
        preserved(posts())
            .with_metadata(|metadata| metadata.origin = Some("https://evil.example"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        preserved(posts())
            .with_metadata(|metadata| metadata.origin = Some("https://app.example.com"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        preserved(posts())
            .with_metadata(|metadata| metadata.origin = None)
            .decision(),
        REFUSED
    );
    let mut put = preserved(posts());
    put.method = Method::PUT;
    assert_eq!(put.decision(), REFUSED);
    let mut by_rule = preserved(posts());
    for rule in &mut by_rule.site.rules {
        rule.unauthenticated = UnauthenticatedAction::Status;
    }
    by_rule.site.default_access = crate::model::rule::Access::Required;
    assert!(
        by_rule.decision().starts_with("401 "),
        "{}",
        by_rule.decision()
    );
}

#[test]
fn a_refresh_forwards_the_form_and_an_outage_preserves_nothing() {
    assert!(
        posts()
            .refresh(refreshed(&[]))
            .decision()
            .starts_with("forward renewed")
    );
    assert!(
        posts()
            .refresh(Known::Failed(Reason::ProviderUnavailable))
            .decision()
            .starts_with("503 ")
    );
}
