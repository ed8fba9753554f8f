//! `docs/reference/endpoints.md#json-api`: the JSON endpoints, for scripts with cookies and for
//! clients that are no browsers.

use http::Method;

use super::case::{
    Case, live_session, navigation, principal, refreshed, request, sealed_device, valid_token,
};
use crate::decide::Known;
use crate::model::api_request::ApiRequestBody;
use crate::model::cookie::PresentedCookie;
use crate::model::credential::CredentialKind;
use crate::model::local_response::LocalResponse;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::request::FetchMetadata;
use crate::model::token::{CompletedLogin, IssuedTokens, TokenError};

const ANN: &str = "{user:{id:ann,email:null,emailVerified:false,username:null,roles:[]}";
const LOGIN: &str = r#"{"loginId":"ann","password":"correct horse"}"#;
const IN_BODY: &str = r#"{"loginId":"ann","password":"correct horse","tokens":"body"}"#;
const POSTED: &str = r#"{"refreshToken":"R"}"#;

fn posts(target: &'static str) -> Case {
    request(&Method::POST, target)
}

/// A script of the site's own page.
fn script(marks: &mut FetchMetadata<'static>) {
    (marks.origin, marks.fetch_mode, marks.is_browser) =
        (Some("https://store.example.com"), Some("cors"), true);
}

fn issued(kind: CredentialKind) -> Known<CompletedLogin, LoginRefused> {
    let tokens = IssuedTokens {
        kind,
        token: "A1".into(),
        refresh: Some("R1".into()),
        remember: true,
    };
    let device = (kind != CredentialKind::Bearer).then(sealed_device);
    Known::Found(CompletedLogin {
        tokens,
        principal: principal("ann", &[], 600),
        device,
    })
}

#[test]
fn who_is_signed_in_is_told_with_the_end_of_the_token() {
    let asks = || request(&Method::GET, "/api/user");
    let told = format!("200 {ANN},expiresInstant:1700000600000}} own_endpoint");
    assert_eq!(asks().decision(), "404 signed_out");
    assert_eq!(asks().access(Known::NotAsked).decision(), "ask verify A");
    assert_eq!(asks().access(valid_token(&[])).decision(), told);
    assert_eq!(asks().session(live_session(600)).decision(), told);
    assert_eq!(asks().bearer(valid_token(&[])).decision(), told);
    let expired = || asks().access(Known::Absent(TokenError::Expired));
    assert_eq!(expired().decision(), "404 signed_out, clear");
    assert_eq!(expired().refresh(Known::NotAsked).decision(), "ask renew R");
    assert_eq!(
        expired().refresh(refreshed(&[])).decision(),
        format!("{told}, set A2")
    );
    assert_eq!(
        expired()
            .refresh(Known::Absent(Reason::SignedOut))
            .decision(),
        "404 signed_out, clear"
    );
    let trouble = expired().refresh(Known::Failed(Reason::ProviderUnavailable));
    assert_eq!(
        trouble.decision(),
        "503 retry 5 provider_unavailable",
        "a hiccup is no sign-out"
    );
    assert_eq!(
        asks().access(Known::Absent(TokenError::Revoked)).decision(),
        "404 revoked, clear"
    );
    let refused = asks()
        .bearer(Known::Absent(TokenError::Expired))
        .bearer_refresh(Known::NotAsked)
        .with_metadata(script);
    assert_eq!(refused.decision(), "403 browser_tokens_refused");
}

#[test]
fn a_program_is_told_as_a_program() {
    let for_programs = |ask: &Case| match ask.response() {
        Some(LocalResponse::Problem(problem)) => problem.for_api_client,
        other => panic!("{other:?}"),
    };
    // Java's own client names HTML too.
    let java =
        |marks: &mut FetchMetadata<'static>| marks.accept = Some("text/html, image/gif, *; q=.2");
    assert!(for_programs(&navigation("/api/user").with_metadata(java)));
    assert!(for_programs(&request(&Method::PUT, "/api/user")));
    assert!(for_programs(&posts("/api/login").body("{}")));
    assert!(!for_programs(&request(&Method::PUT, "/login")));
}

