//! The laws of signing in: the form, the steps that may follow it, what goes along, and where it
//! goes round in circles.

use http::Method;
use proptest::prelude::*;
use vestibule::decide::Known;
use vestibule::decide::endpoint::StepCall;
use vestibule::decide::login::csrf_token;
use vestibule::model::local_response::{LocalResponse, Resubmission};
use vestibule::model::reason::Reason;

use super::any_scene::scene;
use super::policy::status;
use super::scene::{Asked, NOW};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A visitor is stopped only where they would be sent round for the third time.
    #[test]
    fn circles_end_at_the_third_round(scene in scene()) {
        let played = scene.play();
        let counted = played.asked.iter().any(|asked| matches!(asked, Asked::CountRound));
        let last = matches!(played.facts.rounds, Known::Found(3..));
        prop_assert_eq!(played.reason == Reason::RedirectLoop, counted && last);
        prop_assert!(!counted || scene.method == Method::GET || scene.method == Method::HEAD);
    }

    #[test]
    fn a_password_is_looked_at_only_behind_the_forms_own_proof(scene in scene()) {
        let played = scene.play();
        if played.asked.contains(&Asked::SignIn) && scene.call().is_none() {
            let Known::Found(form) = &played.facts.form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scene.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&form.csrf, &csrf_token("store", cookie));
            prop_assert!(!form.password.expose().is_empty());
        }
    }

    /// What somebody wrote goes out in nobody else's name, nor twice, nor to another site.
    #[test]
    fn what_was_written_is_sent_by_its_author_alone(scene in scene()) {
        let played = scene.play();
        let page = match &played.answer {
            Some(LocalResponse::Unsent(page)) => page,
            Some(LocalResponse::LoginPage(form)) if form.preserved_post.is_some() => {
                prop_assert!(!scene.is_cross_site() && (scene.match_rule().is_none() || !scene.marks.authorization));
                return Ok(());
            }
            Some(_) | None => return Ok(()),
        };
        prop_assert!(matches!(played.facts.sign_in, Known::Found(_)));
        let Known::Found(returned) = &played.facts.returned else { return Err(TestCaseError::fail("nothing")) };
        if let Resubmission::Send(path) = &page.offer {
            prop_assert!(returned.by_same_person && returned.first_time && path.as_str() == returned.preserved_post.target);
        }
    }

    #[test]
    fn a_step_is_taken_only_behind_the_forms_own_proof_and_with_something_typed(scene in scene()) {
        let played = scene.play();
        let taken = played.asked.contains(&Asked::Continue) || played.asked.contains(&Asked::SendCode);
        if taken && scene.call().is_none() {
            let Known::Found(fields) = &played.facts.step_form else { return Err(TestCaseError::fail("no form")) };
            let cookie = scene.cookies.form.value().unwrap_or("another");
            prop_assert_eq!(&fields.csrf, &csrf_token("store", cookie));
            let typed = match scene.step() {
                Some(StepCall::TwoFactor) => !fields.code.expose().trim().is_empty(),
                Some(StepCall::NewPassword) => !fields.password.expose().is_empty(),
                Some(StepCall::SendCode) | None => true,
            };
            prop_assert!(typed);
        }
    }

    #[test]
    fn a_challenge_that_does_not_hold_leads_to_the_first_step(scene in scene()) {
        let played = scene.play();
        let over = match &played.facts.challenge {
            Known::Found(opened) => opened.challenge.ends <= NOW,
            Known::Absent(_) => true,
            Known::NotAsked | Known::Failed(_) => return Ok(()),
        };
        if over {
            prop_assert_eq!((played.reason, status(&played)), (Reason::ChallengeExpired, Some(401)));
            prop_assert_eq!(&played.cookies, &[]);
        }
    }
}
