//! Which paths are the gateway's own, the logout, and `explain` (`docs/reference/endpoints.md`,
//! `docs/reference/commands.md#explain`).

use http::Method;

use super::case::{navigation, request};
use super::fixtures::{store, valid_token};
use crate::decide::Known;
use crate::decide::explain::{ExplainedOutcome, explain};
use crate::model::reason::Reason;
use crate::model::target::{EncodedSlashes, Target};

#[test]
fn own_endpoints_take_precedence_over_the_application() {
    for (target, expected) in [
        ("/login", "200 form own_endpoint"),
        ("/logout", "200 logout page own_endpoint"),
        ("/_vestibule/style.css", "asset style.css own_endpoint"),
        ("/_vestibule/none", "asset none own_endpoint"),
        ("/.well-known/vestibule/jwks.json", "keys own_endpoint"),
        ("/%6cogin", "200 form own_endpoint"),
        ("/login/two-factor", "405 allow POST method_not_allowed"),
        (
            "/login/two-factor/send",
            "405 allow POST method_not_allowed",
        ),
        ("/login/password", "405 allow POST method_not_allowed"),
        ("/login/two-factor/", "401 signed_out"),
        ("/login/", "401 signed_out"),
        ("/Login", "401 signed_out"),
        ("/_vestibule", "401 signed_out"),
    ] {
        assert_eq!(
            request(&Method::GET, target).decision(),
            expected,
            "{target}"
        );
    }
    let mut renamed = request(&Method::GET, "/login");
    renamed.site.paths.login = "/in".into();
    assert_eq!(renamed.decision(), "401 signed_out");
    renamed.target = "/in/two-factor/send";
    assert_eq!(renamed.decision(), "405 allow POST method_not_allowed");
    let mut unsigned = request(&Method::GET, "/.well-known/vestibule/jwks.json");
    unsigned.site.assertion = false;
    assert_eq!(
        unsigned.decision(),
        "keys own_endpoint",
        "the gateway's also without assertions"
    );
}

#[test]
fn another_method_is_405_with_allow() {
    for (target, expected) in [
        ("/login", "405 allow GET, HEAD, POST method_not_allowed"),
        ("/logout", "405 allow GET, HEAD, POST method_not_allowed"),
        (
            "/_vestibule/style.css",
            "405 allow GET, HEAD method_not_allowed",
        ),
        (
            "/.well-known/vestibule/jwks.json",
            "405 allow GET, HEAD method_not_allowed",
        ),
    ] {
        assert_eq!(
            request(&Method::DELETE, target).decision(),
            expected,
            "{target}"
        );
    }
    assert_eq!(
        request(&Method::HEAD, "/login").decision(),
        "200 form own_endpoint"
    );
}

#[test]
fn a_logout_clears_the_cookies_and_redirects() {
    let done = "303 /bye Clear-Site-Data own_endpoint, clear";
    let post = || {
        request(&Method::POST, "/logout")
            .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"))
    };
    assert_eq!(post().decision(), done, "there is nothing to end");
    assert_eq!(post().access(Known::NotAsked).decision(), "ask logout A -");
    let both = post().access(Known::NotAsked).refresh(Known::NotAsked);
    assert_eq!(both.decision(), "ask logout A R");
    for outcome in [
        Known::Found(()),
        Known::Absent(Reason::SignedOut),
        Known::Failed(Reason::ProviderUnavailable),
    ] {
        let mut case = both.clone();
        case.facts.logout = outcome;
        assert_eq!(case.decision(), done, "the cookies are cleared in any case");
    }
    assert_eq!(
        navigation("/logout").access(valid_token(&[])).decision(),
        "200 logout page own_endpoint"
    );
}

#[test]
fn no_other_origin_can_log_out_a_user() {
    for origin in ["https://evil.example", "https://app.example.com", "null"] {
        let case = request(&Method::POST, "/logout")
            .access(Known::NotAsked)
            .with_metadata(|metadata| metadata.origin = Some(origin));
        assert_eq!(case.decision(), "403 cross_site_request", "{origin}");
    }
}

/// The explanation in words: `RULE ACCESS: SIGNED_OUT | SIGNED_IN | WITHOUT_ROLE`.
fn explanation(method: &Method, target: &'static str, roles: &[&str]) -> String {
    let target = Target::parse(target.as_bytes(), EncodedSlashes::Reject).unwrap();
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let explanation = explain(&store(), &target, method, &roles);
    assert_eq!(explanation.site, "store");
    format!(
        "{} {}: {} | {} | {}",
        explanation.rule,
        explanation.access,
        outcome(&explanation.signed_out),
        outcome(&explanation.signed_in),
        outcome(&explanation.without_role)
    )
}

fn outcome(explained: &ExplainedOutcome) -> String {
    let status = explained
        .status
        .map_or(String::new(), |status| format!(" {status}"));
    let location = explained
        .location
        .as_ref()
        .map_or(String::new(), |location| format!(" {location}"));
    format!(
        "{} {}{status}{location}",
        explained.outcome, explained.reason
    )
}

#[test]
fn explain_returns_the_rule_and_three_outcomes() {
    let get = &Method::GET;
    let (user, public) = ("forwarded signed_in", "forwarded public");
    let login = |path: &str| format!("redirected signed_out 302 /login?return_to={path}");
    let lacks = "refused role_missing 403";
    let landing = "redirected own_endpoint 303 /landing";
    for (actual, expected) in [
        (
            explanation(get, "/public", &[]),
            format!("/public/* public: {public} | {public} | {public}"),
        ),
        (
            explanation(get, "/maybe", &[]),
            format!("/maybe/* optional: forwarded anonymous | {user} | {user}"),
        ),
        (
            explanation(get, "/x", &[]),
            format!("default_access required: {} | {user} | {user}", login("/x")),
        ),
        (
            explanation(get, "/staff", &[]),
            format!("/staff/* required: {} | {user} | {lacks}", login("/staff")),
        ),
        (
            explanation(get, "/staff", &["shopper"]),
            format!("/staff/* required: {} | {lacks} | {lacks}", login("/staff")),
        ),
        (
            explanation(&Method::PUT, "/mixed", &["admin"]),
            format!("/mixed required: refused signed_out 401 | {user} | {lacks}"),
        ),
        (
            explanation(get, "/login", &[]),
            format!("own endpoint public: answered own_endpoint 200 | {landing} | {landing}"),
        ),
    ] {
        assert_eq!(actual, expected);
    }
}
