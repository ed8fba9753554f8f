//! Which targets and bodies a site takes.

use http::{HeaderName, Method};

use crate::decide::rejection::Rejection;
use crate::decide::request_size::validate_content_length;
use crate::decide::request_target::validate_target;
use crate::model::local_path::LocalPath;
use crate::model::request::BearerTokens;
use crate::model::request_cookies::PresentedRedirectLogin;
use crate::model::rule::{Access, Rule, RuleClient};
use crate::model::site::Site;
use crate::model::target::{EncodedSlashes, Target};

use super::fixtures::{rule, store};

#[test]
fn a_target_is_read_as_the_site_reads_it() {
    let raw = |encoded_slashes, target: &'static [u8]| {
        let site = Site {
            encoded_slashes,
            ..store()
        };
        validate_target(target, &Method::GET, RuleClient::default(), &site)
            .map(|target| target.raw())
    };
    let (reject, pass) = (EncodedSlashes::Reject, EncodedSlashes::Pass);
    assert_eq!(raw(reject, b"/a?b=%2F"), Ok("/a?b=%2F"));
    assert_eq!(raw(reject, b"/a%2Fb"), Err(Rejection::MALFORMED));
    assert_eq!(raw(pass, b"/a%2Fb"), Ok("/a%2Fb"));
}

#[test]
fn a_method_in_other_letter_case_must_not_lead_to_a_stricter_rule() {
    let purge = Rule {
        methods: vec![Method::from_bytes(b"PURGE").unwrap()],
        ..rule("/public/*", Access::Required, &["admin"])
    };
    let site = Site {
        rules: [vec![purge], store().rules].concat(),
        ..store()
    };
    let validated = |method: &[u8], target: &'static [u8]| {
        let method = Method::from_bytes(method).unwrap();
        validate_target(target, &method, RuleClient::default(), &site).is_ok()
    };
    assert!(validated(b"PURGE", b"/public/x"));
    assert!(!validated(b"purge", b"/public/x"));
    assert!(!validated(b"Purge", b"/public/x"));
    assert!(validated(b"purges", b"/public/x"));
    // The rule for any other path is the same in either case.
    assert!(validated(b"purge", b"/mine"));
}

/// Whether a `GET` for `target` passes, whoever asks.
fn is_valid_for_anybody(site: &Site, target: &str) -> bool {
    let client = RuleClient::default();
    validate_target(target.as_bytes(), &Method::GET, client, site).is_ok()
}

#[test]
fn every_reading_must_meet_the_same_rule() {
    let site = store();
    let is_valid = |target: &str| is_valid_for_anybody(&site, target);
    for agreed in [
        "/wp-json/wp/v2/templates/twentytwentythree//home?context=edit",
        "/x/https://host/path",
        "/wiki/A//B",
        "/wiki/A%5CB",
        "/wiki/A;v=1",
        "/wiki/A%252FB%253B",
        "/public//x;v=1%5C/y",
        "/public/%252e%252e/public/x",
        "/staff/%2573taff",
    ] {
        assert!(is_valid(agreed), "{agreed}");
    }
    for contested in [
        "/staff;x/x",
        "/%2573taff/x",
        "/x%5C..%255Cstaff",
        "/x/%252e%252e/staff/x",
        // Looser readings, too: the application serves another page than the one that was judged.
        "/public/%252e%252e/x",
        "/x/%252e%252e/public/x",
        "/public;x",
        "/mixed;x",
        "/public%5Cx",
        // Own endpoints.
        "/;/login",
        "/x/..%252f..%252flogin",
        "/login;x",
        "/x/%252e%252e/_vestibule/x",
        "/_vestibule//x",
        "/api//user",
        "/api%5Clogin",
    ] {
        assert!(!is_valid(contested), "{contested}");
    }
}

#[test]
fn readings_are_compared_for_the_client_that_asks() {
    let inside = Rule {
        from: vec!["10.0.0.0/8".parse().unwrap()],
        ..rule("/x", Access::Public, &[])
    };
    let site = Site {
        rules: vec![inside],
        ..store()
    };
    let is_valid = |target: &str, address: &str| {
        let client = RuleClient {
            address: address.parse().unwrap(),
            headers: &[],
        };
        validate_target(target.as_bytes(), &Method::GET, client, &site).is_ok()
    };
    assert!(is_valid("/x", "10.0.0.1"));
    assert!(!is_valid("/x;a", "10.0.0.1"));
    assert!(is_valid("/x;a", "1.1.1.1"));
}

