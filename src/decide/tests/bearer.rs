//! `docs/reference/sessions.md` and `docs/reference/headers.md#bearer-headers`: server-side
//! sessions, and clients that are no browsers.

use http::Method;

use super::ask::{calls, keeps, opens, proves, renews, somebody};
use crate::decide::Known;
use crate::model::cookie::Presented;
use crate::model::local_response::LocalResponse;
use crate::model::reason::Reason;
use crate::model::token::TokenError;

const EXPIRED: TokenError = TokenError::Expired;
const TO_THE_FORM: &str = "302 /login?return_to=/mine signed_out";

#[test]
fn a_session_that_is_alive_is_served_without_its_refresh_token() {
    let ask = opens("/mine").session(Known::NotAsked);
    assert_eq!(ask.told(), "ask load S");
    assert_eq!(
        opens("/mine").session(keeps(600)).told(),
        "forward signed_in as ann"
    );
    assert_eq!(
        opens("/mine")
            .session(keeps(600))
            .refresh(Known::NotAsked)
            .told(),
        "forward signed_in as ann"
    );
}

#[test]
fn a_session_that_is_over_or_unknown_is_renewed() {
    let mine = || opens("/mine").session(Known::Absent(EXPIRED));
    assert_eq!(mine().told(), format!("{TO_THE_FORM}, clear"));
    assert_eq!(mine().refresh(Known::NotAsked).told(), "ask renew R for S");
    assert_eq!(
        mine().refresh(renews(&[])).told(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).told(),
        format!("{TO_THE_FORM}, clear")
    );
    let trouble = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(trouble.told(), "503 retry 5 provider_unavailable");
    let mut lost = mine().refresh(Known::NotAsked);
    lost.cookies.session = Presented::Absent;
    assert_eq!(lost.told(), "ask renew R");
}

#[test]
fn no_session_id_at_all_is_renewed_from_invalid() {
    let mine = opens("/mine")
        .session(Known::Absent(TokenError::Invalid))
        .refresh(renews(&[]));
    assert_eq!(mine.told(), "forward renewed_from_invalid as ann, set A2");
    let mut twice = opens("/mine").session(Known::NotAsked).refresh(renews(&[]));
    twice.cookies.session = Presented::Duplicate;
    assert_eq!(twice.told(), "forward renewed_from_invalid as ann, set A2");
}

#[test]
fn a_session_whose_token_has_ended_is_renewed_where_that_can_be_done() {
    let mine = || opens("/mine").session(keeps(0));
    assert_eq!(
        mine().told(),
        "forward signed_in as ann",
        "nothing to renew it with"
    );
    assert_eq!(mine().refresh(Known::NotAsked).told(), "ask renew R for S");
    assert_eq!(
        mine().refresh(renews(&[])).told(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine().refresh(Known::Absent(Reason::SignedOut)).told(),
        format!("{TO_THE_FORM}, clear")
    );
    let trouble = mine().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        trouble.told(),
        "forward signed_in as ann",
        "the session lives out its life"
    );
}

#[test]
fn a_session_is_renewed_ahead_and_for_an_application_that_wants_the_token() {
    let soon = opens("/mine").session(keeps(30)).refresh(Known::NotAsked);
    assert_eq!(soon.told(), "forward signed_in as ann ahead R");
    let mut wanted = opens("/mine").session(keeps(600)).refresh(Known::NotAsked);
    wanted.site.forward_token = true;
    assert_eq!(wanted.told(), "ask renew R for S", "kept without its token");
}

#[test]
fn a_session_that_was_signed_out_is_not_renewed() {
    let mine = opens("/mine")
        .session(Known::Absent(TokenError::Revoked))
        .refresh(Known::NotAsked);
    assert_eq!(mine.told(), "302 /login?return_to=/mine revoked, clear");
}

#[test]
fn a_store_that_does_not_answer_keeps_everything() {
    let failed = || Known::Failed(Reason::StoreUnavailable);
    let mine = opens("/mine").session(failed()).refresh(Known::NotAsked);
    assert_eq!(mine.told(), "503 retry 5 store_unavailable");
    assert_eq!(
        opens("/maybe").session(failed()).told(),
        "forward anonymous"
    );
}

