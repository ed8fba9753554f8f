//! The steps that may follow a password, as forms and as JSON endpoints
//! (`docs/reference/endpoints.md#multi-step-sign-in`).

use std::sync::Arc;

use http::Method;

use super::case::{Case, navigation, request};
use super::fixtures::{NOW, logged_in, valid_token};
use crate::decide::Known;
use crate::decide::csrf_token::csrf_token;
use crate::model::api_request::TokenDelivery;
use crate::model::challenge::{Challenge, LoginOptions, NextStep, OpenedChallenge};
use crate::model::credential::CredentialKind;
use crate::model::local_response::LocalResponse;
use crate::model::login::LoginRefused;
use crate::model::login_step::PendingStep;
use crate::model::login_step::{LoginStep, StepForm};
use crate::model::password_violation::PasswordViolation;
use crate::model::reason::Reason;
use crate::model::request_cookies::PresentedCookie;
use crate::model::return_path::ReturnPath;
use crate::model::secret::Secret;

mod checks;
mod results;

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
                browser: Some(csrf_token("store", "F")),
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
    let mut case = request(&Method::POST, target)
        .with_metadata(|metadata| metadata.origin = Some("https://store.example.com"));
    case.cookies.form = PresentedCookie::Single("F".into());
    case.facts.step_form = Known::Found(Box::new(StepForm {
        challenge: Secret::new("C"),
        code: Secret::new("123 456"),
        trust_device: true,
        choice: Secret::new("D"),
        password: Secret::new(" new "),
        csrf: csrf_token("store", "F"),
        preserved_post: None,
    }));
    case.facts.challenge = Known::Found(Arc::new(opened(TokenDelivery::Cookie)));
    case
}

fn call(target: &'static str, body: &str, tokens: TokenDelivery) -> Case {
    let mut case = request(&Method::POST, target).body(body);
    case.facts.challenge = Known::Found(Arc::new(opened(tokens)));
    case
}

fn refused(reason: Reason) -> LoginRefused {
    LoginRefused::new(reason)
}
