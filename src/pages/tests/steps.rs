//! The forms of the steps after the password.

use super::*;
use crate::model::challenge::{MethodChoice, NextStep};
use crate::model::local_response::StepPage;
use crate::model::login_step::FactorKind;
use crate::model::login_step::LoginStep;
use crate::model::password_violation::PasswordViolation;
use crate::model::secret::Secret;

fn method(kind: FactorKind, label: Option<&str>) -> MethodChoice {
    MethodChoice {
        kind,
        label: label.map(str::to_owned),
        choice: Secret::new(format!("choice-{}", kind.as_str())),
    }
}

fn step(step: LoginStep, kinds: &[FactorKind]) -> StepPage {
    let label = |kind: FactorKind| (kind == FactorKind::Email).then_some("z***@example.com");
    StepPage {
        status: 401,
        next_step: NextStep {
            step,
            challenge: Secret::new("challenge-1"),
            methods: kinds
                .iter()
                .map(|kind| method(*kind, label(*kind)))
                .collect(),
            change_reason: None,
        },
        error: None,
        violations: Vec::new(),
        code_sent_by: None,
        retry_after: None,
        trust_device: false,
        login_id: "zoe@example.com".to_owned(),
        return_to: None,
        preserved_post: None,
    }
}

const ALL_KINDS: [FactorKind; 3] = [
    FactorKind::Authenticator,
    FactorKind::Email,
    FactorKind::Sms,
];

fn render(form: &StepPage) -> String {
    render_in(layout(), form)
}

fn render_in(layout: Layout<'_>, form: &StepPage) -> String {
    let (action, send, back, csrf) = (
        "/login/two-factor",
        "/login/two-factor/send",
        "/login",
        "csrf-1",
    );
    match form.next_step.step {
        LoginStep::TwoFactor => two_factor(&TwoFactorView {
            layout,
            action,
            send,
            back,
            form,
            csrf,
        })
        .unwrap(),
        LoginStep::NewPassword => new_password(&NewPasswordView {
            layout,
            action: "/login/password",
            back,
            form,
            csrf,
        })
        .unwrap(),
    }
}

/// Every state of both forms.
pub(super) fn every_step(layout: Layout<'_>) -> Vec<String> {
    let mut forms = Vec::new();
    for kinds in [&ALL_KINDS[..], &ALL_KINDS[1..], &ALL_KINDS[2..], &[]] {
        let fresh = step(LoginStep::TwoFactor, kinds);
        forms.extend((0..kinds.len()).map(|method| StepPage {
            code_sent_by: Some(method),
            ..fresh.clone()
        }));
        let after_failures = Reason::ALL.iter().map(|reason| StepPage {
            error: Some(*reason),
            ..fresh.clone()
        });
        forms.extend(after_failures);
        forms.push(StepPage {
            error: Some(Reason::Throttled),
            retry_after: Some(30),
            ..fresh.clone()
        });
        forms.push(fresh);
    }
    for reason in Reason::ALL.iter().copied() {
        let violations = ALL_VIOLATIONS.to_vec();
        forms.push(StepPage {
            error: Some(reason),
            violations,
            ..step(LoginStep::NewPassword, &[])
        });
    }
    for change_reason in [
        None,
        Some("Administrative"),
        Some("Breached"),
        Some("Expired"),
        Some("Validation"),
        Some("Later"),
    ] {
        let mut form = step(LoginStep::NewPassword, &[]);
        form.next_step.change_reason = change_reason.map(str::to_owned);
        forms.push(form);
    }
    forms.iter().map(|form| render_in(layout, form)).collect()
}

const ALL_VIOLATIONS: &[PasswordViolation] = &[
    PasswordViolation::TooShort(Some(8)),
    PasswordViolation::TooShort(None),
    PasswordViolation::TooLong(Some(256)),
    PasswordViolation::TooLong(None),
    PasswordViolation::RequireNumber,
    PasswordViolation::RequireMixedCase,
    PasswordViolation::RequireNonAlpha,
    PasswordViolation::PreviouslyUsed,
    PasswordViolation::TooYoung,
    PasswordViolation::Breached,
    PasswordViolation::MatchesLoginId,
    PasswordViolation::Other,
];

