//! Laws of the headers that an application gets: about its user, and about the client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use vestibule::decide::client_address::resolve_client_ip;
use vestibule::decide::upstream_headers::{forwarded_value, is_valid_request_id, removals};
use vestibule::model::header_template::Template;
use vestibule::model::identity::Identity;
use vestibule::model::identity_headers::IdentityHeaders;

use super::site;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => any::<String>().prop_map(Value::from),
        1 => "[ -~]{0,12}".prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..3)
                .prop_map(|map| json!(map)),
        ]
    })
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let name = select(&["email", "preferred_username", "roles", "tags"][..]);
    (
        any::<String>(),
        proptest::collection::vec((name, value()), 0..6),
    )
        .prop_map(|(sub, claims)| {
            let mut all: Map<String, Value> = claims
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            all.insert("sub".into(), sub.into());
            all
        })
}

fn sets() -> impl Strategy<Value = IdentityHeaders> {
    let custom = IdentityHeaders::custom(vec![
        (
            HeaderName::from_static("x-who"),
            Template::parse("{username} <{email}> {claim.tags}").unwrap(),
        ),
        (
            HeaderName::from_static("x-tags"),
            Template::parse("{claim.tags}").unwrap(),
        ),
    ]);
    select(vec![
        IdentityHeaders::x_auth(),
        IdentityHeaders::preset("remote-user").unwrap(),
        IdentityHeaders::preset("x-forwarded-user").unwrap(),
        custom,
    ])
}

const TRUSTED: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];

fn entry() -> impl Strategy<Value = String> {
    let trusted = select(
        &[
            "10.0.0.1",
            "10.9.9.9:443",
            "2001:db8::1",
            "[2001:db8::2]",
            "[2001:db8::3]:99",
            "::ffff:10.0.0.2",
            "0:0:0:0:0:ffff:10.0.0.3:99",
        ][..],
    );
    let others = select(
        &[
            "1.1.1.1",
            "2.2.2.2:80",
            "fe80::1",
            "[fe80::2]:1",
            "unknown",
            "_hidden",
            "",
            "10.0.0",
            "10.0.0.1:x",
        ][..],
    );
    prop_oneof![3 => trusted.prop_map(str::to_owned), 3 => others.prop_map(str::to_owned), 1 => "[!-+.-~]{0,8}"]
}

fn peer() -> impl Strategy<Value = IpAddr> {
    select(
        &[
            "10.0.0.9",
            "::ffff:10.0.0.9",
            "2001:db8::9",
            "9.9.9.9",
            "fe80::9",
        ][..],
    )
    .prop_map(|peer| peer.parse().unwrap())
}

