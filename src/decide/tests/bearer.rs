//! Server-side sessions and bearer tokens (`docs/reference/sessions.md`,
//! `docs/reference/headers.md#bearer-headers`).

use http::Method;

use super::case::{navigation, request};
use super::fixtures::{live_session, principal, refreshed, valid_token};
use crate::decide::Known;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::request_cookies::PresentedCookie;
use crate::model::token::TokenError;

const EXPIRED: TokenError = TokenError::Expired;
const TO_THE_FORM: &str = "302 /login?return_to=/mine signed_out";

#[test]
fn a_live_session_needs_no_refresh_token() {
    let case = navigation("/mine").session(Known::NotAsked);
    assert_eq!(case.decision(), "ask load S");
    assert_eq!(
        navigation("/mine").session(live_session(600)).decision(),
        "forward signed_in as ann"
    );
    assert_eq!(
        navigation("/mine")
            .session(live_session(600))
            .refresh(Known::NotAsked)
            .decision(),
        "forward signed_in as ann"
    );
}

#[test]
fn an_expired_or_unknown_session_is_refreshed() {
    let mine = || navigation("/mine").session(Known::Absent(EXPIRED));
    assert_eq!(mine().decision(), format!("{TO_THE_FORM}, clear"));
    assert_eq!(
        mine().refresh(Known::NotAsked).decision(),
        "ask refresh R for S"
    );
    assert_eq!(
        mine().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).decision(),
        format!("{TO_THE_FORM}, clear")
    );
    let outage = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(outage.decision(), "503 retry 5 provider_unavailable");
    let mut lost = mine().refresh(Known::NotAsked);
    lost.cookies.session = PresentedCookie::Absent;
    assert_eq!(lost.decision(), "ask refresh R");
}

#[test]
fn a_malformed_session_id_is_refreshed_as_invalid() {
    let mine = navigation("/mine")
        .session(Known::Absent(TokenError::Invalid))
        .refresh(refreshed(&[]));
    assert_eq!(
        mine.decision(),
        "forward renewed_from_invalid as ann, set A2"
    );
    let mut twice = navigation("/mine")
        .session(Known::NotAsked)
        .refresh(refreshed(&[]));
    twice.cookies.session = PresentedCookie::Duplicate;
    assert_eq!(
        twice.decision(),
        "forward renewed_from_invalid as ann, set A2"
    );
}

#[test]
fn a_session_with_an_expired_token_is_refreshed_where_possible() {
    let mine = || navigation("/mine").session(live_session(0));
    assert_eq!(
        mine().decision(),
        "forward signed_in as ann",
        "there is no refresh token"
    );
    assert_eq!(
        mine().refresh(Known::NotAsked).decision(),
        "ask refresh R for S"
    );
    assert_eq!(
        mine().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).decision(),
        format!("{TO_THE_FORM}, clear")
    );
    let outage = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        outage.decision(),
        "forward signed_in as ann",
        "the session stays valid"
    );
}

#[test]
fn a_session_is_refreshed_early_and_for_an_application_that_gets_the_token() {
    let soon = navigation("/mine")
        .session(live_session(30))
        .refresh(Known::NotAsked);
    assert_eq!(soon.decision(), "forward signed_in as ann ahead R");
    let mut wanted = navigation("/mine")
        .session(live_session(600))
        .refresh(Known::NotAsked);
    wanted.site.forward_token = true;
    assert_eq!(
        wanted.decision(),
        "ask refresh R for S",
        "the session has no token"
    );
}

#[test]
fn a_revoked_session_is_not_refreshed() {
    let mine = navigation("/mine")
        .session(Known::Absent(TokenError::Revoked))
        .refresh(Known::NotAsked);
    assert_eq!(mine.decision(), "302 /login?return_to=/mine revoked, clear");
}

#[test]
fn a_store_outage_clears_no_cookie() {
    let failed = || Known::Failed(Reason::StoreUnavailable);
    let mine = navigation("/mine")
        .session(failed())
        .refresh(Known::NotAsked);
    assert_eq!(mine.decision(), "503 retry 5 store_unavailable");
    assert_eq!(
        navigation("/maybe").session(failed()).decision(),
        "forward anonymous"
    );
}

