//! The JSON endpoints: the login, and what all calls have in common
//! (`docs/reference/endpoints.md#json-api`).

use super::api::{ANN, posts, script};
use super::case::Case;
use super::fixtures::logged_in;
use crate::decide::Known;
use crate::model::credential::CredentialKind;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;

const LOGIN: &str = r#"{"loginId":"ann","password":"correct horse"}"#;
const IN_BODY: &str = r#"{"loginId":"ann","password":"correct horse","tokens":"body"}"#;

#[test]
fn a_login_sets_cookies_and_returns_the_user() {
    let login = || posts("/api/login").with_metadata(script);
    assert_eq!(login().decision(), "ask body");
    assert_eq!(
        login().body(LOGIN).decision(),
        "ask login ann remember=true"
    );
    let short = r#"{"loginId":"ann","password":"p","remember":false,"tokens":"cookie"}"#;
    assert_eq!(
        login().body(short).decision(),
        "ask login ann remember=false"
    );
    let replaced = login().body(LOGIN).session(Known::NotAsked);
    assert_eq!(
        replaced.decision(),
        "ask login session ann remember=true for S"
    );
    let mut done = login().body(LOGIN);
    done.facts.login = logged_in(CredentialKind::Jwt);
    assert_eq!(
        done.decision(),
        format!("200 {ANN}}} own_endpoint, set A1, device")
    );
}

#[test]
fn tokens_are_returned_in_bodies_only_where_enabled_and_to_no_browser() {
    let login = || posts("/api/login").body(IN_BODY);
    assert_eq!(login().decision(), "403 bearer_not_enabled");
    let mobile = |mut case: Case| {
        case.site.bearer = true;
        case
    };
    assert_eq!(
        mobile(login()).decision(),
        "ask login bearer ann remember=true"
    );
    assert_eq!(
        mobile(login()).with_metadata(script).decision(),
        "403 browser_tokens_refused",
        "the provider is not asked"
    );
    let fetched = mobile(login()).with_metadata(|metadata| metadata.is_browser = true);
    assert_eq!(fetched.decision(), "403 browser_tokens_refused");
    let with_cookie = mobile(login()).session(Known::NotAsked);
    assert_eq!(
        with_cookie.decision(),
        "ask login bearer ann remember=true",
        "the session is not this client's"
    );
    let mut done = mobile(login());
    done.facts.login = logged_in(CredentialKind::Bearer);
    let tokens = "token:A1,refreshToken:R1,tokenExpirationInstant:1700000600000";
    assert_eq!(
        done.decision(),
        format!("200 {ANN},{tokens}}} own_endpoint")
    );
}

#[test]
fn an_invalid_body_is_refused_before_the_provider_is_asked() {
    for path in ["/api/login", "/api/refresh", "/api/logout"] {
        for (reason, expected) in [
            (Reason::RejectedInput, "400 rejected_input"),
            (Reason::RequestTooLarge, "413 request_too_large"),
            (Reason::UnsupportedMediaType, "415 unsupported_media_type"),
        ] {
            let mut case = posts(path).access(Known::NotAsked).refresh(Known::NotAsked);
            case.facts.body = Known::Absent(reason);
            assert_eq!(case.decision(), expected, "{path}");
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
fn every_result_of_an_api_login_has_its_status() {
    let answered = |sign_in| {
        let mut case = posts("/api/login").body(LOGIN);
        case.facts.login = sign_in;
        case.decision()
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
fn calls_are_accepted_from_own_and_listed_pages_and_from_no_browser() {
    for path in ["/api/login", "/api/refresh", "/api/logout"] {
        let from = |origin, fetch_site, referer| {
            let case = posts(path).refresh(Known::NotAsked);
            case.with_metadata(|metadata| {
                (metadata.origin, metadata.fetch_site, metadata.referer) =
                    (origin, fetch_site, referer);
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