#[test]
fn a_sign_in_sets_cookies_and_tells_who() {
    let login = || posts("/api/login").with_metadata(script);
    assert_eq!(login().decision(), "ask body");
    assert_eq!(
        login().body(LOGIN).decision(),
        "ask sign-in ann remember=true"
    );
    let short = r#"{"loginId":"ann","password":"p","remember":false,"tokens":"cookie"}"#;
    assert_eq!(
        login().body(short).decision(),
        "ask sign-in ann remember=false"
    );
    let replaced = login().body(LOGIN).session(Known::NotAsked);
    assert_eq!(
        replaced.decision(),
        "ask sign-in session ann remember=true for S"
    );
    let mut done = login().body(LOGIN);
    done.facts.login = issued(CredentialKind::Jwt);
    assert_eq!(
        done.decision(),
        format!("200 {ANN}}} own_endpoint, set A1, device")
    );
}

#[test]
fn tokens_leave_in_bodies_only_where_they_may_and_to_no_browser() {
    let login = || posts("/api/login").body(IN_BODY);
    assert_eq!(login().decision(), "403 bearer_not_enabled");
    let mobile = |mut ask: Case| {
        ask.site.bearer = true;
        ask
    };
    assert_eq!(
        mobile(login()).decision(),
        "ask sign-in bearer ann remember=true"
    );
    assert_eq!(
        mobile(login()).with_metadata(script).decision(),
        "403 browser_tokens_refused",
        "nobody asks the provider"
    );
    let fetched = mobile(login()).with_metadata(|marks| marks.is_browser = true);
    assert_eq!(fetched.decision(), "403 browser_tokens_refused");
    let with_cookie = mobile(login()).session(Known::NotAsked);
    assert_eq!(
        with_cookie.decision(),
        "ask sign-in bearer ann remember=true",
        "the session is another client's"
    );
    let mut done = mobile(login());
    done.facts.login = issued(CredentialKind::Bearer);
    let tokens = "token:A1,refreshToken:R1,tokenExpirationInstant:1700000600000";
    assert_eq!(
        done.decision(),
        format!("200 {ANN},{tokens}}} own_endpoint")
    );
}

