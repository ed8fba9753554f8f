//! `docs/reference/endpoints.md#multi-step-sign-in`: the steps that may follow a password, as forms
//! and for programs.

use std::sync::Arc;

use http::Method;

use super::case::{Case, NOW, principal, request, sealed_device};
use crate::decide::Known;
use crate::decide::login::csrf_token;
use crate::model::api_request::TokenDelivery;
use crate::model::challenge::{
    Challenge, LoginOptions, LoginStep, NextStep, OpenedChallenge, StepForm,
};
use crate::model::cookie::PresentedCookie;
use crate::model::credential::CredentialKind;
use crate::model::local_response::LocalResponse;
use crate::model::login::{LoginRefused, PasswordViolation, PendingStep};
use crate::model::reason::Reason;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;
use crate::model::token::{CompletedLogin, IssuedTokens};

const PATHS: [&str; 3] = [
    "/login/two-factor",
    "/login/two-factor/send",
    "/login/password",
];
const CALLS: [(&str, &str); 3] = [
    (
        "/api/login/two-factor",
        r#"{"challenge":"C","code":"123456"}"#,
    ),
    (
        "/api/login/two-factor/send",
        r#"{"challenge":"C","choice":"D"}"#,
    ),
    (
        "/api/login/password",
        r#"{"challenge":"C","password":" new "}"#,
    ),
];

fn opened(tokens: TokenDelivery) -> OpenedChallenge {
    let return_to = ReturnPath::parse("/orders#last");
    OpenedChallenge {
        challenge: Challenge {
            id: "c1".into(),
            pending_step: PendingStep::SecondFactor {
                id: Secret::new("theirs"),
                methods: Vec::new(),
            },
            expires: NOW.plus(std::time::Duration::from_millis(1)),
            options: LoginOptions {
                login_id: "ann".into(),
                remember: true,
                token_delivery: tokens,
                return_to,
            },
            change_reason: None,
        },
        next_step: next("C"),
    }
}

fn next(challenge: &str) -> NextStep {
    NextStep {
        step: LoginStep::TwoFactor,
        challenge: Secret::new(challenge),
        methods: Vec::new(),
        change_reason: None,
    }
}

/// Ann posts the form of a step.
fn posts(target: &'static str) -> Case {
    let mut ask = request(&Method::POST, target)
        .with_metadata(|marks| marks.origin = Some("https://store.example.com"));
    ask.cookies.form = PresentedCookie::Single("F".into());
    ask.facts.step_form = Known::Found(Box::new(StepForm {
        challenge: Secret::new("C"),
        code: Secret::new("123 456"),
        trust_device: true,
        choice: Secret::new("D"),
        password: Secret::new(" new "),
        csrf: csrf_token("store", "F"),
        preserved_post: None,
    }));
    ask.facts.challenge = Known::Found(Arc::new(opened(TokenDelivery::Cookie)));
    ask
}

