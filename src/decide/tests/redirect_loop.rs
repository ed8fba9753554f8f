//! Who is sent to sign in for the third time within seconds is stopped, and told why.

use super::case::{Case, navigation, valid_token};
use crate::decide::Known;
use crate::model::cookie::PresentedCookie;
use crate::model::local_response::LocalResponse;
use crate::model::origin::Origin;
use crate::model::redirect_loop::LoopCause;
use crate::model::request::FetchMetadata;
use crate::model::token::TokenError;

/// A browser that comes back from the form.
fn returns(target: &'static str) -> Case {
    navigation(target)
        .with_metadata(|marks: &mut FetchMetadata<'static>| marks.fetch_site = Some("same-origin"))
}

fn uncounted(mut ask: Case) -> String {
    ask.facts.redirects = Known::NotAsked;
    ask.decision()
}

fn with_form(mut ask: Case) -> Case {
    ask.cookies.form = PresentedCookie::Single("F".into());
    ask
}

/// What stops the third round.
fn cause(mut ask: Case) -> LoopCause {
    ask.facts.redirects = Known::Found(3);
    match ask.response() {
        Some(LocalResponse::Problem(problem)) => problem.redirect_loop.unwrap().cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_round_counts_where_somebody_came_back() {
    assert_eq!(
        uncounted(with_form(navigation("/orders"))),
        "ask rounds of Form at /orders"
    );
    assert_eq!(
        uncounted(returns("/orders")),
        "ask rounds of Client at /orders"
    );
    let by_credential = navigation("/orders").access(Known::Absent(TokenError::Expired));
    assert_eq!(
        uncounted(by_credential),
        "ask rounds of Credential at /orders"
    );
    let away = "302 /login?return_to=/orders signed_out";
    assert_eq!(
        uncounted(navigation("/orders")),
        away,
        "without a cookie nobody is known"
    );
    for elsewhere in ["none", "cross-site", "same-site"] {
        let marked = |marks: &mut FetchMetadata<'static>| marks.fetch_site = Some(elsewhere);
        assert_eq!(
            uncounted(with_form(navigation("/orders").with_metadata(marked))),
            away
        );
    }
    let linked =
        |marks: &mut FetchMetadata<'static>| marks.referer = Some("https://elsewhere.example/");
    assert_eq!(
        uncounted(with_form(navigation("/orders").with_metadata(linked))),
        away
    );
    let from_the_form = |marks: &mut FetchMetadata<'static>| {
        marks.referer = Some("https://store.example.com/login");
    };
    assert_eq!(
        uncounted(navigation("/orders").with_metadata(from_the_form)),
        "ask rounds of Client at /orders"
    );
}

#[test]
fn the_third_round_is_the_last() {
    for (rounds, told) in [
        (2, "302 /login?return_to=/orders signed_out"),
        (3, "403 redirect_loop"),
    ] {
        let mut ask = with_form(returns("/orders"));
        ask.facts.redirects = Known::Found(rounds);
        assert_eq!(ask.decision(), told);
    }
    let mut expired = returns("/orders").access(Known::Absent(TokenError::Expired));
    expired.facts.redirects = Known::Found(3);
    assert_eq!(
        expired.decision(),
        "403 redirect_loop, clear",
        "what is no good goes all the same"
    );
    let mut signed_in = navigation("/login?return_to=/orders").access(valid_token(&[]));
    signed_in.facts.redirects = Known::Found(3);
    assert_eq!(signed_in.decision(), "403 redirect_loop");
}

#[test]
fn the_cause_is_told_from_the_request() {
    assert_eq!(cause(with_form(returns("/orders"))), LoopCause::NoCookie);
    assert_eq!(
        cause(returns("/orders").access(Known::Absent(TokenError::Expired))),
        LoopCause::Clock
    );
    assert_eq!(
        cause(returns("/orders").access(Known::Absent(TokenError::Invalid))),
        LoopCause::Refused
    );
    assert_eq!(
        cause(navigation("/login").access(valid_token(&[]))),
        LoopCause::Application
    );
    let mut twins = returns("/orders");
    twins.cookies.refresh = PresentedCookie::Duplicate;
    let names = vec![twins.site.cookies.refresh.clone()];
    assert_eq!(cause(twins), LoopCause::Duplicates(names));
    let mut in_the_clear =
        navigation("/orders").with_metadata(|marks: &mut FetchMetadata<'static>| {
            (marks.fetch_site, marks.referer) =
                (Some("cross-site"), Some("http://store.example.com/login"));
        });
    assert_eq!(cause(in_the_clear.clone()), LoopCause::Unencrypted);
    in_the_clear.site.origin = Origin::parse("http://store.example.com").unwrap();
    in_the_clear.fetch_metadata.fetch_site = Some("same-origin");
    assert_eq!(
        cause(in_the_clear),
        LoopCause::NoCookie,
        "where the site itself is not encrypted"
    );
}
