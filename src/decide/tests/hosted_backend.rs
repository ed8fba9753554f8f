//! What FusionAuth's single-page SDKs call, and who else might.

use http::Method;

use super::case::{Case, navigation, principal, refreshed, request, valid_token};
use crate::decide::Known;
use crate::model::cookie::CookieNames;
use crate::model::hosted_backend::{HostedBackend, RedirectUri};
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::token::{Principal, TokenError};

const HERE: &str = "https://store.example.com/shop";
const FORM: &str = "302 /login?return_to=";

fn hosted(mut ask: Case) -> Case {
    let list = [HERE, "http://localhost:5173"].map(|uri| RedirectUri::parse(uri).unwrap());
    ask.site.hosted_backend = HostedBackend::new("c1".into(), list.to_vec());
    ask.site.cookies = CookieNames::for_hosted_backend(true);
    ask
}

fn at(target: &'static str) -> Case {
    hosted(navigation(target))
}

fn posts(target: &'static str) -> Case {
    hosted(request(&Method::POST, target))
        .with_metadata(|marks| marks.origin = Some("https://store.example.com"))
}

/// Whoever wrote the page that led here.
fn from(
    site: &'static str,
    referer: Option<&'static str>,
) -> impl FnOnce(&mut FetchMetadata<'static>) {
    move |marks| (marks.fetch_site, marks.referer) = (Some(site), referer)
}

#[test]
fn the_endpoints_are_there_only_where_the_operator_wants_them() {
    for path in [
        "/app/login",
        "/app/register/",
        "/app/callback",
        "/app/me/",
        "/app/logout",
        "/app/refresh",
    ] {
        assert_eq!(
            request(&Method::GET, path).decision(),
            "401 signed_out",
            "{path}"
        );
    }
    for theirs in [
        "/app",
        "/app/",
        "/app/index.html",
        "/app/logins",
        "/app/login/c1/x",
        "/app/login//",
        "/App/login",
    ] {
        let Ok(_) = crate::model::target::Target::parse(
            theirs.as_bytes(),
            crate::model::target::EncodedSlashes::Reject,
        ) else {
            continue;
        };
        assert_eq!(
            hosted(request(&Method::GET, theirs)).decision(),
            "401 signed_out",
            "{theirs}"
        );
    }
    assert_eq!(
        at("/app/refresh?client_id=c1").decision(),
        "405 allow POST method_not_allowed"
    );
    assert_eq!(
        posts("/app/me").decision(),
        "405 allow GET, HEAD method_not_allowed"
    );
}

#[test]
fn the_form_leads_back_to_the_very_address() {
    for (target, return_to) in [
        ("/app/login?client_id=c1", "/app/login%3Fclient_id%3Dc1"),
        (
            "/app/login/?client_id=c1&state=s",
            "/app/login/%3Fclient_id%3Dc1%26state%3Ds",
        ),
        ("/app/login/c1", "/app/login/c1"),
        (
            "/app/register/c1/?scope=openid",
            "/app/register/c1/%3Fscope%3Dopenid",
        ),
    ] {
        assert_eq!(
            at(target).decision(),
            format!("{FORM}{return_to} own_endpoint"),
            "{target}"
        );
    }
}

