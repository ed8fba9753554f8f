//! `docs/reference/endpoints.md` and `docs/reference/commands.md#explain`: which paths are the
//! gateway's own, the sign-out, and `explain`.

use http::Method;

use super::case::{navigation, request, store, valid_token};
use crate::decide::Known;
use crate::decide::explain::{ExplainedOutcome, Explanation, explain};
use crate::model::reason::Reason;
use crate::model::target::{EncodedSlashes, Target};

#[test]
fn own_endpoints_win_over_the_application() {
    for (target, expected) in [
        ("/login", "200 form own_endpoint"),
        ("/logout", "200 sign-out page own_endpoint"),
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
        "never the application's, signed or not"
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
fn the_sign_out_ends_everything_and_leads_to_its_page() {
    let done = "303 /bye Clear-Site-Data own_endpoint, clear";
    let post = || {
        request(&Method::POST, "/logout")
            .with_metadata(|marks| marks.origin = Some("https://store.example.com"))
    };
    assert_eq!(post().decision(), done, "nothing to end");
    assert_eq!(
        post().access(Known::NotAsked).decision(),
        "ask sign-out A -"
    );
    let both = post().access(Known::NotAsked).refresh(Known::NotAsked);
    assert_eq!(both.decision(), "ask sign-out A R");
    for outcome in [
        Known::Found(()),
        Known::Absent(Reason::SignedOut),
        Known::Failed(Reason::ProviderUnavailable),
    ] {
        let mut ask = both.clone();
        ask.facts.logout = outcome;
        assert_eq!(ask.decision(), done, "the sign-out here stands");
    }
    assert_eq!(
        navigation("/logout").access(valid_token(&[])).decision(),
        "200 sign-out page own_endpoint"
    );
}

#[test]
fn no_other_origin_signs_anybody_out() {
    for origin in ["https://evil.example", "https://app.example.com", "null"] {
        let ask = request(&Method::POST, "/logout")
            .access(Known::NotAsked)
            .with_metadata(|marks| marks.origin = Some(origin));
        assert_eq!(ask.decision(), "403 cross_site_request", "{origin}");
    }
}

fn explained(method: &Method, target: &'static str, roles: &[&str]) -> Explanation {
    let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    explain(
        &store(),
        &Target::parse(target.as_bytes(), EncodedSlashes::Reject).unwrap(),
        method,
        &roles,
    )
}

fn in_words(fate: &ExplainedOutcome) -> String {
    let status = fate
        .status
        .map_or(String::new(), |status| format!(" {status}"));
    let location = fate
        .location
        .as_ref()
        .map_or(String::new(), |location| format!(" {location}"));
    format!("{} {}{status}{location}", fate.outcome, fate.reason)
}

#[test]
fn explain_tells_the_rule_and_three_visitors_fates() {
    let get = &Method::GET;
    let forwarded = "forwarded signed_in";
    let form = |path: &str| format!("redirected signed_out 302 /login?return_to={path}");
    let lacks = "refused role_missing 403";
    let public = "forwarded public";
    for (told, rule, access, fates) in [
        (
            explained(get, "/public", &[]),
            "/public/*",
            "public",
            [public, public, public],
        ),
        (
            explained(get, "/maybe", &[]),
            "/maybe/*",
            "optional",
            ["forwarded anonymous", forwarded, forwarded],
        ),
        (
            explained(get, "/x", &[]),
            "default_access",
            "required",
            [&form("/x"), forwarded, forwarded],
        ),
        (
            explained(get, "/staff", &[]),
            "/staff/*",
            "required",
            [&form("/staff"), forwarded, lacks],
        ),
        (
            explained(get, "/staff", &["shopper"]),
            "/staff/*",
            "required",
            [&form("/staff"), lacks, lacks],
        ),
        (
            explained(&Method::PUT, "/mixed", &["admin"]),
            "/mixed",
            "required",
            ["refused signed_out 401", forwarded, lacks],
        ),
        (
            explained(get, "/login", &[]),
            "own endpoint",
            "public",
            [
                "answered own_endpoint 200",
                "redirected own_endpoint 303 /landing",
                "redirected own_endpoint 303 /landing",
            ],
        ),
    ] {
        assert_eq!(
            (told.site.as_str(), told.rule.as_str(), told.access),
            ("store", rule, access)
        );
        assert_eq!(
            [told.signed_out, told.signed_in, told.without_role].map(|fate| in_words(&fate)),
            fates,
            "{rule}"
        );
    }
}
