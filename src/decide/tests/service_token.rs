//! Requests with a service token (`docs/guide/service-tokens.md`).

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::case::{Case, request};
use super::fixtures::{principal, valid_token};
use crate::decide::Known;
use crate::decide::upstream_headers::removals;
use crate::model::local_response::LocalResponse;
use crate::model::request_cookies::PresentedCookie;
use crate::model::service_token::{ServiceToken, ServiceTokenHash, ServiceTokens};
use crate::model::token::TokenError;

const TOKEN: &str = "vst_ci";
const EXPIRED: &str = "vst_expired";
const LIMITED: &str = "vst_limited";

fn service_tokens() -> ServiceTokens {
    let token = |text: &str, name: &str, seconds: u64, rules: &[&str]| {
        let token = ServiceToken {
            principal: principal(name, &["editor"], seconds),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        (ServiceTokenHash::of(text), token)
    };
    ServiceTokens {
        header: Some(HeaderName::from_static("x-api-key")),
        by_hash: [
            token(TOKEN, "token:ci", 600, &[]),
            token(EXPIRED, "token:expired", 0, &[]),
            token(LIMITED, "token:limited", 600, &["/maybe/*"]),
        ]
        .into(),
    }
}

/// A program asks for `target` with `token`, with the cookie of a user beside it.
fn with_token(target: &'static str, token: &'static str) -> Case {
    let mut case = request(&Method::GET, target).access(valid_token(&[]));
    case.site.service_tokens = service_tokens();
    case.bearer.service = Some(token);
    case.fetch_metadata.has_authorization = true;
    case
}

#[test]
fn a_service_token_proves_its_own_identity() {
    for (target, decision) in [
        ("/public/x", "forward public"),
        ("/maybe/x", "forward service_token as token:ci"),
        ("/staff/x", "forward service_token as token:ci"),
        ("/mine", "forward service_token as token:ci"),
    ] {
        assert_eq!(with_token(target, TOKEN).decision(), decision, "{target}");
    }
    let mut admins_only = with_token("/mixed", TOKEN);
    admins_only.method = Method::POST;
    assert_eq!(admins_only.decision(), "403 role_missing");
    // A write from any page: no page can make a browser send the token.
    let mut write = with_token("/mine", TOKEN);
    write.method = Method::POST;
    write.fetch_metadata.origin = Some("https://elsewhere.example");
    assert_eq!(write.decision(), "forward service_token as token:ci");
}

#[test]
fn a_service_token_meets_only_its_rules() {
    for (target, decision) in [
        ("/maybe/x", "forward service_token as token:limited"),
        ("/staff/x", "403 role_missing"),
        ("/mine", "403 role_missing"),
    ] {
        assert_eq!(with_token(target, LIMITED).decision(), decision, "{target}");
    }
}

#[test]
fn a_service_token_that_proves_nobody_is_refused_everywhere_but_on_public_pages() {
    for target in ["/maybe/x", "/staff/x", "/mine", "/page"] {
        let wrong = with_token(target, "vst_wrong");
        assert_eq!(wrong.decision(), "401 service_token_invalid", "{target}");
        let expired = with_token(target, EXPIRED);
        assert_eq!(expired.decision(), "401 service_token_expired", "{target}");
        match expired.response() {
            Some(LocalResponse::Problem(problem)) => assert_eq!(
                problem.www_authenticate.as_deref(),
                Some("Bearer error=\"invalid_token\"")
            ),
            response => panic!("{response:?}"),
        }
    }
    assert_eq!(
        with_token("/public/x", EXPIRED).decision(),
        "forward public"
    );
}

#[test]
fn a_password_beside_a_service_token_stays_behind() {
    for target in ["/public/x", "/maybe/x", "/staff/x", "/mine"] {
        let mut with_password = with_token(target, TOKEN).basic(Known::NotAsked);
        with_password.cookies.access = PresentedCookie::Absent;
        assert!(with_password.used_authorization(), "{target}");
    }
}

#[test]
fn a_service_token_counts_at_no_endpoint_of_the_gateway_and_at_no_site_without_any() {
    let mut user = with_token("/api/user", TOKEN);
    user.cookies.access = PresentedCookie::Absent;
    assert_eq!(user.decision(), "404 signed_out");
    let mut without = with_token("/mine", TOKEN);
    without.site.service_tokens = ServiceTokens::default();
    assert_eq!(without.decision(), "forward signed_in as ann");
    without.facts.token = Known::Absent(TokenError::Expired);
    assert_eq!(without.decision(), "401 signed_out, clear");
}

#[test]
fn no_service_token_reaches_the_application() {
    let mut site = with_token("/mine", TOKEN).site;
    let fields = |name: HeaderName, values: &[&'static str]| {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(name.clone(), HeaderValue::from_static(value));
        }
        fields
    };
    let own = HeaderName::from_static("x-api-key");
    for (name, values, removed) in [
        (AUTHORIZATION, &["Bearer vst_wrong"][..], true),
        (AUTHORIZATION, &["bearer  vst_ci"], true),
        (AUTHORIZATION, &["Bearer glsa_own"], false),
        (AUTHORIZATION, &["Basic dnN0Xw=="], false),
        (own.clone(), &["vst_ci"], true),
        (own.clone(), &["own", "vst_ci"], true),
        (own.clone(), &["own"], false),
    ] {
        let fields = fields(name.clone(), values);
        let expected: &[HeaderName] = if removed { &[name] } else { &[] };
        assert_eq!(removals(&site, &fields), expected, "{fields:?}");
    }
    site.service_tokens = ServiceTokens::default();
    assert_eq!(
        removals(&site, &fields(own, &["vst_ci"])),
        &[] as &[HeaderName]
    );
}
