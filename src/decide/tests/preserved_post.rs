//! A form that meets a session which has ended, and comes back with the sign-in.

use http::Method;

use super::case::{Case, refreshed, request};
use crate::decide::Known;
use crate::model::reason::Reason;
use crate::model::rule::UnauthenticatedAction;

const KEPT: &str = "401 form with sealed signed_out, clear";
const REFUSED: &str = "401 signed_out, clear";

/// Ann sends what she wrote on the site's own page, with a refresh token that is refused.
fn writes() -> Case {
    request(&Method::POST, "/mine?x=1")
        .refresh(Known::Absent(Reason::SignedOut))
        .with_metadata(|marks| {
            marks.origin = Some("https://store.example.com");
            marks.fetch_mode = Some("navigate");
        })
}

fn kept(mut ask: Case) -> Case {
    ask.facts.preserved_post = Known::Found("sealed".into());
    ask
}

#[test]
fn what_a_person_sends_to_a_session_that_has_ended_is_kept_in_the_form() {
    assert_eq!(writes().decision(), "ask keep for /mine?x=1 R");
    assert_eq!(kept(writes()).decision(), KEPT);
    for (page, back) in [
        (
            "https://store.example.com/mine?new#part",
            " to /mine?new#part",
        ),
        ("https://store.example.com", ""),
        ("https://evil.example/mine", ""),
    ] {
        let told = kept(writes())
            .with_metadata(|marks| marks.referer = Some(page))
            .decision();
        assert_eq!(
            told,
            format!("401 form{back} with sealed signed_out, clear"),
            "{page}"
        );
    }
    let without_a_mode = |marks: &mut crate::model::request::FetchMetadata<'static>| {
        (marks.fetch_mode, marks.accept) = (None, Some("text/html"));
    };
    assert_eq!(
        kept(writes()).with_metadata(without_a_mode).decision(),
        KEPT
    );
}

#[test]
fn what_cannot_be_kept_is_refused_as_ever() {
    for no in [
        Known::Absent(Reason::UnsupportedMediaType),
        Known::Failed(Reason::Internal),
    ] {
        let mut ask = writes();
        ask.facts.preserved_post = no;
        assert_eq!(ask.decision(), REFUSED);
    }
}

#[test]
fn a_scripts_call_and_another_sites_form_are_nobodys_lost_work() {
    assert_eq!(
        kept(writes())
            .with_metadata(|marks| marks.fetch_mode = Some("cors"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        kept(writes())
            .with_metadata(|marks| marks.has_requested_with = true)
            .decision(),
        REFUSED
    );
    assert_eq!(
        kept(writes())
            .with_metadata(|marks| marks.origin = Some("https://evil.example"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        kept(writes())
            .with_metadata(|marks| marks.origin = Some("https://app.example.com"))
            .decision(),
        REFUSED
    );
    assert_eq!(
        kept(writes())
            .with_metadata(|marks| marks.origin = None)
            .decision(),
        REFUSED
    );
    let mut put = kept(writes());
    put.method = Method::PUT;
    assert_eq!(put.decision(), REFUSED);
    let mut by_rule = kept(writes());
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
fn who_is_renewed_sends_at_once_and_a_hiccup_keeps_nothing_from_anybody() {
    assert!(
        writes()
            .refresh(refreshed(&[]))
            .decision()
            .starts_with("forward renewed")
    );
    assert!(
        writes()
            .refresh(Known::Failed(Reason::ProviderUnavailable))
            .decision()
            .starts_with("503 ")
    );
}
