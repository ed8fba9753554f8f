//! What follows from the provider's answer.

use super::*;

#[test]
fn a_completed_step_is_answered_as_a_login() {
    for target in [PATHS[0], PATHS[2]] {
        let mut case = posts(target);
        case.facts.login = logged_in(CredentialKind::Jwt);
        assert_eq!(
            case.decision(),
            "303 /orders#last own_endpoint, set A1, device",
            "{target}"
        );
    }
    for (target, body) in [CALLS[0], CALLS[2]] {
        let mut case = call(target, body, TokenDelivery::Cookie);
        case.facts.login = logged_in(CredentialKind::Jwt);
        let decision = case.decision();
        assert!(
            decision.starts_with("200 {user:{id:ann,")
                && decision.ends_with("own_endpoint, set A1, device"),
            "{decision}"
        );
        assert!(!decision.contains("token"), "{decision}");
    }
    let mut sent = posts(PATHS[1]);
    sent.facts.code_sent = Known::Found(1);
    assert_eq!(
        sent.decision(),
        "303 /login/two-factor?challenge=C&sent=1 own_endpoint"
    );
    let mut sent = call(CALLS[1].0, CALLS[1].1, TokenDelivery::Cookie);
    sent.facts.code_sent = Known::Found(1);
    assert_eq!(sent.decision(), "204 own_endpoint");
}

#[test]
fn a_preserved_post_is_carried_through_the_steps() {
    let carrying = |target| {
        let mut case = posts(target);
        if let Known::Found(fields) = &mut case.facts.step_form {
            fields.preserved_post = Some("sealed".into());
        }
        case
    };
    for target in [PATHS[0], PATHS[2]] {
        let mut case = carrying(target);
        case.facts.login = Known::Absent(refused(Reason::WrongCode));
        match case.response() {
            Some(LocalResponse::StepPage(form)) => {
                assert_eq!(form.preserved_post.as_deref(), Some("sealed"), "{target}");
            }
            other => panic!("{other:?}"),
        }
        case.facts.login = Known::Absent(refused(Reason::ChallengeExpired));
        match case.response() {
            Some(LocalResponse::LoginPage(form)) => {
                assert_eq!(form.preserved_post.as_deref(), Some("sealed"), "{target}");
            }
            other => panic!("{other:?}"),
        }
        case.facts.login = logged_in(CredentialKind::Jwt);
        assert_eq!(
            case.decision(),
            "ask restore sealed for ann as ann",
            "{target}"
        );
    }
}

#[test]
fn a_correctable_error_shows_the_step_again() {
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
            let mut case = posts(target);
            (case.facts.login, case.facts.code_sent) = (
                Known::Absent(no.clone()),
                Known::Absent(Box::new(no.clone())),
            );
            assert_eq!(case.decision(), form, "{target}");
        }
        for (target, body) in CALLS {
            let mut case = call(target, body, TokenDelivery::Cookie);
            (case.facts.login, case.facts.code_sent) = (
                Known::Absent(no.clone()),
                Known::Absent(Box::new(no.clone())),
            );
            assert_eq!(case.decision(), document, "{target}");
        }
    }
}

#[test]
fn any_other_error_leads_to_the_login_form_or_a_page() {
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
        (
            Reason::NotRegistered,
            "403 form ann remember to /orders#last not_registered",
        ),
        (
            Reason::EmailUnverified,
            "403 form ann remember to /orders#last email_unverified",
        ),
        (
            Reason::RegistrationUnverified,
            "403 form ann remember to /orders#last registration_unverified",
        ),
    ] {
        let mut case = posts(PATHS[0]);
        case.facts.login = Known::Absent(refused(reason));
        assert_eq!(case.decision(), expected);
        let mut case = call(CALLS[0].0, CALLS[0].1, TokenDelivery::Cookie);
        case.facts.login = Known::Absent(refused(reason));
        assert_eq!(
            case.decision(),
            format!("{} {}", reason.status(), reason.as_str())
        );
    }
    let another = LoginRefused {
        next_step: Some(Box::new(next("C2"))),
        ..refused(Reason::TwoFactorRequired)
    };
    let mut case = posts(PATHS[2]);
    case.facts.login = Known::Absent(another.clone());
    assert_eq!(
        case.decision(),
        "303 /login/two-factor?challenge=C2 two_factor_required"
    );
    let mut case = call(CALLS[2].0, CALLS[2].1, TokenDelivery::Cookie);
    case.facts.login = Known::Absent(another);
    assert_eq!(case.decision(), "401 then C2 two_factor_required");
}

#[test]
fn an_outage_shows_the_step_again() {
    for target in PATHS {
        let mut case = posts(target);
        let reason = Reason::ProviderUnavailable;
        (case.facts.login, case.facts.code_sent) = (Known::Failed(reason), Known::Failed(reason));
        assert_eq!(
            case.decision(),
            "503 two-factor form C of ann again trust retry 5 provider_unavailable",
            "{target}"
        );
        case.facts.challenge = Known::Failed(Reason::StoreUnavailable);
        assert_eq!(case.decision(), "503 retry 5 store_unavailable", "{target}");
    }
    let mut case = call(CALLS[0].0, CALLS[0].1, TokenDelivery::Cookie);
    case.facts.login = Known::Failed(Reason::ProviderUnavailable);
    assert_eq!(case.decision(), "503 retry 5 provider_unavailable");
}
