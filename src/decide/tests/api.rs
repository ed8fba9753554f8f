//! The JSON endpoints: user, refresh and logout (`docs/reference/endpoints.md#json-api`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{live_session, refreshed, valid_token};
use crate::decide::Known;
use crate::model::api_request::ApiRequestBody;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::request_cookies::PresentedCookie;
use crate::model::token::TokenError;

pub(super) const ANN: &str = "{user:{id:ann,email:null,emailVerified:false,username:null,roles:[]}";
const POSTED: &str = r#"{"refreshToken":"R"}"#;

pub(super) fn posts(target: &'static str) -> Case {
    request(&Method::POST, target)
}

/// A script of a page of the site.
pub(super) fn script(metadata: &mut FetchMetadata<'static>) {
    (metadata.origin, metadata.fetch_mode, metadata.is_browser) =
        (Some("https://store.example.com"), Some("cors"), true);
}

#[test]
fn the_current_user_is_returned_with_the_tokens_expiry() {
    let get = || request(&Method::GET, "/api/user");
    let expected = format!("200 {ANN},expiresInstant:1700000600000}} own_endpoint");
    assert_eq!(get().decision(), "404 signed_out");
    assert_eq!(get().access(Known::NotAsked).decision(), "ask verify A");
    assert_eq!(get().access(valid_token(&[])).decision(), expected);
    assert_eq!(get().session(live_session(600)).decision(), expected);
    assert_eq!(get().bearer(valid_token(&[])).decision(), expected);
    let expired = || get().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().decision(), "404 signed_out, clear");
    assert_eq!(
        expired().refresh(Known::NotAsked).decision(),
        "ask refresh R"
    );
    assert_eq!(
        expired().refresh(refreshed(&[])).decision(),
        format!("{expected}, set A2")
    );
    assert_eq!(
        expired()
            .refresh(Known::Absent(Reason::SignedOut))
            .decision(),
        "404 signed_out, clear"
    );
    let outage = expired().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        outage.decision(),
        "503 retry 5 provider_unavailable",
        "an outage logs nobody out"
    );
    assert_eq!(
        get().access(Known::Absent(TokenError::Revoked)).decision(),
        "404 revoked, clear"
    );
    let refused = get()
        .bearer(Known::Absent(TokenError::Expired))
        .bearer_refresh(Known::NotAsked)
        .with_metadata(script);
    assert_eq!(refused.decision(), "403 browser_tokens_refused");
}

#[test]
fn api_clients_get_problem_documents() {
    let is_for_api_client = |case: &Case| match case.response() {
        Some(LocalResponse::Problem(problem)) => problem.for_api_client,
        other => panic!("{other:?}"),
    };
    // The client of the Java runtime accepts HTML too.
    let java = |metadata: &mut FetchMetadata<'static>| {
        metadata.accept = Some("text/html, image/gif, *; q=.2");
    };
    assert!(is_for_api_client(
        &navigation("/api/user").with_metadata(java)
    ));
    assert!(is_for_api_client(&request(&Method::PUT, "/api/user")));
    assert!(is_for_api_client(&posts("/api/login").body("{}")));
    assert!(!is_for_api_client(&request(&Method::PUT, "/login")));
}

#[test]
fn a_refresh_is_made_on_request() {
    let question = |case: Case| {
        case.body("")
            .refresh(Known::NotAsked)
            .with_metadata(script)
            .decision()
    };
    assert_eq!(
        question(posts("/api/refresh").access(valid_token(&[]))),
        "ask refresh R",
        "also while the access token is valid"
    );
    assert_eq!(
        question(posts("/api/refresh").session(Known::NotAsked)),
        "ask refresh R for S"
    );
    let decision_for = |result| {
        posts("/api/refresh")
            .body("{}")
            .refresh(result)
            .with_metadata(script)
            .decision()
    };
    assert_eq!(decision_for(refreshed(&[])), "204 own_endpoint, set A2");
    assert_eq!(
        decision_for(Known::Absent(Reason::SignedOut)),
        "401 signed_out, clear"
    );
    assert_eq!(
        decision_for(Known::Absent(Reason::Revoked)),
        "401 revoked, clear"
    );
    assert_eq!(
        decision_for(Known::Failed(Reason::ProviderUnavailable)),
        "503 retry 5 provider_unavailable"
    );
    let nothing = posts("/api/refresh").body("");
    assert_eq!(nothing.decision(), "401 signed_out");
    assert_eq!(
        nothing.access(valid_token(&[])).decision(),
        "401 signed_out",
        "the access token stays valid"
    );
    let mut twice = posts("/api/refresh").body("");
    twice.cookies.refresh = PresentedCookie::Duplicate;
    assert_eq!(twice.decision(), "401 signed_out");
}

