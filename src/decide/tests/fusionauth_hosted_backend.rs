//! The endpoints that FusionAuth's single-page SDKs call: login, claims and refresh.

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{principal, refreshed, valid_token};
use crate::decide::Known;
use crate::model::cookie_names::CookieNames;
use crate::model::fusionauth_hosted_backend::{HostedBackend, RedirectUri};
use crate::model::local_response::LocalResponse;
use crate::model::origin::Scheme;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::token::{Principal, TokenError};

const HERE: &str = "https://store.example.com/shop";
const FORM: &str = "302 /login?return_to=";

fn hosted(mut case: Case) -> Case {
    let list = [HERE, "http://localhost:5173"].map(|uri| RedirectUri::parse(uri).unwrap());
    case.site.hosted_backend = HostedBackend::new("c1".into(), list.to_vec());
    case.site.cookies = CookieNames::for_hosted_backend(Scheme::Https);
    case
}

pub(super) fn at(target: &'static str) -> Case {
    hosted(navigation(target))
}

fn posts(target: &'static str) -> Case {
    hosted(request(&Method::POST, target))
        .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"))
}

/// The site and address of the page that links here.
pub(super) fn from(
    site: &'static str,
    referer: Option<&'static str>,
) -> impl FnOnce(&mut FetchMetadata<'static>) {
    move |metadata| (metadata.fetch_site, metadata.referer) = (Some(site), referer)
}

#[test]
fn the_endpoints_exist_only_where_configured() {
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
        "/App/login",
    ] {
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
fn the_login_page_leads_back_to_the_same_address() {
    for (target, return_to) in [
        ("/app/login?client_id=c1", "/app/login?client_id=c1"),
        (
            "/app/login/?client_id=c1&state=s",
            "/app/login/?client_id=c1%26state=s",
        ),
        ("/app/login/c1", "/app/login/c1"),
        (
            "/app/register/c1/?scope=openid",
            "/app/register/c1/?scope=openid",
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
fn an_authenticated_user_returns_to_the_client_with_the_state() {
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
    let outage = at("/app/login/c1").access(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(outage.decision(), "200 form to /app/login/c1 own_endpoint");
    assert_eq!(
        at("/app/callback?code=x&state=evil").decision(),
        format!("leave for {HERE} own_endpoint")
    );
}

#[test]
fn an_address_that_is_not_listed_is_refused() {
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
        for case in [at(target), at(target).access(valid_token(&[]))] {
            assert_eq!(case.decision(), "400 rejected_input", "{uri}");
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
fn the_claims_of_the_user_are_returned() {
    let known = |claims: serde_json::Value| {
        let mut principal = Principal::clone(&principal("ann", &[], 600));
        principal.identity.claims = claims.as_object().unwrap().clone();
        Known::Found(std::sync::Arc::new(principal))
    };
    let claims = serde_json::json!({ "sub": "ann", "email": "a@b", "exp": 7, "roles": [] });
    let get = || at("/app/me/");
    assert_eq!(
        get().access(known(claims)).decision(),
        "200 {email:a@b,roles:[],sub:ann} own_endpoint"
    );
    assert_eq!(get().decision(), "401 signed_out");
    let expired = || get().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().decision(), "401 signed_out, clear");
    assert_eq!(
        expired().refresh(Known::NotAsked).decision(),
        "ask refresh R"
    );
    assert_eq!(
        expired().refresh(refreshed(&[])).decision(),
        "200 {} own_endpoint, set A2"
    );
    let outage = expired().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(outage.decision(), "503 retry 5 provider_unavailable");
    match get().response() {
        Some(LocalResponse::Problem(problem)) => assert!(problem.for_api_client),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refresh_needs_no_body() {
    let post = || posts("/app/refresh/?client_id=c1");
    assert_eq!(
        post().decision(),
        "400 signed_out",
        "there is no refresh token"
    );
    assert_eq!(
        post().access(valid_token(&[])).decision(),
        "400 signed_out",
        "the access token stays"
    );
    assert_eq!(post().refresh(Known::NotAsked).decision(), "ask refresh R");
    assert_eq!(
        post().refresh(refreshed(&[])).decision(),
        "200 {} own_endpoint, set A2"
    );
    assert_eq!(
        post().refresh(Known::Absent(Reason::Revoked)).decision(),
        "400 revoked, clear"
    );
    let outage = post().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        outage.decision(),
        "503 retry 5 provider_unavailable",
        "an outage logs nobody out"
    );
    for origin in [
        "http://localhost:5173",
        "https://app.example.com",
        "https://store.example.com",
    ] {
        let listed = post()
            .refresh(Known::NotAsked)
            .with_metadata(|metadata| metadata.origin = Some(origin));
        assert_eq!(listed.decision(), "ask refresh R", "{origin}");
    }
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost:51730",
        "https://localhost:5173",
    ] {
        let foreign = post()
            .refresh(Known::NotAsked)
            .with_metadata(|metadata| metadata.origin = Some(origin));
        assert_eq!(foreign.decision(), "403 cross_site_request", "{origin}");
    }
}

#[test]
fn the_clients_pages_may_read_its_endpoints_and_no_others() {
    let preflight = |target, headers: &'static str| {
        hosted(request(&Method::OPTIONS, target)).with_metadata(|metadata| {
            (metadata.origin, metadata.preflight_headers) =
                (Some("http://localhost:5173"), Some(headers));
        })
    };
    let may = "204 may GET, HEAD with content-type, authorization, vestibule-refresh-token, x-requested-with own_endpoint";
    assert_eq!(preflight("/app/me/", "").decision(), may);
    assert_eq!(
        preflight("/app/refresh/?client_id=c1", "").decision(),
        may.replace("GET, HEAD", "POST")
    );
    assert_eq!(
        preflight("/app/login/", "").decision(),
        "405 allow GET, HEAD method_not_allowed"
    );
    assert_eq!(
        preflight("/api/user", "").decision(),
        "405 allow GET, HEAD method_not_allowed"
    );
    assert_eq!(preflight("/mine", "").decision(), "401 signed_out");
}
