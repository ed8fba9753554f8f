//! Fields of responses that name the upstream.

use http::HeaderValue;

use crate::decide::response_rewrite::{location, set_cookie};
use crate::model::origin::Host;
use crate::model::site::{ResponseRewrite, Site};
use crate::model::upstream::UpstreamAddress;

use super::fixtures::store;

/// `https://store.example.com` in front of `http://10.0.0.5:3001`, `https://app.internal` and a
/// socket.
fn site() -> Site {
    Site {
        upstreams: [
            UpstreamAddress::Http {
                host: "10.0.0.5".into(),
                port: 3001,
            },
            UpstreamAddress::Https {
                host: "app.internal".into(),
                port: 443,
            },
            UpstreamAddress::Unix {
                path: "/run/app.sock".into(),
            },
        ]
        .map(Into::into)
        .to_vec(),
        aliases: vec![Host::parse("shop.example.com").unwrap()],
        ..store()
    }
}

/// The field as the client gets it.
fn location_of(site: &Site, value: &str) -> String {
    let value = HeaderValue::from_str(value).unwrap();
    let value = location(site, &value).unwrap_or(value);
    value.to_str().unwrap().to_owned()
}

fn cookie_of(site: &Site, value: &str) -> String {
    let value = HeaderValue::from_str(value).unwrap();
    let value = set_cookie(site, &value).unwrap_or(value);
    value.to_str().unwrap().to_owned()
}

#[test]
fn the_address_of_an_upstream_becomes_the_origin_of_the_site() {
    for (value, rest) in [
        ("http://10.0.0.5:3001/cart?a=b#c", "/cart?a=b#c"),
        ("HTTP://10.0.0.5:3001/", "/"),
        ("//10.0.0.5:3001/x", "/x"),
        ("http://10.0.0.5:3001", ""),
        ("http://10.0.0.5:3001?a", "?a"),
        ("https://10.0.0.5:3001/x", "/x"),
        ("https://app.internal/x", "/x"),
        ("https://App.Internal:443/x", "/x"),
        // Still the site: the origin stands before it.
        ("http://10.0.0.5:3001//evil.example/", "//evil.example/"),
        ("http://10.0.0.5:3001/\\evil.example", "/\\evil.example"),
    ] {
        let expected = format!("https://store.example.com{rest}");
        assert_eq!(location_of(&site(), value), expected, "{value}");
    }
}

#[test]
fn every_other_address_stays_as_it_is() {
    for value in [
        "/cart",
        "cart//x",
        "?next=http://10.0.0.5:3001/",
        "https://pay.example/?back=http://10.0.0.5:3001/",
        "http://10.0.0.5/x",
        "http://10.0.0.5:3002/x",
        "http://10.0.0.55:3001/x",
        "https://app.internal.evil.example/",
        "https://app.internal@evil.example/",
        "http://user@10.0.0.5:3001/",
        "http://10.0.0.5:3001\\@evil.example/",
        "http://app.internal/",
        "ftp://10.0.0.5:3001/x",
        "https://store.example.com/x",
        "https://shop.example.com/x",
        "",
    ] {
        assert_eq!(location_of(&site(), value), value);
    }
}

#[test]
fn the_host_that_upstreams_are_sent_is_theirs_too() {
    let mut site = site();
    site.upstream_host = Some("shop.internal".into());
    for value in [
        "http://shop.internal/x",
        "https://shop.internal/x",
        "//shop.internal/x",
    ] {
        assert_eq!(location_of(&site, value), "https://store.example.com/x");
    }
    let other_port = "http://shop.internal:81/x";
    assert_eq!(location_of(&site, other_port), other_port);
    assert_eq!(cookie_of(&site, "a=b; Domain=shop.internal"), "a=b");
    // What browsers can reach is no name of the upstream's alone.
    for public in ["store.example.com", "shop.example.com"] {
        site.upstream_host = Some(public.into());
        for value in [format!("http://{public}/x"), format!("https://{public}/x")] {
            assert_eq!(location_of(&site, &value), value);
        }
    }
}

#[test]
fn a_cookie_of_the_upstreams_host_is_one_of_the_site() {
    for (value, expected) in [
        (
            "a=b; Domain=app.internal; Path=/; Secure",
            "a=b; Path=/; Secure",
        ),
        ("a=b;domain = .APP.internal ;Path=/", "a=b;Path=/"),
        ("a=b; Path=/; Domain=10.0.0.5", "a=b; Path=/"),
        // The last one counts, and none is left to count in its place.
        ("a=b; Domain=x.example; Domain=app.internal", "a=b"),
    ] {
        assert_eq!(cookie_of(&site(), value), expected);
    }
    for value in [
        "a=b",
        "a=b; Path=/",
        "a=b; Domain=example.com",
        "a=b; Domain=internal",
        "a=b; Domain=app.internal; Domain=x.example",
        "domain=app.internal; Path=/",
        "a=b; Domain=",
    ] {
        assert_eq!(cookie_of(&site(), value), value);
    }
    let mut shared = site();
    shared.upstream_host = Some("example.com".into());
    let wide = "a=b; Domain=example.com";
    assert_eq!(cookie_of(&shared, wide), wide, "browsers take it");
}

#[test]
fn nothing_is_rewritten_where_the_operator_says_so() {
    let mut site = site();
    site.rewrite = ResponseRewrite::Disabled;
    let value = "http://10.0.0.5:3001/x";
    assert_eq!(location_of(&site, value), value);
    let value = "a=b; Domain=app.internal";
    assert_eq!(cookie_of(&site, value), value);
}