#[test]
fn the_code_field_works_with_autofill() {
    let page = render(&step(LoginStep::TwoFactor, &ALL_KINDS));
    for part in [
        "name=\"code\" type=\"text\" class=\"code\" required",
        "autocomplete=\"one-time-code\" inputmode=\"text\"",
        "<label for=\"code\">",
        "name=\"challenge\" value=\"challenge-1\"",
        "name=\"csrf\" value=\"csrf-1\"",
        "name=\"trust\" value=\"true\"><span>",
        "action=\"/login/two-factor\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        !between(&page, "<input id=\"code\"", ">").contains("value"),
        "the page never contains a code"
    );
    // Recovery codes have letters.
    assert!(!page.contains("pattern="));
    let ticked = render(&StepPage {
        trust_device: true,
        ..step(LoginStep::TwoFactor, &ALL_KINDS)
    });
    assert!(ticked.contains("name=\"trust\" value=\"true\" checked"));
}

#[test]
fn a_code_can_be_requested_by_each_method_that_sends_one() {
    let sends = |page: &str| page.matches("action=\"/login/two-factor/send\"").count();
    let page = render(&step(LoginStep::TwoFactor, &ALL_KINDS));
    assert_eq!(sends(&page), 2);
    assert!(page.contains("value=\"choice-email\"") && page.contains("value=\"choice-sms\""));
    assert!(
        !page.contains("choice-authenticator"),
        "an authenticator app needs no message"
    );
    assert!(
        page.contains("Send a code to <bdi dir=\"ltr\">z***@example.com</bdi>")
            && page.contains("Send a code by text message")
    );
    assert!(
        !page.contains("<details"),
        "with an app the user has a code already"
    );
    let page = render(&step(LoginStep::TwoFactor, &ALL_KINDS[1..]));
    assert!(
        sends(&page) == 2 && page.contains("<details"),
        "a code must be requested first"
    );
    assert_eq!(
        page.matches("name=\"code\"").count(),
        1,
        "a code that the user has already can be entered"
    );
    let preserving = render(&StepPage {
        preserved_post: Some("sealed-work".into()),
        ..step(LoginStep::TwoFactor, &ALL_KINDS)
    });
    assert_eq!(
        preserving
            .matches("name=\"unsent\" value=\"sealed-work\"")
            .count(),
        3,
        "in each of the forms"
    );
    let sent = render(&StepPage {
        code_sent_by: Some(0),
        ..step(LoginStep::TwoFactor, &ALL_KINDS[1..])
    });
    assert!(
        sent.contains("role=\"status\"")
            && sent.contains("on its way to <bdi dir=\"ltr\">z***@example.com</bdi>")
    );
    assert!(sent.contains(">Send it again<") && !sent.contains("<details"));
    assert_eq!(sends(&render(&step(LoginStep::TwoFactor, &[]))), 0);
}

#[test]
fn the_form_for_a_new_password_has_its_reason_and_violations() {
    let mut fresh = step(LoginStep::NewPassword, &[]);
    fresh.next_step.change_reason = Some("Breached".into());
    let page = render(&fresh);
    for part in [
        "stolen elsewhere",
        "name=\"password\" type=\"password\" required autocomplete=\"new-password\"",
        "value=\"zoe@example.com\" autocomplete=\"username\" readonly hidden",
        "<label for=\"password\">",
        "name=\"challenge\" value=\"challenge-1\"",
        "action=\"/login/password\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    fresh.next_step.change_reason = Some("<b>Later</b>".into());
    assert!(
        !render(&fresh).contains("Later"),
        "an unknown reason of the provider is not repeated"
    );
    let violations = vec![
        PasswordViolation::TooShort(Some(8)),
        PasswordViolation::PreviouslyUsed,
    ];
    let page = render(&StepPage {
        error: Some(Reason::RejectedInput),
        violations,
        ..step(LoginStep::NewPassword, &[])
    });
    assert!(
        page.contains("<li>It needs at least 8 characters.</li>\n<li>It was in use before.</li>")
    );
    assert!(
        between(&page, "<input id=\"password\"", ">")
            .contains("aria-describedby=\"hint rules trouble\"")
    );
    assert!(between(&page, "<input id=\"password\"", ">").contains("aria-invalid"));
}

#[test]
fn a_wait_is_shown() {
    let page = render(&StepPage {
        error: Some(Reason::Throttled),
        retry_after: Some(30),
        ..step(LoginStep::TwoFactor, &ALL_KINDS)
    });
    assert!(page.contains("Please try again in 30 seconds."));
}