#[test]
fn a_body_that_cannot_be_read_is_told_before_anybody_is_asked() {
    for path in ["/api/login", "/api/refresh", "/api/logout"] {
        for (reason, expected) in [
            (Reason::RejectedInput, "400 rejected_input"),
            (Reason::RequestTooLarge, "413 request_too_large"),
            (Reason::UnsupportedMediaType, "415 unsupported_media_type"),
        ] {
            let mut ask = posts(path).access(Known::NotAsked).refresh(Known::NotAsked);
            ask.facts.body = Known::Absent(reason);
            assert_eq!(ask.decision(), expected, "{path}");
        }
        let unknown = posts(path)
            .refresh(Known::NotAsked)
            .body(r#"{"loginId":"a","password":"p","x":1}"#);
        assert_eq!(unknown.decision(), "400 rejected_input", "{path}");
    }
    for nothing in [
        "{}",
        r#"{"loginId":" ","password":"p"}"#,
        r#"{"loginId":"a","password":""}"#,
    ] {
        assert_eq!(
            posts("/api/login").body(nothing).decision(),
            "400 rejected_input",
            "{nothing}"
        );
    }
}

#[test]
fn every_answer_of_the_provider_has_its_status() {
    let answered = |sign_in| {
        let mut ask = posts("/api/login").body(LOGIN);
        ask.facts.login = sign_in;
        ask.decision()
    };
    for (reason, status) in [
        (Reason::NotRegistered, 403),
        (Reason::PasswordChangeRequired, 401),
        (Reason::EmailUnverified, 403),
        (Reason::RegistrationUnverified, 403),
        (Reason::TwoFactorRequired, 401),
        (Reason::InvalidCredentials, 401),
        (Reason::LoginPrevented, 403),
        (Reason::AccountExpired, 403),
        (Reason::AccountLocked, 403),
        (Reason::RejectedInput, 400),
    ] {
        let refused = Known::Absent(LoginRefused::new(reason));
        assert_eq!(answered(refused), format!("{status} {}", reason.as_str()));
    }
    let throttled = LoginRefused {
        retry_after: Some(30),
        ..LoginRefused::new(Reason::Throttled)
    };
    assert_eq!(answered(Known::Absent(throttled)), "429 retry 30 throttled");
    let breached = Some("Breached".to_owned());
    let must_change = LoginRefused {
        change_reason: breached,
        ..LoginRefused::new(Reason::PasswordChangeRequired)
    };
    assert_eq!(
        answered(Known::Absent(must_change)),
        "401 for Breached password_change_required"
    );
    for (reason, expected) in [
        (Reason::ProviderMisconfigured, "500 provider_misconfigured"),
        (Reason::TokensTooLarge, "500 tokens_too_large"),
        (
            Reason::ProviderUnavailable,
            "503 retry 5 provider_unavailable",
        ),
        (Reason::StoreUnavailable, "503 retry 5 store_unavailable"),
    ] {
        assert_eq!(answered(Known::Failed(reason)), expected);
    }
}

#[test]
fn calls_come_from_the_sites_own_pages_from_listed_ones_or_from_no_browser() {
    for path in ["/api/login", "/api/refresh", "/api/logout"] {
        let from = |origin, fetch_site, referer| {
            let ask = posts(path).refresh(Known::NotAsked);
            ask.with_metadata(|marks| {
                (marks.origin, marks.fetch_site, marks.referer) = (origin, fetch_site, referer);
            })
            .decision()
        };
        let (read, refused) = ("ask body", "403 cross_site_request");
        assert_eq!(from(None, None, None), read, "{path}");
        assert_eq!(
            from(Some("https://store.example.com"), Some("same-origin"), None),
            read,
            "{path}"
        );
        assert_eq!(
            from(Some("https://app.example.com"), Some("same-site"), None),
            read,
            "{path}"
        );
        assert_eq!(from(None, Some("same-origin"), None), read, "{path}");
        assert_eq!(
            from(None, None, Some("https://store.example.com/cart")),
            read,
            "{path}"
        );
        for foreign in [
            "https://evil.example",
            "null",
            "http://store.example.com",
            "https://app.example.com.evil.example",
        ] {
            assert_eq!(
                from(Some(foreign), Some("same-origin"), None),
                refused,
                "{path} {foreign}"
            );
        }
        assert_eq!(from(None, Some("cross-site"), None), refused, "{path}");
        assert_eq!(from(None, Some("same-site"), None), refused, "{path}");
        assert_eq!(
            from(None, None, Some("https://evil.example/")),
            refused,
            "{path}"
        );
    }
}

#[test]
fn a_renewal_is_had_for_the_asking() {
    let asks = |ask: Case| {
        ask.body("")
            .refresh(Known::NotAsked)
            .with_metadata(script)
            .decision()
    };
    assert_eq!(
        asks(posts("/api/refresh").access(valid_token(&[]))),
        "ask renew R",
        "also while the token holds"
    );
    assert_eq!(
        asks(posts("/api/refresh").session(Known::NotAsked)),
        "ask renew R for S"
    );
    let came = |renewal| {
        posts("/api/refresh")
            .body("{}")
            .refresh(renewal)
            .with_metadata(script)
            .decision()
    };
    assert_eq!(came(refreshed(&[])), "204 own_endpoint, set A2");
    assert_eq!(
        came(Known::Absent(Reason::SignedOut)),
        "401 signed_out, clear"
    );
    assert_eq!(came(Known::Absent(Reason::Revoked)), "401 revoked, clear");
    assert_eq!(
        came(Known::Failed(Reason::ProviderUnavailable)),
        "503 retry 5 provider_unavailable"
    );
    let nothing = posts("/api/refresh").body("");
    assert_eq!(nothing.decision(), "401 signed_out");
    assert_eq!(
        nothing.access(valid_token(&[])).decision(),
        "401 signed_out",
        "the token lives out its time"
    );
    let mut twice = posts("/api/refresh").body("");
    twice.cookies.refresh = PresentedCookie::Duplicate;
    assert_eq!(twice.decision(), "401 signed_out");
}

#[test]
fn a_client_without_cookies_renews_by_body_or_header() {
    let told = "200 {token:A2,refreshToken:R2,tokenExpirationInstant:1700000600000} own_endpoint";
    let mobile = || {
        let mut ask = posts("/api/refresh").body(POSTED);
        ask.site.bearer = true;
        ask
    };
    assert_eq!(mobile().decision(), "ask renew posted R");
    let mut renewed = mobile();
    renewed.facts.refresh = refreshed(&[]);
    assert_eq!(renewed.decision(), told);
    assert_eq!(
        renewed.with_metadata(script).decision(),
        "403 browser_tokens_refused"
    );
    let header = || {
        posts("/api/refresh")
            .body("")
            .bearer_refresh(Known::NotAsked)
    };
    assert_eq!(header().decision(), "ask renew R");
    assert_eq!(header().bearer_refresh(refreshed(&[])).decision(), told);
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
        "ask renew posted R",
        "the same twice is the same"
    );
    let another = r#"{"refreshToken":"another"}"#;
    assert_eq!(
        header().body(another).decision(),
        "400 rejected_input",
        "who can say which?"
    );
    assert_eq!(
        posts("/api/refresh").body(POSTED).decision(),
        "403 bearer_not_enabled"
    );
    let without = posts("/api/refresh").body("").bearer(valid_token(&[]));
    assert_eq!(
        without.decision(),
        "401 signed_out",
        "nothing to renew with"
    );
    assert_eq!(
        without.refresh(Known::NotAsked).decision(),
        "401 signed_out",
        "cookies are ignored, and kept"
    );
}

