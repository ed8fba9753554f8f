//! What is checked before the provider is asked.

use std::sync::Arc;

use super::*;

#[test]
fn the_questions_are_asked_in_order() {
    for (target, step, last) in [
        (
            PATHS[0],
            "two-factor",
            "continue c1 code \"123456\" trust=true",
        ),
        (PATHS[1], "two-factor", "send c1 D"),
        (PATHS[2], "password", "continue c1 password \" new \""),
    ] {
        let mut case = posts(target);
        assert_eq!(case.decision(), format!("ask {last}"), "{target}");
        case.facts.challenge = Known::NotAsked;
        assert_eq!(case.decision(), format!("ask open {step} C"), "{target}");
        case.facts.step_form = Known::NotAsked;
        assert_eq!(case.decision(), "ask step form", "{target}");
    }
    for ((target, body), last) in CALLS.into_iter().zip([
        "continue c1 code \"123456\" trust=false",
        "send c1 D",
        "continue c1 password \" new \"",
    ]) {
        let mut case = call(target, body, TokenDelivery::Cookie);
        assert_eq!(case.decision(), format!("ask {last}"), "{target}");
        case.facts.challenge = Known::NotAsked;
        assert!(case.decision().starts_with("ask open "), "{target}");
        case.facts.body = Known::NotAsked;
        assert_eq!(case.decision(), "ask body", "{target}");
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
fn an_expired_challenge_is_refused_without_the_provider() {
    for target in PATHS {
        let mut case = posts(target);
        let mut over = opened(TokenDelivery::Cookie);
        over.challenge.expires = NOW;
        case.facts.challenge = Known::Found(Arc::new(over));
        assert_eq!(
            case.decision(),
            "401 form ann remember to /orders#last challenge_expired",
            "{target}"
        );
        case.facts.challenge = Known::Absent(Reason::ChallengeExpired);
        assert_eq!(case.decision(), "401 form challenge_expired", "{target}");
    }
    for (target, body) in CALLS {
        let mut case = call(target, body, TokenDelivery::Cookie);
        case.facts.challenge = Known::Absent(Reason::ChallengeExpired);
        assert_eq!(case.decision(), "401 challenge_expired", "{target}");
        let mut over = opened(TokenDelivery::Body);
        over.challenge.expires = NOW;
        case.facts.challenge = Known::Found(Arc::new(over));
        assert_eq!(case.decision(), "401 challenge_expired", "{target}");
    }
}

#[test]
fn a_step_needs_the_sites_origin_and_a_csrf_token() {
    for target in PATHS {
        for origin in ["https://evil.example", "https://app.example.com", "null"] {
            let case = posts(target).with_metadata(|metadata| metadata.origin = Some(origin));
            assert_eq!(
                case.decision(),
                "403 cross_site_request",
                "{target} {origin}"
            );
        }
        let mut case = posts(target);
        if let Known::Found(fields) = &mut case.facts.step_form {
            fields.csrf = "stale".into();
        }
        assert_eq!(
            case.decision(),
            "403 two-factor form C of ann again trust csrf_failed",
            "{target}"
        );
        case.cookies.form = PresentedCookie::Single("G".into());
        assert_eq!(
            case.decision(),
            "401 form challenge_expired",
            "{target}: in another browser"
        );
        case.facts.challenge = Known::Found(Arc::new(unbound()));
        assert_eq!(
            case.decision(),
            "403 two-factor form C of ann again trust csrf_failed",
            "{target}: a challenge of before the upgrade is bound to no browser"
        );
    }
    for (target, body) in CALLS {
        let case = call(target, body, TokenDelivery::Cookie)
            .with_metadata(|metadata| metadata.origin = Some("https://evil.example"));
        assert_eq!(case.decision(), "403 cross_site_request", "{target}");
    }
}

#[test]
fn an_empty_step_is_not_sent_to_the_provider() {
    let blank = |target, change: fn(&mut StepForm)| {
        let mut case = posts(target);
        if let Known::Found(fields) = &mut case.facts.step_form {
            change(fields);
        }
        case.decision()
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
            call(target, body, TokenDelivery::Cookie).decision(),
            "400 rejected_input",
            "{body}"
        );
    }
}

#[test]
fn tokens_in_a_body_are_refused_to_browsers() {
    for (target, body) in CALLS {
        let mut case = call(target, body, TokenDelivery::Body);
        assert_eq!(case.decision(), "403 bearer_not_enabled", "{target}");
        case.site.bearer = true;
        assert!(case.decision().starts_with("ask "), "{target}");
        let script = case.with_metadata(|metadata| {
            (metadata.origin, metadata.is_browser) = (Some("https://store.example.com"), true);
        });
        assert_eq!(script.decision(), "403 browser_tokens_refused", "{target}");
    }
    for target in PATHS {
        let mut case = posts(target);
        case.site.bearer = true;
        case.facts.challenge = Known::Found(Arc::new(opened(TokenDelivery::Body)));
        assert_eq!(case.decision(), "403 browser_tokens_refused", "{target}");
    }
    let mut app = call(CALLS[0].0, CALLS[0].1, TokenDelivery::Body);
    app.site.bearer = true;
    (app.cookies.session, app.cookies.device) = (
        PresentedCookie::Single("S".into()),
        PresentedCookie::Single("D".into()),
    );
    assert_eq!(
        app.decision(),
        "ask continue bearer c1 code \"123456\" trust=false"
    );
    app.facts.login = logged_in(CredentialKind::Bearer);
    let decision = app.decision();
    assert!(
        decision.contains("token:A1")
            && decision.contains("refreshToken:R1")
            && !decision.contains("set"),
        "{decision}"
    );
}

/// A challenge that is bound to no browser.
fn unbound() -> OpenedChallenge {
    let mut opened = opened(TokenDelivery::Cookie);
    opened.challenge.options.browser = None;
    opened
}

/// The browser of [`posts`] opens the page of a step.
fn opens(target: &'static str) -> Case {
    let mut case = navigation(target);
    case.cookies.form = PresentedCookie::Single("F".into());
    case.facts.challenge = Known::Found(Arc::new(opened(TokenDelivery::Cookie)));
    case
}

#[test]
fn the_page_of_a_step_is_shown_in_the_browser_that_it_belongs_to() {
    let mut case = opens("/login/two-factor?challenge=C");
    assert_eq!(case.decision(), "200 two-factor form C of ann own_endpoint");
    case.facts.challenge = Known::NotAsked;
    assert_eq!(case.decision(), "ask open two-factor C");
    let sent = opens("/login/two-factor?challenge=C&sent=0");
    assert_eq!(
        sent.decision(),
        "200 two-factor form C of ann own_endpoint",
        "there is no such method"
    );
    let elsewhere = "401 form challenge_expired";
    let mut another = opens("/login/password?challenge=C");
    another.cookies.form = PresentedCookie::Single("G".into());
    assert_eq!(another.decision(), elsewhere);
    another.cookies.form = PresentedCookie::Absent;
    assert_eq!(another.decision(), elsewhere);
    let mut api = opens("/login/two-factor?challenge=C");
    api.facts.challenge = Known::Found(Arc::new(unbound()));
    assert_eq!(api.decision(), elsewhere);
    let mut unopened = opens("/login/two-factor?challenge=C");
    unopened.facts.challenge = Known::Absent(Reason::ChallengeExpired);
    assert_eq!(unopened.decision(), elsewhere);
    assert_eq!(
        opens("/login/two-factor").decision(),
        "200 form own_endpoint"
    );
    assert_eq!(
        opens("/login/two-factor/send?challenge=C").decision(),
        "405 allow POST method_not_allowed"
    );
}

#[test]
fn the_page_of_an_expired_step_leads_on_or_to_the_login_form() {
    let mut over = opened(TokenDelivery::Cookie);
    over.challenge.expires = NOW;
    let mut case = opens("/login/two-factor?challenge=C");
    case.facts.challenge = Known::Found(Arc::new(over));
    assert_eq!(
        case.decision(),
        "401 form ann remember to /orders#last challenge_expired"
    );
    let logged_in = case.access(valid_token(&[]));
    assert_eq!(logged_in.decision(), "303 /orders#last own_endpoint");
}