#[test]
fn whoever_is_signed_in_goes_straight_back_with_the_state() {
    for (target, there) in [
        ("/app/login?client_id=c1", HERE),
        ("/app/register/c1", HERE),
        ("/app/login/c1?client_id=c1", HERE),
        (
            "/app/login/c1?state=a%20b",
            "https://store.example.com/shop?state=a+b",
        ),
        (
            "/app/login/c1?redirect_uri=http%3A%2F%2Flocalhost%3A5173&state=7",
            "http://localhost:5173?state=7",
        ),
    ] {
        let known = at(target).access(valid_token(&[]));
        assert_eq!(
            known.decision(),
            format!("leave for {there} own_endpoint"),
            "{target}"
        );
    }
    let renewed = at("/app/login/c1")
        .access(Known::Absent(TokenError::Expired))
        .refresh(refreshed(&[]));
    assert_eq!(
        renewed.decision(),
        format!("leave for {HERE} own_endpoint, set A2")
    );
    let refused = at("/app/login/c1")
        .access(Known::Absent(TokenError::Expired))
        .refresh(Known::Absent(Reason::SignedOut));
    assert_eq!(
        refused.decision(),
        format!("{FORM}/app/login/c1 own_endpoint, clear")
    );
    let trouble = at("/app/login/c1").access(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(trouble.decision(), "200 form to /app/login/c1 own_endpoint");
    assert_eq!(
        at("/app/callback?code=x&state=evil").decision(),
        format!("leave for {HERE} own_endpoint")
    );
}

#[test]
fn what_is_not_in_the_list_leads_nowhere() {
    for uri in [
        "",
        "https%3A%2F%2Fevil.example%2F",
        "https%3A%2F%2Fstore.example.com%2Fshop%2F",
        "https%3A%2F%2Fstore.example.com%2Fshop%40evil.example",
        "%2Fshop",
        "https%3A%2F%2Fstore.example.com%2Fshop&redirect_uri=https%3A%2F%2Fevil.example",
        "https%3A%2F%2Fstore.example.com%2Fshop&state=1&state=2",
    ] {
        let target: &'static str = format!("/app/login/c1?redirect_uri={uri}").leak();
        for ask in [at(target), at(target).access(valid_token(&[]))] {
            assert_eq!(ask.decision(), "400 rejected_input", "{uri}");
        }
    }
}

#[test]
fn only_the_sites_client_is_served() {
    for target in [
        "/app/login",
        "/app/login?client_id=c2",
        "/app/login/c2?client_id=c1",
        "/app/login/c1?client_id=c2",
    ] {
        assert_eq!(
            at(target).access(valid_token(&[])).decision(),
            "400 rejected_input",
            "{target}"
        );
    }
    for target in [
        "/app/logout",
        "/app/logout/c2",
        "/app/logout?client_id=c1&client_id=c1",
    ] {
        assert_eq!(
            at(target).with_metadata(from("none", None)).decision(),
            "400 rejected_input",
            "{target}"
        );
    }
    for target in [
        "/app/refresh/",
        "/app/refresh/c2",
        "/app/refresh?client_id=",
    ] {
        assert_eq!(
            posts(target).refresh(Known::NotAsked).decision(),
            "400 rejected_input",
            "{target}"
        );
    }
    assert_eq!(
        at("/app/me?client_id=c2")
            .access(valid_token(&[]))
            .decision(),
        "400 rejected_input"
    );
}

#[test]
fn who_is_signed_in_is_told_by_claims() {
    let known = |claims: serde_json::Value| {
        let mut principal = Principal::clone(&principal("ann", &[], 600));
        principal.identity.claims = claims.as_object().unwrap().clone();
        Known::Found(std::sync::Arc::new(principal))
    };
    let claims = serde_json::json!({ "sub": "ann", "email": "a@b", "exp": 7, "roles": [] });
    let asks = || at("/app/me/");
    assert_eq!(
        asks().access(known(claims)).decision(),
        "200 {email:a@b,roles:[],sub:ann} own_endpoint"
    );
    assert_eq!(asks().decision(), "401 signed_out");
    let expired = || asks().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().decision(), "401 signed_out, clear");
    assert_eq!(expired().refresh(Known::NotAsked).decision(), "ask renew R");
    assert_eq!(
        expired().refresh(refreshed(&[])).decision(),
        "200 {} own_endpoint, set A2"
    );
    let trouble = expired().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(trouble.decision(), "503 retry 5 provider_unavailable");
    match asks().response() {
        Some(LocalResponse::Problem(problem)) => assert!(problem.for_api_client),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_renewal_is_had_without_a_body() {
    let asks = || posts("/app/refresh/?client_id=c1");
    assert_eq!(asks().decision(), "400 signed_out", "nothing to renew with");
    assert_eq!(
        asks().access(valid_token(&[])).decision(),
        "400 signed_out",
        "what holds is kept"
    );
    assert_eq!(asks().refresh(Known::NotAsked).decision(), "ask renew R");
    assert_eq!(
        asks().refresh(refreshed(&[])).decision(),
        "200 {} own_endpoint, set A2"
    );
    assert_eq!(
        asks().refresh(Known::Absent(Reason::Revoked)).decision(),
        "400 revoked, clear"
    );
    let trouble = asks().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        trouble.decision(),
        "503 retry 5 provider_unavailable",
        "a hiccup is no sign-out"
    );
    for origin in [
        "http://localhost:5173",
        "https://app.example.com",
        "https://store.example.com",
    ] {
        let listed = asks()
            .refresh(Known::NotAsked)
            .with_metadata(|marks| marks.origin = Some(origin));
        assert_eq!(listed.decision(), "ask renew R", "{origin}");
    }
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:51730",
        "https://localhost:5173",
    ] {
        let foreign = asks()
            .refresh(Known::NotAsked)
            .with_metadata(|marks| marks.origin = Some(origin));
        assert_eq!(foreign.decision(), "403 cross_site_request", "{origin}");
    }
}

