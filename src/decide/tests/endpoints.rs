//! Which paths are the gateway's own, the logout, and `explain` (`docs/reference/endpoints.md`,
//! `docs/reference/commands.md#explain`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{refreshed, store, valid_token};
use crate::decide::Known;
use crate::decide::endpoint::{acme_token, asset_name};
use crate::decide::explain::{ExplainedOutcome, ExplainedRequest, explain};
use crate::model::reason::Reason;
use crate::model::request_cookies::PresentedCookie;
use crate::model::rule::{Access, RuleClient};
use crate::model::target::{EncodedSlashes, Target};
use crate::model::theme::Link;
use crate::model::token::TokenError;

#[test]
fn own_endpoints_take_precedence_over_the_application() {
    for (target, expected) in [
        ("/login", "200 form own_endpoint"),
        ("/logout", "200 signed out page own_endpoint"),
        ("/_vestibule/style.css", "asset style.css own_endpoint"),
        ("/_vestibule/none", "404 own_endpoint"),
        ("/.well-known/vestibule/jwks.json", "keys own_endpoint"),
        ("/%6cogin", "200 form own_endpoint"),
        ("/login/two-factor", "200 form own_endpoint"),
        (
            "/login/two-factor/send",
            "405 allow POST method_not_allowed",
        ),
        ("/login/password", "200 form own_endpoint"),
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
fn own_paths_may_end_in_a_slash_and_the_json_endpoints_may_be_left_out() {
    let mut slashed = request(&Method::GET, "/accounts/logout/");
    slashed.site.paths.login = "/accounts/login/".into();
    slashed.site.paths.logout = "/accounts/logout/".into();
    let logout = request(&Method::GET, "/logout").decision();
    assert_eq!(slashed.decision(), logout);
    for (target, expected) in [
        ("/accounts/login/", "200 form own_endpoint"),
        ("/accounts/login/password", "200 form own_endpoint"),
        (
            "/accounts/login/two-factor/send",
            "405 allow POST method_not_allowed",
        ),
        ("/accounts/login", "401 signed_out"),
        ("/accounts/logout", "401 signed_out"),
        ("/logout", "401 signed_out"),
    ] {
        slashed.target = target;
        assert_eq!(slashed.decision(), expected, "{target}");
    }
    let mut without_api = request(&Method::GET, "/");
    without_api.site.paths.api = None;
    for target in ["/api/user", "/api/login", "/user", "/login/user"] {
        without_api.target = target;
        assert_eq!(without_api.decision(), "401 signed_out", "{target}");
    }
}

#[test]
fn an_explanation_tells_whose_a_path_is() {
    let mut site = store();
    site.paths.logout = "/accounts/logout/".into();
    site.paths.api = None;
    for (target, rule) in [
        ("/accounts/logout/", "own endpoint"),
        ("/accounts/logout", "default_access"),
        ("/api/user", "default_access"),
    ] {
        let target = Target::parse(target.as_bytes(), site.encoded_slashes).unwrap();
        let request = ExplainedRequest {
            method: &Method::GET,
            target: &target,
            client: RuleClient::default(),
        };
        let explanation = explain(&site, &request, &[]);
        assert_eq!(explanation.rule, rule, "{target:?}");
    }
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
        Known::Found(None),
        Known::Absent(Reason::SignedOut),
        Known::Failed(Reason::ProviderUnavailable),
    ] {
        let mut case = both.clone();
        case.facts.logout = outcome;
        assert_eq!(case.decision(), done, "the cookies are cleared in any case");
    }
}

#[test]
fn a_logout_is_asked_for_only_where_somebody_is_logged_in() {
    let open = || navigation("/logout");
    let (asks, says) = (
        "200 logout page own_endpoint",
        "200 signed out page own_endpoint",
    );
    assert_eq!(open().decision(), says);
    assert_eq!(open().access(valid_token(&[])).decision(), asks);
    assert_eq!(open().access(Known::NotAsked).decision(), "ask verify A");
    let expired = || Known::Absent(TokenError::Expired);
    assert_eq!(
        open().access(expired()).decision(),
        format!("{says}, clear")
    );
    let refreshable = open().access(expired()).refresh(Known::NotAsked);
    assert_eq!(
        refreshable.decision(),
        asks,
        "the page asks the provider nothing"
    );
    let unknown = open().access(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(unknown.decision(), asks, "an outage is no answer");
}

#[test]
fn a_logout_for_another_user_leads_to_the_login_page() {
    let post = |target| {
        request(&Method::POST, target)
            .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"))
    };
    let decision = |target| post(target).decision();
    assert_eq!(
        decision("/logout?return_to=/staff"),
        "303 /login?return_to=/staff Clear-Site-Data own_endpoint, clear"
    );
    for elsewhere in [
        "/logout?return_to=https://evil.example/",
        "/logout?return_to=//evil.example",
        "/logout?return_to=/a&return_to=/b",
    ] {
        assert_eq!(
            decision(elsewhere),
            "303 /bye Clear-Site-Data own_endpoint, clear",
            "{elsewhere}"
        );
    }
}

#[test]
fn the_page_that_changes_a_password_has_a_well_known_address() {
    let mut case = navigation("/.well-known/change-password");
    assert_eq!(case.decision(), "404 own_endpoint");
    case.site.theme.links.forgot_password = Link::parse("https://id.example.com/forgot");
    assert_eq!(
        case.decision(),
        "302 link https://id.example.com/forgot own_endpoint"
    );
    case.method = Method::POST;
    assert_eq!(case.decision(), "405 allow GET, HEAD method_not_allowed");
}

#[test]
fn what_only_programs_ask_for_never_leads_to_the_login_page() {
    for target in [
        "/robots.txt",
        "/favicon.ico",
        "/apple-touch-icon-precomposed.png",
        "/.well-known/security.txt",
    ] {
        assert_eq!(navigation(target).decision(), "401 signed_out", "{target}");
        let mut forced = navigation(target);
        forced.site.rules.clear();
        forced.site.default_access = Access::Public;
        assert_eq!(forced.decision(), "forward public", "{target}");
    }
    assert_eq!(
        navigation("/robots").decision(),
        "302 /login?return_to=/robots signed_out"
    );
}

#[test]
fn a_prefetch_changes_nothing() {
    let prefetched = |case: Case| {
        case.with_metadata(|metadata| metadata.is_prefetch = true)
            .decision()
    };
    let expired = || Known::Absent(TokenError::Expired);
    // What was prefetched is shown as the page: a form whose cookie is not set could only fail.
    assert_eq!(
        prefetched(navigation("/login")),
        "503 no prefetch own_endpoint"
    );
    let mut with_cookie = navigation("/login");
    with_cookie.cookies.form = PresentedCookie::Single("F".into());
    assert_eq!(prefetched(with_cookie), "200 form own_endpoint");
    assert_eq!(
        prefetched(navigation("/x").access(expired())),
        "302 /login?return_to=/x signed_out",
        "no cookie is cleared"
    );
    let refreshed = navigation("/x").access(expired()).refresh(refreshed(&[]));
    assert_eq!(
        prefetched(refreshed),
        "forward renewed as ann, set A2",
        "the old refresh token may be spent"
    );
    for target in ["/login", "/logout", "/login/two-factor", "/api/logout"] {
        let post = request(&Method::POST, target)
            .access(valid_token(&[]))
            .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"));
        assert_eq!(prefetched(post), "503 no prefetch own_endpoint", "{target}");
    }
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
    let explanation = explain(
        &store(),
        &ExplainedRequest {
            method,
            target: &target,
            client: RuleClient::default(),
        },
        &roles,
    );
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

#[test]
fn a_challenge_of_an_acme_server_has_a_token_of_base64url() {
    let token = |rest: &str| {
        let target = format!("/.well-known/acme-challenge/{rest}");
        acme_token(target.as_bytes()).map(str::to_owned)
    };
    for length in [22, 43, 128] {
        let good = "aZ09-_".repeat(22)[..length].to_owned();
        assert_eq!(token(&good), Some(good));
    }
    for bad in [
        "",
        &"a".repeat(21),
        &"a".repeat(129),
        &"a.".repeat(20),
        &"a/".repeat(20),
    ] {
        assert_eq!(token(bad), None, "{bad}");
    }
    assert_eq!(acme_token("a".repeat(43).as_bytes()), None);
}

#[test]
fn a_file_of_the_pages_is_named_without_the_query() {
    for (target, expected) in [
        ("/_vestibule/style.css", Some("style.css")),
        ("/_vestibule/style.css?v=1", Some("style.css")),
        ("/_vestibule/", Some("")),
        ("/style.css", None),
        ("/?/_vestibule/style.css", None),
    ] {
        assert_eq!(asset_name(target.as_bytes()), expected, "{target}");
    }
}
