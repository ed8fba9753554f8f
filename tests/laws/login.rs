//! The laws of signing in: the form, the steps that may follow it, what goes along, and where it
//! goes round in circles.

use http::Method;
use proptest::prelude::*;
use vestibule::decide::Known;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::login::csrf_token;
use vestibule::model::local_response::{LocalResponse, Resubmission};
use vestibule::model::reason::Reason;

use super::arbitrary_scenario::scenario;
use super::policy::status;
use super::scenario::{NOW, QuestionKind};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A visitor is stopped only where they would be sent round for the third time.
    #[test]
    fn circles_end_at_the_third_round(scene in scenario()) {
        let played = scene.run();
        let counted = played.questions.iter().any(|asked| matches!(asked, QuestionKind::CountRedirect));
        let last = matches!(played.facts.redirects, Known::Found(3..));
        prop_assert_eq!(played.reason == Reason::RedirectLoop, counted && last);
        prop_assert!(!counted || scene.method == Method::GET || scene.method == Method::HEAD);
    }

    #[test]
    fn a_password_is_looked_at_only_behind_the_forms_own_proof(scene in scenario()) {
        let played = scene.run();
        if played.questions.contains(&QuestionKind::Login) && scene.api_endpoint().is_none() {
            let Known::Found(form) = &played.facts.login_form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scene.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&form.csrf, &csrf_token("store", cookie));
            prop_assert!(!form.password.expose().is_empty());
        }
    }

    /// What somebody wrote goes out in nobody else's name, nor twice, nor to another site.
    #[test]
    fn what_was_written_is_sent_by_its_author_alone(scene in scenario()) {
        let played = scene.run();
        let page = match &played.response {
            Some(LocalResponse::PreservedPost(page)) => page,
            Some(LocalResponse::LoginPage(form)) if form.preserved_post.is_some() => {
                prop_assert!(!scene.is_cross_site() && (scene.requirement().is_none() || !scene.fetch_metadata.has_authorization));
                return Ok(());
            }
            Some(_) | None => return Ok(()),
        };
        prop_assert!(matches!(played.facts.login, Known::Found(_)));
        let Known::Found(returned) = &played.facts.restored_post else { return Err(TestCaseError::fail("nothing")) };
        if let Resubmission::Allowed(path) = &page.resubmission {
            prop_assert!(returned.by_author && returned.first_time && path.as_str() == returned.post.target);
        }
    }

    #[test]
    fn a_step_is_taken_only_behind_the_forms_own_proof_and_with_something_typed(scene in scenario()) {
        let played = scene.run();
        let taken = played.questions.contains(&QuestionKind::ContinueLogin) || played.questions.contains(&QuestionKind::SendCode);
        if taken && scene.api_endpoint().is_none() {
            let Known::Found(fields) = &played.facts.step_form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scene.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&fields.csrf, &csrf_token("store", cookie));
            let typed = match scene.step_endpoint() {
                Some(StepEndpoint::TwoFactor) => !fields.code.expose().trim().is_empty(),
                Some(StepEndpoint::NewPassword) => !fields.password.expose().is_empty(),
                Some(StepEndpoint::SendCode) | None => true,
            };
            prop_assert!(typed);
        }
    }

    #[test]
    fn a_challenge_that_does_not_hold_leads_to_the_first_step(scene in scenario()) {
        let played = scene.run();
        let over = match &played.facts.challenge {
            Known::Found(opened) => opened.challenge.expires <= NOW,
            Known::Absent(_) => true,
            Known::NotAsked | Known::Failed(_) => return Ok(()),
        };
        if over {
            prop_assert_eq!((played.reason, status(&played)), (Reason::ChallengeExpired, Some(401)));
            prop_assert_eq!(&played.cookies, &[]);
        }
    }
}