proptest! {
    #![proptest_config(super::scaled(1))]

    #[test]
    fn an_identity_header_is_printable_ascii_or_absent(claims in claims(), set in sets()) {
        let identity = Identity::from_claims(claims).unwrap();
        let Ok(headers) = set.render(&identity) else { return Ok(()) };
        for (name, value) in &headers {
            prop_assert!(value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte)), "{}: {:?}", name, value);
            prop_assert!(set.names().any(|managed| managed == name));
        }
        let mut names: Vec<&HeaderName> = headers.iter().map(|(name, _)| name).collect();
        names.dedup();
        prop_assert_eq!(names.len(), headers.len());
    }

    #[test]
    fn the_roles_header_has_one_entry_for_each_role(roles in proptest::collection::vec("[ -~é]{1,6}", 1..5)) {
        let claims = json!({ "sub": "u", "roles": roles });
        let identity = Identity::from_claims(claims.as_object().unwrap().clone()).unwrap();
        let headers = IdentityHeaders::x_auth().render(&identity).unwrap();
        let (_, value) = headers.iter().find(|(name, _)| name == "x-auth-roles").unwrap();
        let entries: Vec<String> = value.to_str().unwrap().split(',')
            .map(|role| percent_encoding::percent_decode_str(role).decode_utf8().unwrap().into_owned()).collect();
        prop_assert_eq!(entries, roles);
    }

    #[test]
    fn a_control_character_is_never_rendered(before in "[a-z]{0,3}", control in any::<char>(), after in "[a-z]{0,3}") {
        let claims = json!({ "sub": format!("{before}{control}{after}") });
        let identity = Identity::from_claims(claims.as_object().unwrap().clone()).unwrap();
        prop_assert_eq!(IdentityHeaders::x_auth().render(&identity).is_err(), control.is_control());
    }

    #[test]
    fn no_client_header_names_a_user(name in "[a-zA-Z_-]{1,12}", prefix in select(&["x-auth-", "X-Auth-", "x_auth_", "", "X-Forwarded-"][..])) {
        let Ok(name) = HeaderName::try_from(format!("{prefix}{name}")) else { return Ok(()) };
        let site = site::store();
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), HeaderValue::from_static("ann"));
        for managed in site.identity_headers.names() {
            headers.append(managed, HeaderValue::from_static("ann"));
        }
        for gone in removals(&site, &headers) {
            headers.remove(gone);
        }
        // Applications behind CGI, WSGI and PHP read `_` as `-`.
        let read_as = |name: &HeaderName| name.as_str().replace('_', "-");
        prop_assert!(headers.keys().all(|name| !read_as(name).starts_with("x-auth-")));
        prop_assert!(headers.keys().all(|name| site.identity_headers.names().all(|managed| read_as(name) != read_as(managed))));
    }

    #[test]
    fn a_trusted_proxy_is_the_client_only_where_no_other_address_is_named(
        peer in peer(), fields in proptest::collection::vec(proptest::collection::vec(entry(), 0..4), 0..3),
    ) {
        let trusted: Vec<IpNet> = TRUSTED.iter().map(|net| net.parse().unwrap()).collect();
        let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
        let fields: Vec<String> = fields.iter().map(|entries| entries.join(", ")).collect();
        let resolved = resolve_client_ip(peer, fields.iter().map(String::as_bytes), &trusted);
        prop_assert_eq!(resolved.peer_is_trusted, is_trusted(peer));
        let forwarded_for = resolved.forwarded_for.as_ref();
        let end = format!(", {}", peer.to_canonical());
        prop_assert!(forwarded_for.is_none_or(|forwarded_for| forwarded_for.ends_with(&end)));
        if !is_trusted(peer) {
            prop_assert_eq!(resolved.ip, peer.to_canonical());
            prop_assert_eq!(forwarded_for, None);
            return Ok(());
        }
        let entries: Vec<&str> = fields.iter().flat_map(|field| field.split(',')).map(str::trim_ascii)
            .filter(|entry| !entry.is_empty()).collect();
        prop_assert_eq!(forwarded_for.is_some(), !entries.is_empty());
        // The first entry from the right that is no address of a trusted proxy.
        let named = entries.iter().rev().map(|entry| address(entry)).find(|address| !address.is_some_and(is_trusted));
        match named {
            Some(Some(stranger)) => prop_assert_eq!(resolved.ip, stranger),
            // None, or no address: the proxy that reported it is the client.
            Some(None) | None => prop_assert!(is_trusted(resolved.ip)),
        }
        prop_assert_eq!(resolved.ip, resolved.ip.to_canonical());
    }

    #[test]
    fn forwarded_headers_are_printable_ascii(peer in peer(), fields in proptest::collection::vec("[ -~]{0,30}", 0..3)) {
        let trusted: Vec<IpNet> = TRUSTED.iter().map(|net| net.parse().unwrap()).collect();
        let resolved = resolve_client_ip(peer, fields.iter().map(String::as_bytes), &trusted);
        prop_assert!(resolved.forwarded_for.is_none_or(|forwarded_for| HeaderValue::try_from(forwarded_for).is_ok()));
        prop_assert!(HeaderValue::from_str(&forwarded_value(None, peer, ";proto=http")).is_ok());
    }

    #[test]
    fn a_request_id_is_kept_only_where_it_is_valid(id in prop_oneof!["[A-Za-z0-9_.-]{0,140}", "[ -~]{0,8}", any::<String>()]) {
        let is_valid = !id.is_empty() && id.len() <= 128
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.');
        prop_assert_eq!(is_valid_request_id(&id), is_valid);
    }
}

/// An entry of `X-Forwarded-For`, read with nothing but the standard library.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.parse::<IpAddr>().ok();
    let with_port = || {
        entry
            .parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.ip())
    };
    let bracketed = || {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<IpAddr>()
            .ok()
    };
    bare.or_else(with_port)
        .or_else(bracketed)
        .map(|address| address.to_canonical())
}
