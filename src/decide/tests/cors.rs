//! Pages of other origins: preflights, and whose pages may read an answer.

use http::Method;

use super::case::{Case, navigation, request, store, valid_token};
use crate::decide::cors::{may_be_read, reader};
use crate::model::cookie::PresentedCookies;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::target::{EncodedSlashes, Target};

const OWN: &str = "content-type, authorization, vestibule-refresh-token, x-requested-with";

/// A browser asks whether a page of `origin` may send what it wants to.
fn preflight(target: &'static str, origin: &'static str, headers: &'static str) -> Case {
    request(&Method::OPTIONS, target).with_metadata(|marks| {
        (marks.origin, marks.preflight_headers, marks.is_browser) =
            (Some(origin), Some(headers), true);
    })
}

#[test]
fn a_listed_page_may_call_the_gateways_own_endpoints() {
    for (target, methods) in [
        ("/api/login", "POST"),
        ("/api/user", "GET, HEAD"),
        ("/api/refresh", "POST"),
        ("/api/logout", "POST"),
    ] {
        let expected = format!("204 may {methods} with {OWN} own_endpoint");
        assert_eq!(
            preflight(target, "https://app.example.com", "x-odd").decision(),
            expected
        );
        for origin in [
            "https://evil.example",
            "https://store.example.com",
            "null",
            "https://app.example.com:444",
        ] {
            let refused = format!("405 allow {methods} method_not_allowed");
            assert_eq!(
                preflight(target, origin, "").decision(),
                refused,
                "{origin}"
            );
        }
    }
    let plain = request(&Method::OPTIONS, "/api/login")
        .with_metadata(|marks| marks.origin = Some("https://app.example.com"));
    assert_eq!(
        plain.decision(),
        "405 allow POST method_not_allowed",
        "no preflight"
    );
    let form = preflight("/login", "https://app.example.com", "");
    assert_eq!(
        form.decision(),
        "405 allow GET, HEAD, POST method_not_allowed",
        "not the form"
    );
}

/// Browsers send no cookies along with a preflight, so it cannot be signed in.
#[test]
fn a_listed_page_may_call_what_asks_for_a_sign_in() {
    let listed = |target, headers| preflight(target, "https://app.example.com", headers).decision();
    let any = "GET, HEAD, POST, PUT, PATCH, DELETE";
    assert_eq!(
        listed("/mine", "x-csrf-token, if-match"),
        format!("204 may {any} with x-csrf-token, if-match own_endpoint")
    );
    assert_eq!(
        listed("/staff", ""),
        format!("204 may {any} with {OWN} own_endpoint")
    );
    assert_eq!(
        listed("/mine", "a\"b"),
        format!("204 may {any} with {OWN} own_endpoint"),
        "no list of names"
    );
    assert_eq!(
        listed("/public", ""),
        "forward public",
        "the application says what it takes"
    );
    assert_eq!(listed("/maybe", ""), "forward anonymous");
    assert_eq!(
        preflight("/mine", "https://evil.example", "").decision(),
        "401 signed_out"
    );
    let own = preflight("/mine", "https://app.example.com", "").access(valid_token(&[]));
    assert!(own.decision().starts_with("204"), "whatever it carries");
}

#[test]
fn only_a_listed_origin_reads_and_only_what_programs_are_told() {
    let site = store();
    let target = Target::parse(b"/", EncodedSlashes::Reject).unwrap();
    let cookies = PresentedCookies::default();
    let reads = |origin| {
        let marks = FetchMetadata {
            origin,
            ..FetchMetadata::default()
        };
        let (method, bearer) = (&Method::GET, BearerTokens::default());
        let request = RequestView {
            method,
            target: &target,
            cookies: &cookies,
            bearer,
            fetch_metadata: marks,
        };
        reader(&request, &site).map(ToString::to_string)
    };
    assert_eq!(
        reads(Some("https://app.example.com")).as_deref(),
        Some("https://app.example.com")
    );
    assert_eq!(
        reads(Some("https://APP.example.com:443")).as_deref(),
        Some("https://app.example.com"),
        "as it is listed"
    );
    for other in [
        None,
        Some("null"),
        Some(""),
        Some("https://evil.example"),
        Some("https://app.example.com.evil.example"),
    ] {
        assert_eq!(reads(other), None, "{other:?}");
    }
    let answer = |ask: Case| ask.response().unwrap();
    assert!(may_be_read(&answer(request(&Method::GET, "/api/user"))));
    assert!(may_be_read(&answer(request(&Method::GET, "/mine"))));
    assert!(
        !may_be_read(&answer(navigation("/login"))),
        "the form holds a csrf token"
    );
    assert!(!may_be_read(&answer(navigation("/mine"))));
    assert!(
        matches!(answer(request(&Method::GET, "/mine")), LocalResponse::Problem(problem) if problem.reason == Reason::SignedOut)
    );
}
