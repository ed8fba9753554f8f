//! `docs/reference/sessions.md` and `docs/reference/headers.md#bearer-headers`: server-side
//! sessions, and clients that are no browsers.

use http::Method;

use super::case::{live_session, navigation, principal, refreshed, request, valid_token};
use crate::decide::Known;
use crate::model::cookie::PresentedCookie;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::token::TokenError;

const EXPIRED: TokenError = TokenError::Expired;
const TO_THE_FORM: &str = "302 /login?return_to=/mine signed_out";

#[test]
fn a_session_that_is_alive_is_served_without_its_refresh_token() {
    let ask = navigation("/mine").session(Known::NotAsked);
    assert_eq!(ask.decision(), "ask load S");
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
fn a_session_that_is_over_or_unknown_is_renewed() {
    let mine = || navigation("/mine").session(Known::Absent(EXPIRED));
    assert_eq!(mine().decision(), format!("{TO_THE_FORM}, clear"));
    assert_eq!(
        mine().refresh(Known::NotAsked).decision(),
        "ask renew R for S"
    );
    assert_eq!(
        mine().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).decision(),
        format!("{TO_THE_FORM}, clear")
    );
    let trouble = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(trouble.decision(), "503 retry 5 provider_unavailable");
    let mut lost = mine().refresh(Known::NotAsked);
    lost.cookies.session = PresentedCookie::Absent;
    assert_eq!(lost.decision(), "ask renew R");
}

#[test]
fn no_session_id_at_all_is_renewed_from_invalid() {
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
fn a_session_whose_token_has_ended_is_renewed_where_that_can_be_done() {
    let mine = || navigation("/mine").session(live_session(0));
    assert_eq!(
        mine().decision(),
        "forward signed_in as ann",
        "nothing to renew it with"
    );
    assert_eq!(
        mine().refresh(Known::NotAsked).decision(),
        "ask renew R for S"
    );
    assert_eq!(
        mine().refresh(refreshed(&[])).decision(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).decision(),
        format!("{TO_THE_FORM}, clear")
    );
    let trouble = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        trouble.decision(),
        "forward signed_in as ann",
        "the session lives out its life"
    );
}

#[test]
fn a_session_is_renewed_ahead_and_for_an_application_that_wants_the_token() {
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
        "ask renew R for S",
        "kept without its token"
    );
}

#[test]
fn a_session_that_was_signed_out_is_not_renewed() {
    let mine = navigation("/mine")
        .session(Known::Absent(TokenError::Revoked))
        .refresh(Known::NotAsked);
    assert_eq!(mine.decision(), "302 /login?return_to=/mine revoked, clear");
}

#[test]
fn a_store_that_does_not_answer_keeps_everything() {
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
fn a_site_with_sessions_looks_at_no_token_in_a_cookie() {
    let mut mine = navigation("/mine")
        .session(Known::NotAsked)
        .access(valid_token(&[]));
    mine.cookies.session = PresentedCookie::Absent;
    assert_eq!(mine.decision(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_sign_in_and_a_sign_out_name_the_session() {
    let mut out = request(&Method::POST, "/logout")
        .session(Known::NotAsked)
        .refresh(Known::NotAsked);
    out.fetch_metadata.origin = Some("https://store.example.com");
    assert_eq!(out.decision(), "ask sign-out S R");
}

#[test]
fn a_bearer_comes_before_cookies_and_only_where_it_is_taken() {
    let mut both = request(&Method::GET, "/mine")
        .access(Known::NotAsked)
        .bearer(Known::NotAsked);
    assert_eq!(both.decision(), "ask verify A");
    both.facts.token = Known::Absent(EXPIRED);
    both.cookies.refresh = PresentedCookie::Single("R".into());
    assert_eq!(
        both.decision(),
        "401 signed_out",
        "the cookie is ignored, and kept"
    );
    both.site.bearer = false;
    both.facts.token = Known::NotAsked;
    both.cookies.access = PresentedCookie::Absent;
    assert_eq!(both.decision(), "ask renew R", "not looked at");
}

#[test]
fn a_bearer_is_renewed_in_place() {
    let mine = || request(&Method::GET, "/mine").bearer(Known::Absent(EXPIRED));
    assert_eq!(mine().decision(), "401 signed_out");
    assert_eq!(
        mine().bearer_refresh(Known::NotAsked).decision(),
        "ask renew R"
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
        "alone it counts as an expired token"
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
        |marks: &mut crate::model::request::FetchMetadata<'static>| marks.is_browser = true;
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
        "served while its token holds, not renewed ahead"
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
fn a_bearer_may_write_from_anywhere() {
    let write = request(&Method::POST, "/mine").bearer(valid_token(&[]));
    let write = write.with_metadata(|marks| marks.origin = Some("https://elsewhere.example"));
    assert_eq!(write.decision(), "forward signed_in as ann");
}

#[test]
fn a_client_without_a_browser_is_told_what_to_come_with() {
    let challenge = |ask: &super::case::Case| match ask.response() {
        Some(LocalResponse::Problem(problem)) => problem.www_authenticate,
        _ => None,
    };
    let mut signed_out = request(&Method::GET, "/mine");
    assert_eq!(challenge(&signed_out), None);
    signed_out.site.bearer = true;
    assert_eq!(challenge(&signed_out), Some("Bearer"));
    let expired = signed_out.bearer(Known::Absent(EXPIRED));
    assert_eq!(challenge(&expired), Some("Bearer error=\"invalid_token\""));
}
