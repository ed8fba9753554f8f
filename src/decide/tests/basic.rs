//! Requests with Basic credentials (`docs/guide/api-clients.md`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{basic_login, valid_token};
use crate::decide::Known;
use crate::decide::explain::{ExplainedRequest, explain};
use crate::model::local_response::{LocalResponse, Problem};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::request_cookies::PresentedCookie;
use crate::model::rule::RuleClient;
use crate::model::site::Site;
use crate::model::target::{EncodedSlashes, Target};
use crate::model::token::BasicLogin;

const CHALLENGE: Option<&str> = Some("Basic realm=\"store\"");

fn get(target: &'static str) -> Case {
    request(&Method::GET, target)
}

fn refused(reason: Reason) -> Known<BasicLogin, Box<LoginRefused>> {
    let mut refused = LoginRefused::new(reason);
    refused.retry_after = (reason == Reason::Throttled).then_some(7);
    Known::Absent(Box::new(refused))
}

fn problem(case: &Case) -> Problem {
    match case.response() {
        Some(LocalResponse::Problem(problem)) => problem,
        response => panic!("{response:?}"),
    }
}

#[test]
fn basic_credentials_prove_an_identity() {
    let asked = get("/mine").basic(Known::NotAsked);
    assert_eq!(asked.decision(), "ask basic YW5uOnNlY3JldA==");
    for (target, decision) in [
        ("/public/x", "forward public"),
        ("/maybe/x", "forward signed_in as ann"),
        ("/staff/x", "forward signed_in as ann"),
        ("/mine", "forward signed_in as ann"),
        ("/page", "forward signed_in as ann"),
    ] {
        let case = get(target).basic(basic_login(&["editor"]));
        assert_eq!(case.decision(), decision, "{target}");
        assert!(case.used_authorization(), "{target}");
    }
    let roleless = get("/staff/x").basic(basic_login(&[]));
    assert_eq!(roleless.decision(), "403 role_missing");
    // No page can make a browser send the field unasked.
    let write = request(&Method::PUT, "/mine").basic(basic_login(&[]));
    assert_eq!(write.decision(), "forward signed_in as ann");
}

#[test]
fn what_the_provider_says_is_the_answer_whatever_the_access() {
    for target in ["/mine", "/maybe/x", "/page", "/staff/x"] {
        for (reason, decision) in [
            (Reason::InvalidCredentials, "401 invalid_credentials"),
            (Reason::TwoFactorRequired, "401 two_factor_required"),
            (Reason::NotRegistered, "403 not_registered"),
            (Reason::Throttled, "429 retry 7 throttled"),
        ] {
            let case = get(target).basic(refused(reason));
            assert_eq!(case.decision(), decision, "{target}");
            let challenge = problem(&case).www_authenticate;
            let expected = CHALLENGE.filter(|_| reason.status() == 401);
            assert_eq!(challenge.as_deref(), expected, "{reason:?}");
        }
    }
    let down = || Known::Failed(Reason::ProviderUnavailable);
    let required = get("/mine").basic(down());
    assert_eq!(required.decision(), "503 retry 5 provider_unavailable");
    let optional = get("/maybe/x").basic(down());
    assert_eq!(optional.decision(), "forward anonymous");
    assert!(optional.used_authorization(), "the application sees none");
}

#[test]
fn what_a_browser_sends_is_the_applications() {
    let by_browser = [
        navigation("/mine"),
        get("/mine").with_metadata(|metadata| {
            (metadata.origin, metadata.is_browser) = (Some("https://store.example.com"), true);
        }),
        get("/mine").with_metadata(|metadata| {
            (metadata.fetch_site, metadata.is_browser) = (Some("same-origin"), true);
        }),
    ];
    for mut case in by_browser {
        case.fetch_metadata.is_browser = true;
        let case = case.access(valid_token(&[])).basic(Known::NotAsked);
        assert_eq!(case.decision(), "forward signed_in as ann");
        assert!(!case.used_authorization());
    }
    // A browser that leaves `Sec-Fetch-*` out has cookies of the gateway.
    let with_cookie = get("/mine").access(valid_token(&[])).basic(Known::NotAsked);
    assert_eq!(with_cookie.decision(), "forward signed_in as ann");
    assert!(!with_cookie.used_authorization());
    let mut with_form = get("/public/x").basic(Known::NotAsked);
    with_form.cookies.form = PresentedCookie::Single("F".into());
    assert!(!with_form.used_authorization());
}

