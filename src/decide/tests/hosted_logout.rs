//! The logout endpoint that FusionAuth's single-page SDKs navigate to.

use http::Method;

use super::case::Case;
use super::fixtures::valid_token;
use super::fusionauth_hosted_backend::{at, from};
use crate::decide::Known;

const LOGOUT: &str =
    "/app/logout/?client_id=c1&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A5173";
const PAGE: &str = "200 logout page own_endpoint";

/// An authenticated user opens the endpoint.
fn logout() -> Case {
    at(LOGOUT).access(valid_token(&[]))
}

#[test]
fn a_logout_takes_effect_from_the_site_or_its_client() {
    for metadata in [
        from("same-origin", None),
        from("none", None),
        from("same-origin", Some("https://store.example.com/shop")),
    ] {
        let case = logout().with_metadata(metadata);
        assert_eq!(case.decision(), "ask logout A -");
    }
    let done = "leave for http://localhost:5173 Clear-Site-Data own_endpoint, clear";
    let mut by_client = logout().with_metadata(from("same-site", Some("http://localhost:5173/")));
    assert_eq!(by_client.decision(), "ask logout A -");
    by_client.facts.logout = Known::Found(None);
    assert_eq!(by_client.decision(), done);
    let anonymous = at(LOGOUT).with_metadata(from("none", None));
    assert_eq!(anonymous.decision(), done, "there is nothing to end");
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
        let case = logout().with_metadata(from(site, referer));
        assert_eq!(case.decision(), PAGE, "{site} {referer:?}");
    }
}

#[test]
fn a_prefetch_logs_nobody_out() {
    let mut case = logout().with_metadata(from("same-origin", None));
    case.fetch_metadata.is_prefetch = true;
    assert_eq!(case.decision(), PAGE);
}

#[test]
fn without_fetch_metadata_the_referer_decides_about_a_logout() {
    for (referer, expected) in [
        (None, PAGE),
        (Some("https://evil.example/"), PAGE),
        (Some("https://store.example.com/shop"), "ask logout A -"),
        (Some("http://localhost:5173/"), "ask logout A -"),
    ] {
        let case = logout().with_metadata(|metadata| metadata.referer = referer);
        assert_eq!(case.decision(), expected, "{referer:?}");
    }
}

#[test]
fn only_a_navigation_logs_out() {
    let same_origin = || logout().with_metadata(from("same-origin", None));
    for mode in ["cors", "no-cors"] {
        let script = same_origin().with_metadata(|metadata| metadata.fetch_mode = Some(mode));
        assert_eq!(script.decision(), PAGE, "{mode}");
    }
    let handshake = same_origin().with_metadata(|metadata| metadata.is_websocket = true);
    assert_eq!(handshake.decision(), PAGE);
    let mut head = logout().with_metadata(from("none", None));
    head.method = Method::HEAD;
    assert_eq!(head.decision(), PAGE);
}

#[test]
fn a_logout_redirects_to_a_listed_address_or_the_sites_own_page() {
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
        let decision = at(target).with_metadata(from("none", None)).decision();
        assert_eq!(decision, format!("{there} own_endpoint, clear"), "{query}");
    }
}

#[test]
fn a_login_never_leads_to_a_logout() {
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