#[test]
fn a_sign_out_is_for_those_who_come_from_the_site_or_its_client() {
    let there = "/app/logout/?client_id=c1&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A5173";
    let leaves = || at(there).access(valid_token(&[]));
    let done = "leave for http://localhost:5173 Clear-Site-Data own_endpoint, clear";
    let page = "200 sign-out page own_endpoint";
    for mark in [
        from("same-origin", None),
        from("none", None),
        from("same-origin", Some("https://store.example.com/shop")),
    ] {
        assert_eq!(leaves().with_metadata(mark).decision(), "ask sign-out A -");
    }
    let mut carried_out = leaves().with_metadata(from("same-site", Some("http://localhost:5173/")));
    assert_eq!(carried_out.decision(), "ask sign-out A -");
    carried_out.facts.logout = Known::Found(());
    assert_eq!(carried_out.decision(), done);
    assert_eq!(
        at(there).with_metadata(from("none", None)).decision(),
        done,
        "nothing to end"
    );
    for (site, referer) in [
        ("cross-site", None),
        (
            "cross-site",
            Some("https://evil.example/http://localhost:5173/"),
        ),
        ("cross-site", Some("https://store.example.com/")),
        ("same-site", None),
        ("same-site", Some("https://app.example.com/")),
    ] {
        assert_eq!(
            leaves().with_metadata(from(site, referer)).decision(),
            page,
            "{site} {referer:?}"
        );
    }
    for (referer, expected) in [
        (None, page),
        (Some("https://evil.example/"), page),
        (Some("https://store.example.com/shop"), "ask sign-out A -"),
        (Some("http://localhost:5173/"), "ask sign-out A -"),
    ] {
        assert_eq!(
            leaves()
                .with_metadata(|marks| marks.referer = referer)
                .decision(),
            expected,
            "without Sec-Fetch-Site: {referer:?}"
        );
    }
    for mode in ["cors", "no-cors"] {
        let script = leaves()
            .with_metadata(from("same-origin", None))
            .with_metadata(|marks| marks.fetch_mode = Some(mode));
        assert_eq!(
            script.decision(),
            page,
            "a script or an image is nobody leaving"
        );
    }
    let handshake = leaves()
        .with_metadata(from("same-origin", None))
        .with_metadata(|marks| marks.is_websocket = true);
    assert_eq!(handshake.decision(), page);
    let mut head = leaves().with_metadata(from("none", None));
    head.method = Method::HEAD;
    assert_eq!(head.decision(), page);
}

#[test]
fn a_sign_out_leads_to_the_list_or_to_the_sites_own_page() {
    for (query, there) in [
        ("", "303 /bye Clear-Site-Data"),
        (
            "&redirect_uri=https%3A%2F%2Fevil.example",
            "303 /bye Clear-Site-Data",
        ),
        (
            "&post_logout_redirect_uri=%2F%2Fevil.example",
            "303 /bye Clear-Site-Data",
        ),
        (
            "&redirect_uri=https%3A%2F%2Fstore.example.com%2Fshop",
            "leave for https://store.example.com/shop Clear-Site-Data",
        ),
    ] {
        let target: &'static str = format!("/app/logout?client_id=c1{query}").leak();
        let told = at(target).with_metadata(from("none", None)).decision();
        assert_eq!(told, format!("{there} own_endpoint, clear"), "{query}");
    }
}

#[test]
fn a_sign_in_never_leads_to_a_sign_out() {
    for path in [
        "/app/logout%3Fclient_id%3Dc1",
        "/app/logout/c1",
        "/app/log%256fut/c1/",
    ] {
        let target: &'static str = format!("/login?return_to={path}").leak();
        assert_eq!(
            at(target).access(valid_token(&[])).decision(),
            "303 /landing own_endpoint",
            "{path}"
        );
    }
    let login = at("/login?return_to=/app/login%3Fclient_id%3Dc1").access(valid_token(&[]));
    assert_eq!(login.decision(), "303 /app/login?client_id=c1 own_endpoint");
}

#[test]
fn the_clients_pages_read_its_endpoints_and_no_others() {
    let asks = |target, headers: &'static str| {
        hosted(request(&Method::OPTIONS, target)).with_metadata(|marks| {
            (marks.origin, marks.preflight_headers) =
                (Some("http://localhost:5173"), Some(headers));
        })
    };
    let may = "204 may GET, HEAD with content-type, authorization, vestibule-refresh-token, x-requested-with own_endpoint";
    assert_eq!(asks("/app/me/", "").decision(), may);
    assert_eq!(
        asks("/app/refresh/?client_id=c1", "").decision(),
        may.replace("GET, HEAD", "POST")
    );
    assert_eq!(
        asks("/app/login/", "").decision(),
        "405 allow GET, HEAD method_not_allowed"
    );
    assert_eq!(
        asks("/api/user", "").decision(),
        "405 allow GET, HEAD method_not_allowed"
    );
    assert_eq!(asks("/mine", "").decision(), "401 signed_out");
}
