//! The login page and its form (`docs/reference/endpoints.md#sign-in-form`).

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{logged_in, refreshed, valid_token};
use crate::decide::Known;
use crate::decide::csrf_token::csrf_token;
use crate::model::credential::CredentialKind;
use crate::model::login::{LoginForm, LoginRefused};
use crate::model::reason::Reason;
use crate::model::request_cookies::PresentedCookie;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::token::{CompletedLogin, TokenError};

const FRESH: &str = "200 form own_endpoint";

#[test]
fn the_login_page_keeps_a_return_address_of_this_site() {
    for (target, expected) in [
        ("/login", FRESH),
        (
            "/login?return_to=/orders%3Fpage%3D2%23last",
            "200 form to /orders?page=2#last own_endpoint",
        ),
        ("/login?return_to=https%3A%2F%2Fevil.example%2F", FRESH),
        ("/login?return_to=%2F%2Fevil.example", FRESH),
        ("/login?return_to=%2F%5Cevil.example", FRESH),
        ("/login?return_to=%2Fa%0D%0Ab", FRESH),
        ("/login?return_to=javascript%3Aalert(1)", FRESH),
        ("/login?return_to=/a&return_to=/b", FRESH),
    ] {
        assert_eq!(navigation(target).decision(), expected, "{target}");
    }
}

#[test]
fn an_authenticated_user_is_redirected() {
    let signed_in = |target| navigation(target).access(valid_token(&[])).decision();
    assert_eq!(signed_in("/login"), "303 /landing own_endpoint");
    assert_eq!(
        signed_in("/login?return_to=/orders"),
        "303 /orders own_endpoint"
    );
    assert_eq!(
        signed_in("/login?return_to=//evil.example"),
        "303 /landing own_endpoint"
    );
    assert_eq!(
        signed_in("/login?return_to=/login?x"),
        "303 /landing own_endpoint",
        "no loop"
    );
    for refused in [
        "/login?return_to=/@%252f",
        "/login?return_to=/%252e%252e;/",
        "/login?return_to=/login;x",
    ] {
        assert_eq!(
            signed_in(refused),
            "303 /landing own_endpoint",
            "no request for {refused} is accepted"
        );
    }
    assert_eq!(
        signed_in("/login?return_to=/logout"),
        "303 /landing own_endpoint"
    );
    assert_eq!(
        navigation("/login").refresh(Known::NotAsked).decision(),
        "ask refresh R"
    );
    assert_eq!(
        navigation("/login").refresh(refreshed(&[])).decision(),
        "303 /landing own_endpoint, set A2"
    );
}

#[test]
fn an_anonymous_user_gets_the_form_and_an_outage_clears_no_cookie() {
    let refused = navigation("/login").refresh(Known::Absent(Reason::SignedOut));
    assert_eq!(refused.decision(), format!("{FRESH}, clear"));
    let revoked = navigation("/login")
        .access(Known::Absent(TokenError::Revoked))
        .refresh(Known::NotAsked);
    assert_eq!(revoked.decision(), format!("{FRESH}, clear"));
    assert_eq!(
        navigation("/login")
            .refresh(Known::Failed(Reason::ProviderUnavailable))
            .decision(),
        FRESH
    );
}

/// The form, as Ann posts it.
fn form() -> LoginForm {
    LoginForm {
        login_id: "ann".into(),
        password: Secret::new("correct horse"),
        return_to: ReturnPath::parse("/orders#last"),
        remember: true,
        csrf: csrf_token("store", "F"),
        preserved_post: None,
    }
}

fn posts(form: LoginForm) -> Case {
    let mut case = request(&Method::POST, "/login")
        .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"));
    case.cookies.form = PresentedCookie::Single("F".into());
    case.facts.login_form = Known::Found(form);
    case
}

#[test]
fn a_form_from_another_origin_is_not_read() {
    let unread = |change: fn(&mut Case)| {
        let mut case = posts(form());
        case.facts.login_form = Known::NotAsked;
        change(&mut case);
        case.decision()
    };
    let refused = "403 cross_site_request";
    assert_eq!(unread(|_| ()), "ask form");
    assert_eq!(
        unread(|case| case.fetch_metadata.origin = Some("https://evil.example")),
        refused
    );
    assert_eq!(
        unread(|case| case.fetch_metadata.origin = Some("https://app.example.com")),
        refused,
        "listed, but not the site's own"
    );
    assert_eq!(
        unread(|case| case.fetch_metadata.origin = Some("null")),
        refused
    );
    assert_eq!(
        unread(
            |case| (case.fetch_metadata.origin, case.fetch_metadata.fetch_site) =
                (None, Some("cross-site"))
        ),
        refused
    );
    assert_eq!(
        unread(
            |case| (case.fetch_metadata.origin, case.fetch_metadata.fetch_site) =
                (None, Some("same-origin"))
        ),
        "ask form"
    );
    let referer = "https://evil.example/https://store.example.com/";
    assert_eq!(
        unread(
            |case| (case.fetch_metadata.origin, case.fetch_metadata.referer) =
                (None, Some("https://store.example.com/login"))
        ),
        "ask form"
    );
    let mut foreign = posts(form());
    (
        foreign.fetch_metadata.origin,
        foreign.fetch_metadata.referer,
    ) = (None, Some(referer));
    assert_eq!(foreign.decision(), refused);
}

