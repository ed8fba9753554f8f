//! CORS: preflights, and which responses may be read.

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{store, valid_token};
use crate::decide::cors::{may_be_read, reader};
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request::{BearerTokens, FetchMetadata, RequestView};
use crate::model::request_cookies::PresentedCookies;
use crate::model::rule::RuleClient;
use crate::model::target::{EncodedSlashes, Target};

const OWN: &str = "content-type, authorization, vestibule-refresh-token, x-requested-with";

/// A preflight for a page of `origin`.
fn preflight(target: &'static str, origin: &'static str, headers: &'static str) -> Case {
    request(&Method::OPTIONS, target).with_metadata(|metadata| {
        (
            metadata.origin,
            metadata.preflight_headers,
            metadata.is_browser,
        ) = (Some(origin), Some(headers), true);
    })
}

#[test]
fn a_listed_origin_may_call_the_json_endpoints() {
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
        .with_metadata(|metadata| metadata.origin = Some("https://app.example.com"));
    assert_eq!(
        plain.decision(),
        "405 allow POST method_not_allowed",
        "not a preflight"
    );
    let form = preflight("/login", "https://app.example.com", "");
    assert_eq!(
        form.decision(),
        "405 allow GET, HEAD, POST method_not_allowed",
        "not the login form"
    );
}

/// Browsers send preflights without cookies, so a preflight cannot be authenticated.
#[test]
fn a_listed_origin_may_call_pages_that_require_a_login() {
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
        "not a list of names"
    );
    assert_eq!(
        listed("/public", ""),
        "forward public",
        "the application decides"
    );
    assert_eq!(listed("/maybe", ""), "forward anonymous");
    assert_eq!(
        preflight("/mine", "https://evil.example", "").decision(),
        "401 signed_out"
    );
    let with_token = preflight("/mine", "https://app.example.com", "").access(valid_token(&[]));
    assert!(
        with_token.decision().starts_with("204"),
        "whatever credentials it has"
    );
}

#[test]
fn only_a_listed_origin_may_read_and_only_responses_for_api_clients() {
    let site = store();
    let target = Target::parse(b"/", EncodedSlashes::Reject).unwrap();
    let cookies = PresentedCookies::default();
    let reads = |origin| {
        let metadata = FetchMetadata {
            origin,
            ..FetchMetadata::default()
        };
        let (method, bearer) = (&Method::GET, BearerTokens::default());
        let request = RequestView {
            method,
            target: &target,
            cookies: &cookies,
            client: RuleClient::default(),
            bearer,
            basic: None,
            fetch_metadata: metadata,
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
        "as the site lists it"
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
    let answer = |case: Case| case.response().unwrap();
    assert!(may_be_read(&answer(request(&Method::GET, "/api/user"))));
    assert!(may_be_read(&answer(request(&Method::GET, "/mine"))));
    assert!(
        !may_be_read(&answer(navigation("/login"))),
        "the form holds a CSRF token"
    );
    assert!(!may_be_read(&answer(navigation("/mine"))));
    assert!(
        matches!(answer(request(&Method::GET, "/mine")), LocalResponse::Problem(problem) if problem.reason == Reason::SignedOut)
    );
}