#[test]
fn a_site_with_sessions_looks_at_no_token_in_a_cookie() {
    let mut mine = opens("/mine").session(Known::NotAsked).access(proves(&[]));
    mine.cookies.session = Presented::Absent;
    assert_eq!(mine.told(), format!("{TO_THE_FORM}, clear"));
}

#[test]
fn a_sign_in_and_a_sign_out_name_the_session() {
    let mut out = calls(&Method::POST, "/logout")
        .session(Known::NotAsked)
        .refresh(Known::NotAsked);
    out.marks.origin = Some("https://store.example.com");
    assert_eq!(out.told(), "ask sign-out S R");
}

#[test]
fn a_bearer_comes_before_cookies_and_only_where_it_is_taken() {
    let mut both = calls(&Method::GET, "/mine")
        .access(Known::NotAsked)
        .bearer(Known::NotAsked);
    assert_eq!(both.told(), "ask verify A");
    both.facts.token = Known::Absent(EXPIRED);
    both.cookies.refresh = Presented::Single("R".into());
    assert_eq!(
        both.told(),
        "401 signed_out",
        "the cookie is ignored, and kept"
    );
    both.site.bearer = false;
    both.facts.token = Known::NotAsked;
    both.cookies.access = Presented::Absent;
    assert_eq!(both.told(), "ask renew R", "not looked at");
}

#[test]
fn a_bearer_is_renewed_in_place() {
    let mine = || calls(&Method::GET, "/mine").bearer(Known::Absent(EXPIRED));
    assert_eq!(mine().told(), "401 signed_out");
    assert_eq!(mine().bearer_refresh(Known::NotAsked).told(), "ask renew R");
    assert_eq!(
        mine().bearer_refresh(renews(&[])).told(),
        "forward renewed as ann, set A2"
    );
    assert_eq!(
        mine()
            .bearer_refresh(Known::Absent(Reason::SignedOut))
            .told(),
        "401 signed_out"
    );
    let alone = calls(&Method::GET, "/mine").bearer_refresh(renews(&[]));
    assert_eq!(
        alone.told(),
        "forward renewed as ann, set A2",
        "alone it counts as an expired token"
    );
    let soon = calls(&Method::GET, "/mine").bearer(Known::Found(somebody("ann", &[], 30)));
    assert_eq!(
        soon.bearer_refresh(Known::NotAsked).told(),
        "forward signed_in as ann ahead R"
    );
}

#[test]
fn a_browser_gets_no_token_in_a_header() {
    let browser = |marks: &mut crate::model::request::FetchMetadata<'static>| marks.browser = true;
    let expired = calls(&Method::GET, "/mine")
        .bearer(Known::Absent(EXPIRED))
        .bearer_refresh(Known::NotAsked);
    assert_eq!(expired.marked(browser).told(), "403 browser_tokens_refused");
    let soon = calls(&Method::GET, "/mine").bearer(Known::Found(somebody("ann", &[], 30)));
    let soon = soon.bearer_refresh(Known::NotAsked).marked(browser);
    assert_eq!(
        soon.told(),
        "forward signed_in as ann",
        "served while its token holds, not renewed ahead"
    );
    assert_eq!(
        calls(&Method::GET, "/mine")
            .bearer(proves(&[]))
            .marked(browser)
            .told(),
        "forward signed_in as ann"
    );
}

#[test]
fn a_bearer_may_write_from_anywhere() {
    let write = calls(&Method::POST, "/mine").bearer(proves(&[]));
    let write = write.marked(|marks| marks.origin = Some("https://elsewhere.example"));
    assert_eq!(write.told(), "forward signed_in as ann");
}

#[test]
fn a_client_without_a_browser_is_told_what_to_come_with() {
    let challenge = |ask: &super::ask::Ask| match ask.answer() {
        Some(LocalResponse::Problem(problem)) => problem.challenge,
        _ => None,
    };
    let mut signed_out = calls(&Method::GET, "/mine");
    assert_eq!(challenge(&signed_out), None);
    signed_out.site.bearer = true;
    assert_eq!(challenge(&signed_out), Some("Bearer"));
    let expired = signed_out.bearer(Known::Absent(EXPIRED));
    assert_eq!(challenge(&expired), Some("Bearer error=\"invalid_token\""));
}