fn program(target: &'static str, body: &str, tokens: TokenDelivery) -> Case {
    let mut ask = request(&Method::POST, target).body(body);
    ask.facts.challenge = Known::Found(Arc::new(opened(tokens)));
    ask
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

fn refused(reason: Reason) -> LoginRefused {
    LoginRefused::new(reason)
}

#[test]
fn one_thing_is_asked_after_the_other() {
    for (target, step, last) in [
        (
            PATHS[0],
            "two-factor",
            "continue c1 code \"123456\" trust=true",
        ),
        (PATHS[1], "two-factor", "send c1 D"),
        (PATHS[2], "password", "continue c1 password \" new \""),
    ] {
        let mut ask = posts(target);
        assert_eq!(ask.decision(), format!("ask {last}"), "{target}");
        ask.facts.challenge = Known::NotAsked;
        assert_eq!(ask.decision(), format!("ask open {step} C"), "{target}");
        ask.facts.step_form = Known::NotAsked;
        assert_eq!(ask.decision(), "ask step form", "{target}");
    }
    for ((target, body), last) in CALLS.into_iter().zip([
        "continue c1 code \"123456\" trust=false",
        "send c1 D",
        "continue c1 password \" new \"",
    ]) {
        let mut ask = program(target, body, TokenDelivery::Cookie);
        assert_eq!(ask.decision(), format!("ask {last}"), "{target}");
        ask.facts.challenge = Known::NotAsked;
        assert!(ask.decision().starts_with("ask open "), "{target}");
        ask.facts.body = Known::NotAsked;
        assert_eq!(ask.decision(), "ask body", "{target}");
    }
    let mut session = posts(PATHS[0]);
    session.site.credential = CredentialKind::Session;
    session.cookies.session = PresentedCookie::Single("S".into());
    session.cookies.device = PresentedCookie::Single("D".into());
    assert_eq!(
        session.decision(),
        "ask continue session c1 code \"123456\" trust=true for S on D"
    );
}

#[test]
fn a_challenge_that_does_not_hold_is_answered_without_the_provider() {
    for target in PATHS {
        let mut ask = posts(target);
        let mut over = opened(TokenDelivery::Cookie);
        over.challenge.expires = NOW;
        ask.facts.challenge = Known::Found(Arc::new(over));
        assert_eq!(
            ask.decision(),
            "401 form ann remember to /orders#last challenge_expired",
            "{target}"
        );
        ask.facts.challenge = Known::Absent(Reason::ChallengeExpired);
        assert_eq!(ask.decision(), "401 form challenge_expired", "{target}");
    }
    for (target, body) in CALLS {
        let mut ask = program(target, body, TokenDelivery::Cookie);
        ask.facts.challenge = Known::Absent(Reason::ChallengeExpired);
        assert_eq!(ask.decision(), "401 challenge_expired", "{target}");
        let mut over = opened(TokenDelivery::Body);
        over.challenge.expires = NOW;
        ask.facts.challenge = Known::Found(Arc::new(over));
        assert_eq!(ask.decision(), "401 challenge_expired", "{target}");
    }
}

#[test]
fn a_form_comes_from_here_with_its_own_proof() {
    for target in PATHS {
        for origin in ["https://evil.example", "https://app.example.com", "null"] {
            let ask = posts(target).with_metadata(|marks| marks.origin = Some(origin));
            assert_eq!(
                ask.decision(),
                "403 cross_site_request",
                "{target} {origin}"
            );
        }
        let mut ask = posts(target);
        ask.cookies.form = PresentedCookie::Single("G".into());
        assert_eq!(
            ask.decision(),
            "403 two-factor form C of ann again trust csrf_failed",
            "{target}"
        );
    }
    for (target, body) in CALLS {
        let ask = program(target, body, TokenDelivery::Cookie)
            .with_metadata(|marks| marks.origin = Some("https://evil.example"));
        assert_eq!(ask.decision(), "403 cross_site_request", "{target}");
    }
}

#[test]
fn nothing_typed_is_not_asked_about() {
    let blank = |target, change: fn(&mut StepForm)| {
        let mut ask = posts(target);
        if let Known::Found(fields) = &mut ask.facts.step_form {
            change(fields);
        }
        ask.decision()
    };
    let again = "400 two-factor form C of ann again trust rejected_input";
    assert_eq!(
        blank(PATHS[0], |fields| fields.code = Secret::new(" \t")),
        again
    );
    assert_eq!(
        blank(PATHS[2], |fields| fields.password = Secret::new("")),
        again
    );
    let recovery = blank(PATHS[0], |fields| fields.code = Secret::new(" abcd 1234 "));
    assert_eq!(recovery, "ask continue c1 code \"abcd 1234\" trust=true");
    assert_eq!(
        blank(PATHS[2], |fields| fields.password = Secret::new(" ")),
        "ask continue c1 password \" \""
    );
    for (target, body) in [
        (CALLS[0].0, r#"{"challenge":"C","code":" "}"#),
        (CALLS[0].0, r#"{"challenge":"C"}"#),
        (CALLS[0].0, r#"{"challenge":"C","code":"1","choice":"D"}"#),
        (CALLS[1].0, r#"{"challenge":"C","choice":1}"#),
        (CALLS[2].0, r#"{"challenge":"C","password":""}"#),
        (CALLS[2].0, r#"{"challenge":"C","password":"p","code":"1"}"#),
    ] {
        assert_eq!(
            program(target, body, TokenDelivery::Cookie).decision(),
            "400 rejected_input",
            "{body}"
        );
    }
}

#[test]
fn tokens_in_a_body_are_for_clients_that_are_no_browsers() {
    for (target, body) in CALLS {
        let mut ask = program(target, body, TokenDelivery::Body);
        assert_eq!(ask.decision(), "403 bearer_not_enabled", "{target}");
        ask.site.bearer = true;
        assert!(ask.decision().starts_with("ask "), "{target}");
        let script = ask.with_metadata(|marks| {
            (marks.origin, marks.is_browser) = (Some("https://store.example.com"), true);
        });
        assert_eq!(script.decision(), "403 browser_tokens_refused", "{target}");
    }
    for target in PATHS {
        let mut ask = posts(target);
        ask.site.bearer = true;
        ask.facts.challenge = Known::Found(Arc::new(opened(TokenDelivery::Body)));
        assert_eq!(ask.decision(), "403 browser_tokens_refused", "{target}");
    }
    let mut app = program(CALLS[0].0, CALLS[0].1, TokenDelivery::Body);
    app.site.bearer = true;
    (app.cookies.session, app.cookies.device) = (
        PresentedCookie::Single("S".into()),
        PresentedCookie::Single("D".into()),
    );
    assert_eq!(
        app.decision(),
        "ask continue bearer c1 code \"123456\" trust=false"
    );
    app.facts.login = issued(CredentialKind::Bearer);
    let told = app.decision();
    assert!(
        told.contains("token:A1") && told.contains("refreshToken:R1") && !told.contains("set"),
        "{told}"
    );
}

#[test]
fn a_success_is_that_of_a_sign_in() {
    for target in [PATHS[0], PATHS[2]] {
        let mut ask = posts(target);
        ask.facts.login = issued(CredentialKind::Jwt);
        assert_eq!(
            ask.decision(),
            "303 /orders#last own_endpoint, set A1, device",
            "{target}"
        );
    }
    for (target, body) in [CALLS[0], CALLS[2]] {
        let mut ask = program(target, body, TokenDelivery::Cookie);
        ask.facts.login = issued(CredentialKind::Jwt);
        let told = ask.decision();
        assert!(
            told.starts_with("200 {user:{id:ann,")
                && told.ends_with("own_endpoint, set A1, device"),
            "{told}"
        );
        assert!(!told.contains("token"), "{told}");
    }
    let mut sent = posts(PATHS[1]);
    sent.facts.code_sent = Known::Found(1);
    assert_eq!(
        sent.decision(),
        "200 two-factor form C of ann trust sent by 1 own_endpoint"
    );
    let mut sent = program(CALLS[1].0, CALLS[1].1, TokenDelivery::Cookie);
    sent.facts.code_sent = Known::Found(1);
    assert_eq!(sent.decision(), "204 own_endpoint");
}

#[test]
fn what_was_written_comes_along() {
    let carrying = |target| {
        let mut ask = posts(target);
        if let Known::Found(fields) = &mut ask.facts.step_form {
            fields.preserved_post = Some("sealed".into());
        }
        ask
    };
    for target in [PATHS[0], PATHS[2]] {
        let mut ask = carrying(target);
        ask.facts.login = Known::Absent(refused(Reason::WrongCode));
        match ask.response() {
            Some(LocalResponse::StepPage(form)) => {
                assert_eq!(form.preserved_post.as_deref(), Some("sealed"), "{target}");
            }
            other => panic!("{other:?}"),
        }
        ask.facts.login = Known::Absent(refused(Reason::ChallengeExpired));
        match ask.response() {
            Some(LocalResponse::LoginPage(form)) => {
                assert_eq!(form.preserved_post.as_deref(), Some("sealed"), "{target}");
            }
            other => panic!("{other:?}"),
        }
        ask.facts.login = issued(CredentialKind::Jwt);
        assert_eq!(
            ask.decision(),
            "ask return sealed to ann as ann",
            "{target}"
        );
    }
}

#[test]
fn what_can_be_mended_shows_the_step_again() {
    let throttled = LoginRefused {
        retry_after: Some(30),
        ..refused(Reason::Throttled)
    };
    let faults = vec![
        PasswordViolation::TooShort(Some(8)),
        PasswordViolation::PreviouslyUsed,
    ];
    let rejected = LoginRefused {
        violations: faults,
        ..refused(Reason::RejectedInput)
    };
    for (no, form, document) in [
        (
            refused(Reason::WrongCode),
            "401 two-factor form C of ann again trust wrong_code",
            "401 wrong_code",
        ),
        (
            throttled,
            "429 two-factor form C of ann again trust retry 30 throttled",
            "429 retry 30 throttled",
        ),
        (
            rejected,
            "400 two-factor form C of ann again trust tooShort previouslyUsed rejected_input",
            "400 tooShort previouslyUsed rejected_input",
        ),
    ] {
        for target in PATHS {
            let mut ask = posts(target);
            (ask.facts.login, ask.facts.code_sent) = (
                Known::Absent(no.clone()),
                Known::Absent(Box::new(no.clone())),
            );
            assert_eq!(ask.decision(), form, "{target}");
        }
        for (target, body) in CALLS {
            let mut ask = program(target, body, TokenDelivery::Cookie);
            (ask.facts.login, ask.facts.code_sent) = (
                Known::Absent(no.clone()),
                Known::Absent(Box::new(no.clone())),
            );
            assert_eq!(ask.decision(), document, "{target}");
        }
    }
}

#[test]
fn what_cannot_leads_back_or_on() {
    for (reason, expected) in [
        (
            Reason::ChallengeExpired,
            "401 form ann remember to /orders#last challenge_expired",
        ),
        (
            Reason::LoginPrevented,
            "403 form ann remember to /orders#last login_prevented",
        ),
        (
            Reason::InvalidCredentials,
            "401 form ann remember to /orders#last invalid_credentials",
        ),
        (Reason::NotRegistered, "403 page not_registered"),
        (Reason::EmailUnverified, "403 page email_unverified"),
        (
            Reason::RegistrationUnverified,
            "403 page registration_unverified",
        ),
    ] {
        let mut ask = posts(PATHS[0]);
        ask.facts.login = Known::Absent(refused(reason));
        assert_eq!(ask.decision(), expected);
        let mut ask = program(CALLS[0].0, CALLS[0].1, TokenDelivery::Cookie);
        ask.facts.login = Known::Absent(refused(reason));
        assert_eq!(
            ask.decision(),
            format!("{} {}", reason.status(), reason.as_str())
        );
    }
    let another = LoginRefused {
        next_step: Some(Box::new(next("C2"))),
        ..refused(Reason::TwoFactorRequired)
    };
    let mut ask = posts(PATHS[2]);
    ask.facts.login = Known::Absent(another.clone());
    assert_eq!(
        ask.decision(),
        "401 two-factor form C2 of ann two_factor_required"
    );
    let mut ask = program(CALLS[2].0, CALLS[2].1, TokenDelivery::Cookie);
    ask.facts.login = Known::Absent(another);
    assert_eq!(ask.decision(), "401 then C2 two_factor_required");
}

#[test]
fn a_failure_is_told_and_the_step_stays() {
    for target in PATHS {
        let mut ask = posts(target);
        let reason = Reason::ProviderUnavailable;
        (ask.facts.login, ask.facts.code_sent) = (Known::Failed(reason), Known::Failed(reason));
        assert_eq!(
            ask.decision(),
            "503 two-factor form C of ann again trust retry 5 provider_unavailable",
            "{target}"
        );
        ask.facts.challenge = Known::Failed(Reason::StoreUnavailable);
        assert_eq!(ask.decision(), "503 retry 5 store_unavailable", "{target}");
    }
    let mut ask = program(CALLS[0].0, CALLS[0].1, TokenDelivery::Cookie);
    ask.facts.login = Known::Failed(Reason::ProviderUnavailable);
    assert_eq!(ask.decision(), "503 retry 5 provider_unavailable");
}