#[test]
fn a_path_with_too_many_readings_is_refused() {
    let site = store();
    let validated = |target: &str| is_valid_for_anybody(&site, target);
    assert!(validated(&format!("/%{}41", "25".repeat(20))));
    assert!(!validated(&format!("/%{}41", "25".repeat(200))));
}

#[test]
fn a_body_for_the_application_has_the_limit_of_the_site() {
    let mut site = store();
    let status = |site: &Site, target: &str, length| {
        let target = Target::parse(target.as_bytes(), EncodedSlashes::Reject).unwrap();
        validate_content_length(length, &target, site).map_err(|rejection| rejection.status)
    };
    assert_eq!(status(&site, "/upload", u64::MAX), Ok(()));
    site.limits.body = Some(100);
    assert_eq!(status(&site, "/upload", 100), Ok(()));
    assert_eq!(status(&site, "/upload", 101), Err(413));
    // The body of an own endpoint is not the application's.
    assert_eq!(status(&site, "/login", 101), Ok(()));
    site.limits.body = Some(0);
    assert_eq!(status(&site, "/upload", 0), Ok(()));
    assert_eq!(status(&site, "/upload", 1), Err(413));
}

/// Applications compare the names of methods that are no standard ones in any way they like.
#[test]
fn a_method_in_another_letter_case_does_not_evade_a_stricter_rule() {
    use Access::{Optional, Public, Required};
    let evades = |strict: Rule, lax: Rule| {
        let mut site = store();
        let purge = Method::from_bytes(b"PURGE").unwrap();
        site.rules = vec![
            Rule {
                methods: vec![purge],
                ..strict
            },
            lax,
        ];
        let method = Method::from_bytes(b"Purge").unwrap();
        site.is_evaded_by_method(&method, b"/x", RuleClient::default())
    };
    let of = |access, roles: &[&str]| rule("/x", access, roles);
    for (strict, lax, expected) in [
        (of(Required, &[]), of(Public, &[]), true),
        (of(Optional, &[]), of(Public, &[]), true),
        (of(Required, &["admin"]), of(Required, &[]), true),
        (of(Required, &["admin"]), of(Required, &["editor"]), true),
        (of(Required, &["admin"]), of(Required, &["admin"]), false),
        (of(Required, &[]), of(Required, &["admin"]), false),
        (of(Public, &["admin"]), of(Public, &[]), false),
        (of(Public, &[]), of(Required, &[]), false),
    ] {
        assert_eq!(
            evades(strict.clone(), lax.clone()),
            expected,
            "{strict:?} {lax:?}"
        );
    }
}

#[test]
fn debug_shows_none_of_the_tokens_of_a_request() {
    let bearer = BearerTokens {
        access: Some("hush"),
        refresh: Some("hush"),
        service: None,
    };
    let expected = "BearerTokens(access: true, refresh: true, service: false)";
    assert_eq!(format!("{bearer:?}"), expected);
    let login = PresentedRedirectLogin {
        id: "hush",
        value: "hush",
    };
    assert_eq!(format!("{login:?}"), "PresentedRedirectLogin");
    let path = LocalPath::endpoint("/login").with_parameter("challenge", "hush");
    assert_eq!(format!("{path:?}"), "LocalPath(\"/login\")");
}

#[test]
fn names_that_applications_take_for_the_gateways_are_managed() {
    let site = store();
    for (name, expected) in [
        ("x-auth-user-id", true),
        ("x-auth-anything", true),
        ("x-forwarded-proto", true),
        // Applications behind CGI, WSGI and PHP take these for the same names.
        ("x_auth_user_id", true),
        ("x.auth.user.id", true),
        ("accept_language", true),
        ("x.custom", false),
        ("accept-language", false),
    ] {
        let name = HeaderName::from_static(name);
        assert_eq!(site.manages_header(&name), expected, "{name}");
    }
}

#[test]
fn a_rule_among_many_applies_as_a_whole() {
    let mut site = store();
    let filler = (0..30).map(|number| rule(&format!("/page{number}"), Access::Public, &[]));
    let post = Rule {
        methods: vec![Method::POST],
        ..rule("/orders", Access::Public, &[])
    };
    site.rules = [post].into_iter().chain(filler).collect();
    let found = |method, path: &str| {
        let found = site.find_rule(&method, path.as_bytes(), RuleClient::default());
        found.map(|rule| rule.pattern.text().to_owned())
    };
    assert_eq!(found(Method::POST, "/orders").as_deref(), Some("/orders"));
    assert_eq!(found(Method::GET, "/orders"), None);
    assert_eq!(found(Method::GET, "/page29").as_deref(), Some("/page29"));
    assert_eq!(found(Method::GET, "/page30"), None);
}