#[test]
fn a_site_with_sessions_ignores_the_access_cookie() {
    let mut mine = navigation("/mine")
        .session(Known::NotAsked)
        .access(valid_token(&[]));
    mine.cookies.session = PresentedCookie::Absent;
    assert_eq!(mine.decision(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_logout_names_the_session() {
    let mut out = request(&Method::POST, "/logout")
        .session(Known::NotAsked)
        .refresh(Known::NotAsked);
    out.fetch_metadata.origin = Some("https://store.example.com");
    assert_eq!(out.decision(), "ask logout S R");
}

#[test]
fn bearer_tokens_take_precedence_over_cookies_where_enabled() {
    let mut both = request(&Method::GET, "/mine")
        .access(Known::NotAsked)
        .bearer(Known::NotAsked);
    assert_eq!(both.decision(), "ask verify A");
    both.facts.token = Known::Absent(EXPIRED);
    both.cookies.refresh = PresentedCookie::Single("R".into());
    assert_eq!(
        both.decision(),
        "401 signed_out",
        "the cookie is ignored and not cleared"
    );
    both.site.bearer = false;
    both.facts.token = Known::NotAsked;
    both.cookies.access = PresentedCookie::Absent;
    assert_eq!(both.decision(), "ask refresh R", "the header is ignored");
}

#[test]
fn an_expired_bearer_token_is_refreshed_on_the_request() {
    let mine = || request(&Method::GET, "/mine").bearer(Known::Absent(EXPIRED));
    assert_eq!(mine().decision(), "401 signed_out");
    assert_eq!(
        mine().bearer_refresh(Known::NotAsked).decision(),
        "ask refresh R"
    );
    assert_eq!(
        mine().bearer_refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine()
            .bearer_refresh(Known::Absent(Reason::SignedOut))
            .decision(),
        "401 signed_out"
    );
    let alone = request(&Method::GET, "/mine").bearer_refresh(refreshed(&[]));
    assert_eq!(
        alone.decision(),
        "forward renewed as ann, set A2",
        "a refresh token alone counts as an expired access token"
    );
    let soon = request(&Method::GET, "/mine").bearer(Known::Found(principal("ann", &[], 30)));
    assert_eq!(
        soon.bearer_refresh(Known::NotAsked).decision(),
        "forward signed_in as ann ahead R"
    );
}

#[test]
fn a_browser_gets_no_token_in_a_header() {
    let browser =
        |metadata: &mut crate::model::request::FetchMetadata<'static>| metadata.is_browser = true;
    let expired = request(&Method::GET, "/mine")
        .bearer(Known::Absent(EXPIRED))
        .bearer_refresh(Known::NotAsked);
    assert_eq!(
        expired.with_metadata(browser).decision(),
        "403 browser_tokens_refused"
    );
    let soon = request(&Method::GET, "/mine").bearer(Known::Found(principal("ann", &[], 30)));
    let soon = soon.bearer_refresh(Known::NotAsked).with_metadata(browser);
    assert_eq!(
        soon.decision(),
        "forward signed_in as ann",
        "served while the token is valid, not refreshed early"
    );
    assert_eq!(
        request(&Method::GET, "/mine")
            .bearer(valid_token(&[]))
            .with_metadata(browser)
            .decision(),
        "forward signed_in as ann"
    );
}

#[test]
fn a_bearer_client_may_write_from_any_origin() {
    let write = request(&Method::POST, "/mine").bearer(valid_token(&[]));
    let write = write.with_metadata(|metadata| metadata.origin = Some("https://elsewhere.example"));
    assert_eq!(write.decision(), "forward signed_in as ann");
}

#[test]
fn only_a_token_that_was_used_is_kept_from_the_application() {
    let maybe = || request(&Method::GET, "/maybe/x");
    assert!(maybe().bearer(valid_token(&[])).used_authorization());
    let renewed = maybe().bearer(Known::Absent(EXPIRED));
    assert!(renewed.bearer_refresh(refreshed(&[])).used_authorization());
    // The application's own token proves nobody to the gateway.
    for token in [EXPIRED, TokenError::Invalid] {
        let anonymous = maybe().bearer(Known::Absent(token));
        assert_eq!(anonymous.decision(), "forward anonymous");
        assert!(!anonymous.used_authorization());
    }
    let public = request(&Method::GET, "/public/x").bearer(valid_token(&[]));
    assert!(!public.used_authorization());
    // A refresh token alone: `Authorization` holds something else, such as `Basic`.
    let alone = maybe().bearer_refresh(refreshed(&[]));
    assert_eq!(alone.decision(), "forward renewed as ann, set A2");
    assert!(!alone.used_authorization());
}

#[test]
fn a_bearer_client_gets_www_authenticate() {
    let challenge = |case: &super::case::Case| match case.response() {
        Some(LocalResponse::Problem(problem)) => problem.www_authenticate,
        _ => None,
    };
    let mut signed_out = request(&Method::GET, "/mine");
    assert_eq!(challenge(&signed_out), None);
    signed_out.site.bearer = true;
    assert_eq!(challenge(&signed_out), Some("Bearer".to_owned()));
    let expired = signed_out.bearer(Known::Absent(EXPIRED));
    let invalid = "Bearer error=\"invalid_token\"".to_owned();
    assert_eq!(challenge(&expired), Some(invalid));
}
