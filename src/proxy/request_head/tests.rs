//! Tests of what is read of a request head.

use super::*;
use crate::model::cookie_names::CookieNames;
use crate::model::origin::Scheme;
use crate::model::target::EncodedSlashes;

fn read(method: &str, fields: &[(&'static str, &str)]) -> RequestHead {
    let mut request = RequestHeader::build(method, b"/a?b", None).unwrap();
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    RequestHead::read(&request)
}

#[test]
fn fields_that_must_stand_once_are_counted() {
    let head = read(
        "GET",
        &[
            ("host", "a"),
            ("host", "b"),
            ("authorization", "Bearer A"),
            ("transfer-encoding", "gzip"),
            ("transfer-encoding", "chunked"),
        ],
    );
    let unvalidated = head.unvalidated(b"bytes");
    assert_eq!(unvalidated.target, b"/a?b");
    assert_eq!(unvalidated.fields, 5);
    let counts = FieldCounts {
        hosts: 2,
        authorizations: 1,
        ..FieldCounts::default()
    };
    assert_eq!(unvalidated.counts, counts);
    assert_eq!(unvalidated.transfer_encoding, ["gzip", "chunked"]);
}

#[test]
fn lengths_are_counted_by_value() {
    let lengths = |fields: &[(&'static str, &str)]| read("POST", fields).counts.lengths;
    let length = |value| ("content-length", value);
    assert_eq!(lengths(&[]), 0);
    assert_eq!(lengths(&[length("5")]), 1);
    assert_eq!(lengths(&[length("5, 5")]), 2);
    assert_eq!(lengths(&[length("5"), length("005")]), 2);
}

#[test]
fn the_lines_of_a_list_are_joined_and_a_single_value_is_single() {
    let head = read(
        "GET",
        &[
            ("accept", "application/json"),
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
            ("referer", "https://store.example.com/a"),
            ("referer", "https://evil.example/"),
        ],
    );
    let metadata = head.fetch_metadata();
    assert_eq!(metadata.accept, Some("application/json, text/html"));
    assert_eq!(metadata.fetch_mode, Some(""));
    assert_eq!(metadata.fetch_site, Some(""));
    assert_eq!(metadata.referer, Some(""));
}

#[test]
fn a_websocket_handshake_is_asked_for_of_this_hop() {
    let websocket = |method: &str, fields: &[(&'static str, &str)]| {
        read(method, fields).fetch_metadata().is_websocket
    };
    let (upgrade, connection) = (("upgrade", "websocket"), ("connection", "Upgrade"));
    assert!(websocket("GET", &[upgrade, connection]));
    assert!(websocket(
        "GET",
        &[
            ("upgrade", "h2c, WebSocket"),
            ("connection", "keep-alive"),
            ("connection", "x, upgrade"),
        ]
    ));
    assert!(!websocket("GET", &[upgrade]));
    assert!(!websocket("GET", &[upgrade, ("connection", "keep-alive")]));
    assert!(!websocket("GET", &[("upgrade", "websockets"), connection]));
    assert!(!websocket("POST", &[upgrade, connection]));
    let mut old = RequestHeader::build("GET", b"/", None).unwrap();
    old.set_version(Version::HTTP_10);
    old.append_header("upgrade", "websocket").unwrap();
    old.append_header("connection", "upgrade").unwrap();
    assert!(!RequestHead::read(&old).fetch_metadata().is_websocket);
}

#[test]
fn a_trace_is_continued_where_it_is_one() {
    let invalid = |fields: &[(&'static str, &str)]| read("GET", fields).has_invalid_trace();
    let parent = (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    );
    let state = ("tracestate", "a=b");
    assert!(!invalid(&[]));
    assert!(!invalid(&[parent]));
    assert!(!invalid(&[parent, state]));
    assert!(invalid(&[parent, parent]));
    assert!(invalid(&[("traceparent", "none")]));
    assert!(invalid(&[state]));
}

/// A token with the form of a JWT; its header is `{"alg":"RS256"}`.
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";

#[test]
fn bearer_tokens_are_read_from_headers() {
    let target = Target::parse(b"/", EncodedSlashes::Reject).unwrap();
    let names = CookieNames::defaults(Scheme::Https);
    let cookies = PresentedCookies::parse(&names, std::iter::empty::<&str>());
    let tokens = |fields: &[(&'static str, &str)]| {
        let head = read("GET", fields);
        let BearerTokens {
            access, refresh, ..
        } = head.view(&target, &cookies, RuleClient::default()).bearer;
        (access.map(str::to_owned), refresh.map(str::to_owned))
    };
    let refresh = ("vestibule-refresh-token", "R");
    assert_eq!(
        tokens(&[("authorization", &format!("bEARER  {JWT} ")), refresh]),
        (Some(JWT.into()), Some("R".into()))
    );
    // The application's own.
    assert_eq!(
        tokens(&[("authorization", "Bearer glsa_own"), refresh]),
        (None, Some("R".into()))
    );
    assert_eq!(tokens(&[("authorization", "Basic A")]), (None, None));
    assert_eq!(tokens(&[refresh, refresh]), (None, None));
}

#[test]
fn a_browser_shows_itself_by_its_fields() {
    let browser = |fields: &[(&'static str, &str)]| {
        let head = read("GET", fields);
        head.fetch_metadata().is_browser
    };
    assert!(browser(&[("origin", "https://a")]));
    assert!(browser(&[("sec-fetch-dest", "document")]));
    assert!(!browser(&[("accept", "text/html"), ("user-agent", "x")]));
}

#[test]
fn a_prefetch_is_known_by_every_field_that_names_one() {
    let prefetch = |name: &'static str, value: &str| {
        let head = read("GET", &[(name, value)]);
        head.fetch_metadata().is_prefetch
    };
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("sec-purpose", "Prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        assert!(prefetch(name, value), "{name}: {value}");
    }
    for value in ["", "document", "no-prefetch", "prefetching"] {
        assert!(!prefetch("sec-purpose", value), "{value}");
    }
    assert!(!prefetch("x-purpose-of-all", "prefetch"));
}

#[test]
fn a_preflight_is_an_options_request_that_names_a_method() {
    let method = ("access-control-request-method", "PUT");
    let headers = ("access-control-request-headers", "x-a");
    let preflight = |name: &str, fields: &[(&'static str, &str)]| {
        let head = read(name, fields);
        head.fetch_metadata().preflight_headers.map(str::to_owned)
    };
    assert_eq!(preflight("OPTIONS", &[method, headers]), Some("x-a".into()));
    assert_eq!(preflight("OPTIONS", &[method]), Some(String::new()));
    assert_eq!(preflight("OPTIONS", &[headers]), None);
    assert_eq!(preflight("GET", &[method, headers]), None);
}
