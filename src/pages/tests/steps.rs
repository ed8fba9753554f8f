//! The forms of the steps that follow a password.

use super::*;
use crate::model::challenge::{MethodChoice, NextStep, Step};
use crate::model::local_response::StepPage;
use crate::model::login::{FactorKind, PasswordViolation};
use crate::model::secret::Secret;

fn method(kind: FactorKind, label: Option<&str>) -> MethodChoice {
    MethodChoice {
        kind,
        label: label.map(str::to_owned),
        choice: Secret::new(format!("choice-{}", kind.as_str())),
    }
}

fn step(step: Step, kinds: &[FactorKind]) -> StepPage {
    let label = |kind: FactorKind| (kind == FactorKind::Email).then_some("z***@example.com");
    StepPage {
        status: 401,
        next: NextStep {
            step,
            challenge: Secret::new("challenge-1"),
            methods: kinds
                .iter()
                .map(|kind| method(*kind, label(*kind)))
                .collect(),
            change_reason: None,
        },
        trouble: None,
        violations: Vec::new(),
        sent: None,
        retry_after: None,
        trust: false,
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

fn shown(form: &StepPage) -> String {
    shown_in(frame(), form)
}

fn shown_in(frame: Layout<'_>, form: &StepPage) -> String {
    let (action, send, back, csrf) = (
        "/login/two-factor",
        "/login/two-factor/send",
        "/login",
        "csrf-1",
    );
    match form.next.step {
        Step::TwoFactor => two_factor(&TwoFactorView {
            frame,
            action,
            send,
            back,
            form,
            csrf,
        })
        .unwrap(),
        Step::NewPassword => new_password(&NewPasswordView {
            frame,
            action: "/login/password",
            back,
            form,
            csrf,
        })
        .unwrap(),
    }
}

/// Every state of both forms.
pub(super) fn every_step(frame: Layout<'_>) -> Vec<String> {
    let mut forms = Vec::new();
    for kinds in [&ALL_KINDS[..], &ALL_KINDS[1..], &ALL_KINDS[2..], &[]] {
        let fresh = step(Step::TwoFactor, kinds);
        forms.extend((0..kinds.len()).map(|way| StepPage {
            sent: Some(way),
            ..fresh.clone()
        }));
        let in_trouble = Reason::ALL.iter().map(|reason| StepPage {
            trouble: Some(*reason),
            ..fresh.clone()
        });
        forms.extend(in_trouble);
        forms.push(StepPage {
            trouble: Some(Reason::Throttled),
            retry_after: Some(30),
            ..fresh.clone()
        });
        forms.push(fresh);
    }
    for reason in Reason::ALL.iter().copied() {
        let violations = EVERY_FAULT.to_vec();
        forms.push(StepPage {
            trouble: Some(reason),
            violations,
            ..step(Step::NewPassword, &[])
        });
    }
    for word in [
        None,
        Some("Administrative"),
        Some("Breached"),
        Some("Expired"),
        Some("Validation"),
        Some("Later"),
    ] {
        let mut form = step(Step::NewPassword, &[]);
        form.next.change_reason = word.map(str::to_owned);
        forms.push(form);
    }
    forms.iter().map(|form| shown_in(frame, form)).collect()
}

const EVERY_FAULT: &[PasswordViolation] = &[
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
fn a_code_is_typed_where_browsers_offer_it() {
    let page = shown(&step(Step::TwoFactor, &ALL_KINDS));
    for part in [
        "name=\"code\" type=\"text\" class=\"code\" required",
        "autocomplete=\"one-time-code\" inputmode=\"numeric\"",
        "<label for=\"code\">",
        "name=\"challenge\" value=\"challenge-1\"",
        "name=\"csrf\" value=\"csrf-1\"",
        "name=\"trust\" value=\"true\"><span>",
        "action=\"&#x2f;login&#x2f;two-factor\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        !between(&page, "<input id=\"code\"", ">").contains("value"),
        "a code is never shown again"
    );
    // Recovery codes have letters.
    assert!(!page.contains("pattern="));
    let ticked = shown(&StepPage {
        trust: true,
        ..step(Step::TwoFactor, &ALL_KINDS)
    });
    assert!(ticked.contains("name=\"trust\" value=\"true\" checked"));
}

#[test]
fn a_code_can_be_asked_for_by_each_way_that_sends_one() {
    let sends = |page: &str| {
        page.matches("action=\"&#x2f;login&#x2f;two-factor&#x2f;send\"")
            .count()
    };
    let page = shown(&step(Step::TwoFactor, &ALL_KINDS));
    assert_eq!(sends(&page), 2);
    assert!(page.contains("value=\"choice-email\"") && page.contains("value=\"choice-sms\""));
    assert!(
        !page.contains("choice-authenticator"),
        "an app is sent nothing"
    );
    assert!(
        page.contains("Send a code to <bdi dir=\"ltr\">z***@example.com</bdi>")
            && page.contains("Send a code by text message")
    );
    assert!(!page.contains("<details"), "whoever has an app has a code");
    let page = shown(&step(Step::TwoFactor, &ALL_KINDS[1..]));
    assert!(
        sends(&page) == 2 && page.contains("<details"),
        "first a code is asked for"
    );
    assert_eq!(
        page.matches("name=\"code\"").count(),
        1,
        "whoever has one may type it"
    );
    let carried = shown(&StepPage {
        preserved_post: Some("sealed-work".into()),
        ..step(Step::TwoFactor, &ALL_KINDS)
    });
    assert_eq!(
        carried
            .matches("name=\"unsent\" value=\"sealed-work\"")
            .count(),
        3,
        "by each of the forms"
    );
    let sent = shown(&StepPage {
        sent: Some(0),
        ..step(Step::TwoFactor, &ALL_KINDS[1..])
    });
    assert!(
        sent.contains("role=\"status\"")
            && sent.contains("on its way to <bdi dir=\"ltr\">z***@example.com</bdi>")
    );
    assert!(sent.contains(">Send it again<") && !sent.contains("<details"));
    assert_eq!(sends(&shown(&step(Step::TwoFactor, &[]))), 0);
}

#[test]
fn a_new_password_is_asked_for_with_its_reason_and_its_rules() {
    let mut fresh = step(Step::NewPassword, &[]);
    fresh.next.change_reason = Some("Breached".into());
    let page = shown(&fresh);
    for part in [
        "stolen elsewhere",
        "name=\"password\" type=\"password\" required autocomplete=\"new-password\"",
        "value=\"zoe@example.com\" autocomplete=\"username\" readonly hidden",
        "<label for=\"password\">",
        "name=\"challenge\" value=\"challenge-1\"",
        "action=\"&#x2f;login&#x2f;password\"",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    fresh.next.change_reason = Some("<b>Later</b>".into());
    assert!(
        !shown(&fresh).contains("Later"),
        "a word of the provider's that we do not know is not repeated"
    );
    let violations = vec![
        PasswordViolation::TooShort(Some(8)),
        PasswordViolation::PreviouslyUsed,
    ];
    let trouble = Some(Reason::RejectedInput);
    let page = shown(&StepPage {
        trouble,
        violations,
        ..step(Step::NewPassword, &[])
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
fn a_pause_is_told_with_its_length() {
    let trouble = Some(Reason::Throttled);
    let page = shown(&StepPage {
        trouble,
        retry_after: Some(30),
        ..step(Step::TwoFactor, &ALL_KINDS)
    });
    assert!(page.contains("Please try again in 30 seconds."));
}
