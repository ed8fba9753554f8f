//! `docs/reference/endpoints.md#sign-in-form`: the sign-in form.

use http::Method;

use super::case::{Case, navigation, principal, refreshed, request, sealed_device, valid_token};
use crate::decide::Known;
use crate::decide::login::csrf_token;
use crate::model::cookie::PresentedCookie;
use crate::model::credential::CredentialKind;
use crate::model::login::{LoginForm, LoginRefused};
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::token::{CompletedLogin, IssuedTokens, TokenError};

const FRESH: &str = "200 form own_endpoint";

#[test]
fn the_form_remembers_where_to_go_when_that_is_here() {
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
fn who_is_signed_in_goes_on() {
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
        "no circle"
    );
    assert_eq!(
        signed_in("/login?return_to=/logout"),
        "303 /landing own_endpoint"
    );
    assert_eq!(
        navigation("/login").refresh(Known::NotAsked).decision(),
        "ask renew R"
    );
    assert_eq!(
        navigation("/login").refresh(refreshed(&[])).decision(),
        "303 /landing own_endpoint, set A2"
    );
}

#[test]
fn who_is_not_gets_the_form_and_keeps_cookies_through_a_hiccup() {
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

/// The form as Ann posts it.
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
    let mut ask = request(&Method::POST, "/login")
        .with_metadata(|marks| marks.origin = Some("https://store.example.com"));
    ask.cookies.form = PresentedCookie::Single("F".into());
    ask.facts.login_form = Known::Found(form);
    ask
}

#[test]
fn a_form_from_another_origin_is_not_even_read() {
    let unread = |change: fn(&mut Case)| {
        let mut ask = posts(form());
        ask.facts.login_form = Known::NotAsked;
        change(&mut ask);
        ask.decision()
    };
    let refused = "403 cross_site_request";
    assert_eq!(unread(|_| ()), "ask form");
    assert_eq!(
        unread(|ask| ask.fetch_metadata.origin = Some("https://evil.example")),
        refused
    );
    assert_eq!(
        unread(|ask| ask.fetch_metadata.origin = Some("https://app.example.com")),
        refused,
        "listed, but not our own"
    );
    assert_eq!(
        unread(|ask| ask.fetch_metadata.origin = Some("null")),
        refused
    );
    assert_eq!(
        unread(
            |ask| (ask.fetch_metadata.origin, ask.fetch_metadata.fetch_site) =
                (None, Some("cross-site"))
        ),
        refused
    );
    assert_eq!(
        unread(
            |ask| (ask.fetch_metadata.origin, ask.fetch_metadata.fetch_site) =
                (None, Some("same-origin"))
        ),
        "ask form"
    );
    let referer = "https://evil.example/https://store.example.com/";
    assert_eq!(
        unread(
            |ask| (ask.fetch_metadata.origin, ask.fetch_metadata.referer) =
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
fn a_body_that_is_no_form_is_told() {
    for (reason, expected) in [
        (Reason::RejectedInput, "400 rejected_input"),
        (Reason::RequestTooLarge, "413 request_too_large"),
        (Reason::UnsupportedMediaType, "415 unsupported_media_type"),
    ] {
        let mut ask = posts(form());
        ask.facts.login_form = Known::Absent(reason);
        assert_eq!(ask.decision(), expected);
    }
}

#[test]
fn a_form_without_its_proof_comes_again_as_it_was_typed() {
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
fn nothing_typed_is_not_asked_about() {
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
    assert_eq!(posts(form()).decision(), "ask sign-in ann remember=true");
}

#[test]
fn the_browser_s_device_is_shown_where_there_is_one_of_it() {
    let mut ask = posts(form());
    ask.cookies.device = PresentedCookie::Single("D".into());
    assert_eq!(ask.decision(), "ask sign-in ann remember=true on D");
    ask.cookies.device = PresentedCookie::Duplicate;
    assert_eq!(ask.decision(), "ask sign-in ann remember=true");
}

fn answered(sign_in: Known<CompletedLogin, LoginRefused>) -> String {
    let mut ask = posts(form());
    ask.facts.login = sign_in;
    ask.decision()
}

#[test]
fn a_sign_in_sets_the_cookies_and_leads_on() {
    let tokens = IssuedTokens {
        kind: CredentialKind::Jwt,
        token: "A1".into(),
        refresh: Some("R1".into()),
        remember: true,
    };
    let device = Some(sealed_device());
    let signed_in = Known::Found(CompletedLogin {
        tokens,
        principal: principal("ann", &[], 600),
        device,
    });
    assert_eq!(
        answered(signed_in.clone()),
        "303 /orders#last own_endpoint, set A1, device"
    );
    let mut nowhere = posts(LoginForm {
        return_to: None,
        ..form()
    });
    nowhere.facts.login = signed_in;
    assert_eq!(
        nowhere.decision(),
        "303 /landing own_endpoint, set A1, device"
    );
}

#[test]
fn every_answer_of_the_provider_has_its_status() {
    let form = "form ann remember to /orders#last";
    for (reason, expected) in [
        (Reason::NotRegistered, "403 page not_registered".to_owned()),
        (
            Reason::PasswordChangeRequired,
            "401 page password_change_required".to_owned(),
        ),
        (
            Reason::EmailUnverified,
            "403 page email_unverified".to_owned(),
        ),
        (
            Reason::RegistrationUnverified,
            "403 page registration_unverified".to_owned(),
        ),
        (
            Reason::TwoFactorRequired,
            "401 page two_factor_required".to_owned(),
        ),
        (
            Reason::InvalidCredentials,
            format!("401 {form} invalid_credentials"),
        ),
        (
            Reason::LoginPrevented,
            format!("403 {form} login_prevented"),
        ),
        (
            Reason::AccountExpired,
            format!("403 {form} account_expired"),
        ),
        (Reason::AccountLocked, format!("403 {form} account_locked")),
        (Reason::RejectedInput, format!("400 {form} rejected_input")),
    ] {
        assert_eq!(answered(Known::Absent(LoginRefused::new(reason))), expected);
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
