//! Redirect loops: the third redirect in a row is stopped.

use super::case::{Case, navigation};
use super::fixtures::valid_token;
use crate::decide::Known;
use crate::model::local_response::LocalResponse;
use crate::model::origin::Origin;
use crate::model::redirect_loop::LoopCause;
use crate::model::request::FetchMetadata;
use crate::model::request_cookies::PresentedCookie;
use crate::model::token::TokenError;

/// A browser that comes back from the login page.
fn returning(target: &'static str) -> Case {
    navigation(target).with_metadata(|metadata: &mut FetchMetadata<'static>| {
        metadata.fetch_site = Some("same-origin");
    })
}

fn before_counting(mut case: Case) -> String {
    case.facts.redirects = Known::NotAsked;
    case.decision()
}

fn with_form(mut case: Case) -> Case {
    case.cookies.form = PresentedCookie::Single("F".into());
    case
}

/// The cause that the third redirect is stopped with.
fn cause(mut case: Case) -> LoopCause {
    case.facts.redirects = Known::Found(3);
    match case.response() {
        Some(LocalResponse::Problem(problem)) => problem.redirect_loop.unwrap().cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_counts_where_the_user_came_back() {
    assert_eq!(
        before_counting(with_form(navigation("/orders"))),
        "ask redirects of Form at /orders within 1.5s"
    );
    assert_eq!(
        before_counting(returning("/orders")),
        "ask redirects of Client at /orders within 1.5s"
    );
    let by_credential = navigation("/orders").access(Known::Absent(TokenError::Expired));
    assert_eq!(
        before_counting(by_credential),
        "ask redirects of Credential at /orders within 1.5s"
    );
    let away = "302 /login?return_to=/orders signed_out";
    assert_eq!(
        before_counting(navigation("/orders")),
        away,
        "nothing identifies the user"
    );
    for elsewhere in ["none", "cross-site", "same-site"] {
        let marked = |metadata: &mut FetchMetadata<'static>| metadata.fetch_site = Some(elsewhere);
        assert_eq!(
            before_counting(with_form(navigation("/orders").with_metadata(marked))),
            away
        );
    }
    let linked = |metadata: &mut FetchMetadata<'static>| {
        metadata.referer = Some("https://elsewhere.example/");
    };
    assert_eq!(
        before_counting(with_form(navigation("/orders").with_metadata(linked))),
        away
    );
    let from_the_form = |metadata: &mut FetchMetadata<'static>| {
        metadata.referer = Some("https://store.example.com/login");
    };
    assert_eq!(
        before_counting(navigation("/orders").with_metadata(from_the_form)),
        "ask redirects of Client at /orders within 10s",
        "the user has just logged in and typed in between"
    );
}

#[test]
fn a_prefetch_counts_for_nothing() {
    let prefetched = |mut case: Case| {
        case.facts.redirects = Known::NotAsked;
        case.with_metadata(|metadata| metadata.is_prefetch = true)
            .decision()
    };
    assert_eq!(
        prefetched(with_form(returning("/orders"))),
        "302 /login?return_to=/orders signed_out"
    );
    let signed_in = returning("/login?return_to=/orders").access(valid_token(&[]));
    assert_eq!(prefetched(signed_in), "303 /orders own_endpoint");
}

#[test]
fn the_third_redirect_is_stopped() {
    for (count, expected) in [
        (2, "302 /login?return_to=/orders signed_out"),
        (3, "403 redirect_loop"),
    ] {
        let mut case = with_form(returning("/orders"));
        case.facts.redirects = Known::Found(count);
        assert_eq!(case.decision(), expected);
    }
    let mut expired = returning("/orders").access(Known::Absent(TokenError::Expired));
    expired.facts.redirects = Known::Found(3);
    assert_eq!(
        expired.decision(),
        "403 redirect_loop, clear",
        "invalid cookies are cleared all the same"
    );
    let mut signed_in = navigation("/login?return_to=/orders").access(valid_token(&[]));
    signed_in.facts.redirects = Known::Found(3);
    assert_eq!(signed_in.decision(), "403 redirect_loop");
}

#[test]
fn the_cause_is_derived_from_the_request() {
    assert_eq!(cause(with_form(returning("/orders"))), LoopCause::NoCookie);
    assert_eq!(
        cause(returning("/orders").access(Known::Absent(TokenError::Expired))),
        LoopCause::Clock
    );
    assert_eq!(
        cause(returning("/orders").access(Known::Absent(TokenError::Invalid))),
        LoopCause::Refused
    );
    assert_eq!(
        cause(navigation("/login").access(valid_token(&[]))),
        LoopCause::Application
    );
    let mut twins = returning("/orders");
    twins.cookies.refresh = PresentedCookie::Duplicate;
    let names = vec![twins.site.cookies.refresh.clone()];
    assert_eq!(cause(twins), LoopCause::Duplicates(names));
    let mut in_the_clear =
        navigation("/orders").with_metadata(|metadata: &mut FetchMetadata<'static>| {
            (metadata.fetch_site, metadata.referer) =
                (Some("cross-site"), Some("http://store.example.com/login"));
        });
    assert_eq!(cause(in_the_clear.clone()), LoopCause::Unencrypted);
    in_the_clear.site.origin = Origin::parse("http://store.example.com").unwrap();
    in_the_clear.fetch_metadata.fetch_site = Some("same-origin");
    assert_eq!(
        cause(in_the_clear),
        LoopCause::NoCookie,
        "where the site itself is http"
    );
}