#[test]
fn a_rule_without_basic_leaves_the_field_alone() {
    let mut without = get("/mine").basic(Known::NotAsked);
    without.site.basic = false;
    assert_eq!(without.decision(), "401 signed_out");
    assert_eq!(problem(&without).www_authenticate, None);
    let mut optional = get("/maybe/x").basic(Known::NotAsked);
    optional.site.rules[1].basic = Some(false);
    assert_eq!(optional.decision(), "forward anonymous");
    assert!(!optional.used_authorization());
    optional.site.basic = false;
    optional.site.rules[1].basic = Some(true);
    assert_eq!(optional.decision(), "ask basic YW5uOnNlY3JldA==");
}

#[test]
fn only_a_client_without_a_form_is_asked_for_a_password() {
    let unasked = |case: &Case| problem(case).www_authenticate.is_none();
    let site = |mut case: Case| {
        case.site.basic = true;
        case
    };
    let program = site(get("/mine"));
    assert_eq!(program.decision(), "401 signed_out");
    assert_eq!(problem(&program).www_authenticate.as_deref(), CHALLENGE);
    // pip reads pages, and prefers JSON.
    let pip = program.clone().with_metadata(|metadata| {
        metadata.accept = Some("application/vnd.pypi.simple.v1+json, text/html;q=0.01");
    });
    assert_eq!(pip.decision(), "401 signed_out");
    assert_eq!(problem(&pip).www_authenticate.as_deref(), CHALLENGE);
    // A browser opens a page: by `Sec-Fetch-Mode`, and without it.
    let to_login = "302 /login?return_to=/mine signed_out";
    assert_eq!(site(navigation("/mine")).decision(), to_login);
    let old_browser = program.clone().with_metadata(|metadata| {
        metadata.accept = Some("text/html,application/xml;q=0.9,*/*;q=0.8");
    });
    assert_eq!(old_browser.decision(), to_login);
    // What it loads for the page.
    let marks: [fn(&mut FetchMetadata<'static>); 3] = [
        |metadata| metadata.is_browser = true,
        |metadata| metadata.referer = Some("https://store.example.com/"),
        |metadata| metadata.has_browser_agent = true,
    ];
    for mark in marks {
        let subresource = program.clone().with_metadata(mark);
        assert_eq!(subresource.decision(), "401 signed_out");
        assert!(unasked(&subresource));
    }
    // A calendar client on a browser's engine: no browser sends this method without `Origin`.
    let mut calendar = program
        .clone()
        .with_metadata(|metadata| metadata.has_browser_agent = true);
    calendar.method = Method::from_bytes(b"PROPFIND").unwrap();
    assert_eq!(problem(&calendar).www_authenticate.as_deref(), CHALLENGE);
    // A client with an expired bearer token has no use for a password.
    let mut bearer = program.clone();
    bearer.site.bearer = true;
    bearer.bearer.refresh = Some("R");
    bearer.facts.refresh = Known::Absent(Reason::SignedOut);
    assert_eq!(problem(&bearer).www_authenticate.as_deref(), Some("Bearer"));
}

#[test]
fn explain_tells_what_a_program_gets() {
    let program = |site: &Site, target: &'static str| {
        let target = Target::parse(target.as_bytes(), EncodedSlashes::Reject).unwrap();
        let request = ExplainedRequest {
            method: &Method::GET,
            target: &target,
            client: RuleClient::default(),
        };
        explain(site, &request, &[]).program
    };
    let mut site = get("/").site;
    assert_eq!(program(&site, "/mine"), None);
    site.basic = true;
    let outcome = program(&site, "/mine").unwrap();
    assert_eq!((outcome.reason, outcome.status), ("signed_out", Some(401)));
    assert_eq!(program(&site, "/maybe/x").unwrap().outcome, "forwarded");
    for none in ["/public/x", "/login"] {
        assert_eq!(program(&site, none), None, "{none}");
    }
}

#[test]
fn basic_counts_at_no_endpoint_but_the_sign_out() {
    let user = get("/api/user").basic(basic_login(&[]));
    assert_eq!(user.decision(), "404 signed_out");
    let logout = || request(&Method::POST, "/api/logout").body("{}");
    let asked = logout().basic(Known::NotAsked);
    assert_eq!(asked.decision(), "ask logout basic YW5uOnNlY3JldA==");
    let mut done = asked.clone();
    done.facts.logout = Known::Found(None);
    assert_eq!(done.decision(), "204 own_endpoint");
    let mut elsewhere = asked;
    elsewhere.site.basic = false;
    assert_eq!(elsewhere.decision(), "204 own_endpoint");
}