#[test]
fn a_bearer_client_refreshes_by_body_or_header() {
    let expected =
        "200 {token:A2,refreshToken:R2,tokenExpirationInstant:1700000600000} own_endpoint";
    let mobile = || {
        let mut case = posts("/api/refresh").body(POSTED);
        case.site.bearer = true;
        case
    };
    assert_eq!(mobile().decision(), "ask refresh posted R");
    let mut renewed = mobile();
    renewed.facts.refresh = refreshed(&[]);
    assert_eq!(renewed.decision(), expected);
    assert_eq!(
        renewed.with_metadata(script).decision(),
        "403 browser_tokens_refused"
    );
    let header = || {
        posts("/api/refresh")
            .body("")
            .bearer_refresh(Known::NotAsked)
    };
    assert_eq!(header().decision(), "ask refresh R");
    assert_eq!(header().bearer_refresh(refreshed(&[])).decision(), expected);
    assert_eq!(
        header()
            .bearer_refresh(Known::Absent(Reason::SignedOut))
            .decision(),
        "401 signed_out"
    );
    assert_eq!(
        header().with_metadata(script).decision(),
        "403 browser_tokens_refused"
    );
    assert_eq!(
        header().body(POSTED).decision(),
        "ask refresh posted R",
        "the same token in both places is accepted"
    );
    let another = r#"{"refreshToken":"another"}"#;
    assert_eq!(
        header().body(another).decision(),
        "400 rejected_input",
        "two different tokens are ambiguous"
    );
    assert_eq!(
        posts("/api/refresh").body(POSTED).decision(),
        "403 bearer_not_enabled"
    );
    let without = posts("/api/refresh").body("").bearer(valid_token(&[]));
    assert_eq!(
        without.decision(),
        "401 signed_out",
        "there is no refresh token"
    );
    assert_eq!(
        without.refresh(Known::NotAsked).decision(),
        "401 signed_out",
        "the cookie is ignored and not cleared"
    );
}

#[test]
fn an_unchanged_refresh_token_is_returned_again() {
    let mut kept = posts("/api/refresh").body(POSTED);
    kept.site.bearer = true;
    let Known::Found(mut renewed) = refreshed(&[]) else {
        panic!()
    };
    renewed.tokens.refresh = None;
    kept.facts.refresh = Known::Found(renewed);
    assert!(
        kept.decision().contains("refreshToken:R,"),
        "{}",
        kept.decision()
    );
}

#[test]
fn a_logout_returns_204_whatever_there_was() {
    let logout = || posts("/api/logout").body("").with_metadata(script);
    assert_eq!(logout().decision(), "204 own_endpoint");
    let both = || logout().access(Known::NotAsked).refresh(Known::NotAsked);
    assert_eq!(both().decision(), "ask logout A R");
    assert_eq!(
        logout().session(Known::NotAsked).decision(),
        "ask logout S -"
    );
    for outcome in [
        Known::Found(None),
        Known::Absent(Reason::SignedOut),
        Known::Failed(Reason::ProviderUnavailable),
    ] {
        let mut case = both();
        case.facts.logout = outcome;
        assert_eq!(
            case.decision(),
            "204 own_endpoint, clear",
            "the cookies are cleared in any case"
        );
    }
    let mut twice = logout();
    twice.cookies.refresh = PresentedCookie::Duplicate;
    assert_eq!(
        twice.decision(),
        "204 own_endpoint, clear",
        "duplicates are cleared"
    );
}

#[test]
fn a_bearer_client_logs_out_by_body_or_headers() {
    let logout = || posts("/api/logout").body("");
    assert_eq!(
        logout().bearer(Known::NotAsked).decision(),
        "ask logout A -"
    );
    let headers = || {
        logout()
            .bearer(Known::NotAsked)
            .bearer_refresh(Known::NotAsked)
    };
    assert_eq!(headers().decision(), "ask logout A R");
    assert_eq!(
        logout().bearer(Known::NotAsked).body(POSTED).decision(),
        "ask logout posted A R"
    );
    let mut over = logout().bearer(Known::NotAsked).body(POSTED);
    over.facts.logout = Known::Found(None);
    assert_eq!(over.decision(), "204 own_endpoint");
    let another = r#"{"refreshToken":"another"}"#;
    assert_eq!(headers().body(another).decision(), "400 rejected_input");
    assert_eq!(
        logout().body(POSTED).decision(),
        "204 own_endpoint",
        "the site takes no bearer tokens"
    );
    assert_eq!(
        logout().body(POSTED).access(Known::NotAsked).decision(),
        "ask logout A -"
    );
}

#[test]
fn a_body_that_was_read_is_not_asked_for_again() {
    let mut case = posts("/api/logout");
    case.facts.body = Known::Found(ApiRequestBody::default());
    assert_eq!(case.decision(), "204 own_endpoint");
}
