//! Requests that came in the clear.

use super::super::https_redirect::{Arrival, location};
use super::fixtures::store;
use crate::model::https_policy::HttpsPolicy;
use crate::model::origin::{Host, Origin, Scheme};
use crate::model::site::Site;

fn plain(trusted_proto: Option<&str>, tls_listeners: usize) -> Arrival {
    Arrival::new(
        Scheme::Http,
        trusted_proto.map(str::as_bytes),
        tls_listeners,
    )
}

#[test]
fn the_nearest_trusted_proxy_says_how_the_client_came() {
    for (proto, tls_listeners, expected) in [
        (None, 0, None),
        (None, 1, Some(Scheme::Http)),
        (Some("https"), 0, Some(Scheme::Https)),
        (Some("HTTPS"), 1, Some(Scheme::Https)),
        (Some("http, https"), 1, Some(Scheme::Https)),
        (Some("https, http"), 1, Some(Scheme::Http)),
        (Some("http"), 0, Some(Scheme::Http)),
        (Some("wss"), 1, Some(Scheme::Http)),
        (Some(""), 0, None),
    ] {
        assert_eq!(plain(proto, tls_listeners).scheme, expected, "{proto:?}");
    }
    let tls = Arrival::new(Scheme::Https, Some(b"http"), 1);
    assert_eq!(tls.scheme, Some(Scheme::Https));
}

#[test]
fn only_plain_requests_for_https_sites_are_redirected() {
    let site = |origin: &str, redirect: bool| Site {
        origin: Origin::parse(origin).unwrap(),
        https: HttpsPolicy {
            over_http: redirect.into(),
            hsts: None,
        },
        ..store()
    };
    let (https, http) = ("https://store.example", "http://localhost:8080");
    let tls = Arrival::new(Scheme::Https, None, 1);
    for (arrival, site, redirected) in [
        (plain(None, 1), site(https, true), true),
        (plain(None, 0), site(https, true), false),
        (plain(None, 1), site(https, false), false),
        (plain(None, 1), site(http, true), false),
        (plain(Some("https"), 1), site(https, true), false),
        (plain(Some("http"), 0), site(https, true), false),
        (tls, site(https, true), false),
    ] {
        let location = location(arrival, &site, &site.origin.name, b"/a?b");
        assert_eq!(
            location.is_some(),
            redirected,
            "{arrival:?} {}",
            site.origin
        );
    }
}

#[test]
fn name_and_target_are_kept_and_the_port_is_that_of_https() {
    let site = |origin: &str| Site {
        origin: Origin::parse(origin).unwrap(),
        aliases: ["b.example", "c.example:8444"]
            .map(|alias| Host::parse(alias).unwrap())
            .to_vec(),
        ..store()
    };
    for (origin, host, target, expected) in [
        (
            "https://a.example",
            "a.example",
            "/",
            Some("https://a.example/"),
        ),
        (
            "https://a.example:8443",
            "a.example",
            "/b?c=%20d",
            Some("https://a.example:8443/b?c=%20d"),
        ),
        (
            "https://a.example:8443",
            "b.example",
            "//x",
            Some("https://b.example//x"),
        ),
        (
            "https://a.example",
            "c.example",
            "/",
            Some("https://c.example:8444/"),
        ),
        ("https://a.example", "d.example", "/", None),
    ] {
        let location = location(plain(None, 1), &site(origin), host, target.as_bytes());
        assert_eq!(location.as_deref(), expected);
    }
}
