//! Laws of the login: the form, the steps after it, preserved posts and redirect loops.

use http::Method;
use proptest::prelude::*;
use vestibule::decide::csrf_token::csrf_token;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::{Known, RedirectResult};
use vestibule::model::local_response::{LocalResponse, Resubmission};
use vestibule::model::reason::Reason;

use super::arbitrary_scenario::scenario;
use super::policy::status;
use super::scenario::NOW;
use super::simulate::{QuestionKind, simulate};

proptest! {
    #![proptest_config(super::scaled(2))]

    /// A user is stopped only at the third redirect.
    #[test]
    fn loops_end_at_the_third_redirect(scenario in scenario()) {
        let run = simulate(&scenario);
        let counted = run.questions.iter().any(|asked| matches!(asked, QuestionKind::CountRedirect));
        let last = matches!(run.facts.redirects, Known::Found(3..));
        prop_assert_eq!(run.reason == Reason::RedirectLoop, counted && last);
        prop_assert!(!counted || scenario.method == Method::GET || scenario.method == Method::HEAD);
    }

    #[test]
    fn a_password_is_checked_only_with_a_valid_csrf_token(scenario in scenario()) {
        let run = simulate(&scenario);
        if run.questions.contains(&QuestionKind::Login) && scenario.api_endpoint().is_none() {
            let Known::Found(form) = &run.facts.login_form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scenario.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&form.csrf, &csrf_token("store", cookie));
            prop_assert!(!form.password.expose().is_empty());
        }
    }

    /// A preserved post is sent only by its author, once, and to this site.
    #[test]
    fn a_preserved_post_is_sent_by_its_author_only(scenario in scenario()) {
        let run = simulate(&scenario);
        let page = match &run.response {
            Some(LocalResponse::PreservedPost(page)) => page,
            Some(LocalResponse::LoginPage(form)) if form.preserved_post.is_some() || form.lost_post.is_some() => {
                prop_assert!(!scenario.is_cross_site() && (scenario.requirement().is_none() || !scenario.fetch_metadata.has_authorization || scenario.fetch_metadata.fetch_mode == Some("navigate")));
                return Ok(());
            }
            Some(_) | None => return Ok(()),
        };
        let by_redirect = matches!(run.facts.callback.as_deref(), Some(RedirectResult::Finished(_)));
        prop_assert!(by_redirect || matches!(run.facts.login, Known::Found(_)));
        let Known::Found(returned) = &run.facts.restored_post else { return Err(TestCaseError::fail("no preserved post")) };
        if let Resubmission::Allowed(path) = &page.resubmission {
            prop_assert!(returned.by_author && returned.first_time && path.as_str() == returned.post.target);
        }
    }

    #[test]
    fn a_step_is_taken_only_with_a_valid_csrf_token_and_input(scenario in scenario()) {
        let run = simulate(&scenario);
        let taken = run.questions.contains(&QuestionKind::ContinueLogin) || run.questions.contains(&QuestionKind::SendCode);
        if taken && scenario.api_endpoint().is_none() {
            let Known::Found(fields) = &run.facts.step_form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scenario.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&fields.csrf, &csrf_token("store", cookie));
            let typed = match scenario.step_endpoint() {
                Some(StepEndpoint::TwoFactor) => !fields.code.expose().trim().is_empty(),
                Some(StepEndpoint::NewPassword) => !fields.password.expose().is_empty(),
                Some(StepEndpoint::SendCode) | None => true,
            };
            prop_assert!(typed);
        }
    }

    #[test]
    fn an_expired_challenge_leads_to_the_login_form(scenario in scenario()) {
        let run = simulate(&scenario);
        let over = match &run.facts.challenge {
            Known::Found(opened) => opened.challenge.expires <= NOW,
            Known::Absent(_) => true,
            Known::NotAsked | Known::Failed(_) => return Ok(()),
        };
        if over && scenario.method == Method::POST {
            prop_assert_eq!((run.reason, status(&run)), (Reason::ChallengeExpired, Some(401)));
            prop_assert_eq!(&run.cookies, &[]);
        }
    }
}