#[test]
fn a_refresh_token_that_stays_the_same_is_told_again() {
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
fn a_sign_out_is_204_whatever_there_was() {
    let logout = || posts("/api/logout").body("").with_metadata(script);
    assert_eq!(logout().decision(), "204 own_endpoint");
    let both = || logout().access(Known::NotAsked).refresh(Known::NotAsked);
    assert_eq!(both().decision(), "ask sign-out A R");
    assert_eq!(
        logout().session(Known::NotAsked).decision(),
        "ask sign-out S -"
    );
    for outcome in [
        Known::Found(()),
        Known::Absent(Reason::SignedOut),
        Known::Failed(Reason::ProviderUnavailable),
    ] {
        let mut ask = both();
        ask.facts.logout = outcome;
        assert_eq!(
            ask.decision(),
            "204 own_endpoint, clear",
            "the sign-out here stands"
        );
    }
    let mut twice = logout();
    twice.cookies.refresh = PresentedCookie::Duplicate;
    assert_eq!(
        twice.decision(),
        "204 own_endpoint, clear",
        "nobody's, and in the way"
    );
}

#[test]
fn a_client_without_cookies_signs_out_by_body_or_headers() {
    let logout = || posts("/api/logout").body("");
    assert_eq!(
        logout().bearer(Known::NotAsked).decision(),
        "ask sign-out A -"
    );
    let headers = || {
        logout()
            .bearer(Known::NotAsked)
            .bearer_refresh(Known::NotAsked)
    };
    assert_eq!(headers().decision(), "ask sign-out A R");
    assert_eq!(
        logout().bearer(Known::NotAsked).body(POSTED).decision(),
        "ask sign-out posted A R"
    );
    let mut over = logout().bearer(Known::NotAsked).body(POSTED);
    over.facts.logout = Known::Found(());
    assert_eq!(over.decision(), "204 own_endpoint");
    let another = r#"{"refreshToken":"another"}"#;
    assert_eq!(headers().body(another).decision(), "400 rejected_input");
    assert_eq!(
        logout().body(POSTED).decision(),
        "204 own_endpoint",
        "not taken here, so there is nothing to end"
    );
    assert_eq!(
        logout().body(POSTED).access(Known::NotAsked).decision(),
        "ask sign-out A -"
    );
}

#[test]
fn what_was_posted_is_not_asked_for_again() {
    let mut ask = posts("/api/logout");
    ask.facts.body = Known::Found(ApiRequestBody::default());
    assert_eq!(ask.decision(), "204 own_endpoint");
}