#[test]
fn a_body_that_is_no_form_is_refused() {
    for (reason, expected) in [
        (Reason::RejectedInput, "400 rejected_input"),
        (Reason::RequestTooLarge, "413 request_too_large"),
        (Reason::UnsupportedMediaType, "415 unsupported_media_type"),
    ] {
        let mut case = posts(form());
        case.facts.login_form = Known::Absent(reason);
        assert_eq!(case.decision(), expected);
    }
}

#[test]
fn a_form_with_a_wrong_csrf_token_is_shown_again() {
    let again = "403 form ann remember to /orders#last csrf_failed";
    for csrf in [
        String::new(),
        csrf_token("forum", "F"),
        csrf_token("store", "G"),
    ] {
        assert_eq!(posts(LoginForm { csrf, ..form() }).decision(), again);
    }
    let mut without_cookie = posts(form());
    without_cookie.cookies.form = PresentedCookie::Absent;
    assert_eq!(without_cookie.decision(), again);
    without_cookie.cookies.form = PresentedCookie::Duplicate;
    assert_eq!(without_cookie.decision(), again);
}

#[test]
fn empty_input_is_not_sent_to_the_provider() {
    let nobody = LoginForm {
        login_id: " ".into(),
        remember: false,
        ..form()
    };
    assert_eq!(
        posts(nobody).decision(),
        "400 form   to /orders#last rejected_input"
    );
    let no_password = LoginForm {
        password: Secret::new(""),
        ..form()
    };
    assert_eq!(
        posts(no_password).decision(),
        "400 form ann remember to /orders#last rejected_input"
    );
    assert_eq!(posts(form()).decision(), "ask login ann remember=true");
}

#[test]
fn a_single_device_cookie_is_passed_on() {
    let mut case = posts(form());
    case.cookies.device = PresentedCookie::Single("D".into());
    assert_eq!(case.decision(), "ask login ann remember=true on D");
    case.cookies.device = PresentedCookie::Duplicate;
    assert_eq!(case.decision(), "ask login ann remember=true");
}

fn answered(login: Known<CompletedLogin, LoginRefused>) -> String {
    let mut case = posts(form());
    case.facts.login = login;
    case.decision()
}

#[test]
fn a_login_sets_the_cookies_and_redirects() {
    let login = logged_in(CredentialKind::Jwt);
    assert_eq!(
        answered(login.clone()),
        "303 /orders#last own_endpoint, set A1, device"
    );
    let mut nowhere = posts(LoginForm {
        return_to: None,
        ..form()
    });
    nowhere.facts.login = login;
    assert_eq!(
        nowhere.decision(),
        "303 /landing own_endpoint, set A1, device"
    );
}

#[test]
fn a_login_without_a_refresh_token_clears_that_of_an_earlier_one() {
    let Known::Found(mut login) = logged_in(CredentialKind::Jwt) else {
        panic!("no login");
    };
    login.tokens.refresh = None;
    assert_eq!(
        answered(Known::Found(login)),
        "303 /orders#last own_endpoint, set A1, clear refresh, device"
    );
}

#[test]
fn every_result_of_a_login_has_its_status() {
    let form = "form ann remember to /orders#last";
    let refused = |reason| answered(Known::Absent(LoginRefused::new(reason)));
    for (reason, status, code) in [
        (Reason::NotRegistered, 403, "not_registered"),
        (Reason::EmailUnverified, 403, "email_unverified"),
        (
            Reason::RegistrationUnverified,
            403,
            "registration_unverified",
        ),
        (Reason::InvalidCredentials, 401, "invalid_credentials"),
        (Reason::LoginPrevented, 403, "login_prevented"),
        (Reason::AccountExpired, 403, "account_expired"),
        (Reason::AccountLocked, 403, "account_locked"),
        (Reason::RejectedInput, 400, "rejected_input"),
    ] {
        assert_eq!(refused(reason), format!("{status} {form} {code}"));
    }
    let throttled = LoginRefused {
        retry_after: Some(30),
        ..LoginRefused::new(Reason::Throttled)
    };
    assert_eq!(
        answered(Known::Absent(throttled)),
        format!("429 {form} retry 30 throttled")
    );
    for (reason, expected) in [
        (
            Reason::ProviderMisconfigured,
            format!("500 {form} provider_misconfigured"),
        ),
        (
            Reason::TokensTooLarge,
            format!("500 {form} tokens_too_large"),
        ),
        (
            Reason::ProviderUnavailable,
            format!("503 {form} retry 5 provider_unavailable"),
        ),
    ] {
        assert_eq!(answered(Known::Failed(reason)), expected);
    }
}
