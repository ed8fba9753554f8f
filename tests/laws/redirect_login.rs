//! Laws of sites whose users log in at the identity provider's own pages.

use http::Method;
use proptest::prelude::*;
use vestibule::decide::{Known, RedirectResult};
use vestibule::model::authorization_response::CallbackParameters;
use vestibule::model::cookie_change::CookieChange;
use vestibule::model::local_response::LocalResponse;
use vestibule::model::reason::Reason;
use vestibule::model::redirect_login::CALLBACK;
use vestibule::model::redirect_result::RedirectRefusal;
use vestibule::model::site::SignIn;

use super::arbitrary_facts::{BEGUN, PROVIDER};
use super::arbitrary_scenario::scenario;
use super::policy::status;
use super::scenario::Scenario;
use super::simulate::{QuestionKind, Run, simulate};

/// A scenario at a site whose users log in by redirect.
fn at_redirect_site() -> impl Strategy<Value = Scenario> {
    scenario().prop_map(|mut scenario| {
        scenario.site.sign_in = SignIn::Redirect;
        scenario.site.basic = false;
        scenario
    })
}

/// The one cookie of the login that the provider's response is for.
fn cookie_of_response(scenario: &Scenario) -> Option<&'static str> {
    let target = scenario.target();
    let callback = target.query().and_then(CallbackParameters::parse)?;
    scenario.cookies.redirect_login(callback.login_id()?)
}

/// Whether the response sets tokens, in cookies or in its body.
fn signs_in(run: &Run) -> bool {
    let sets = |change: &CookieChange| matches!(change, CookieChange::SetTokens(_));
    run.cookies.iter().any(sets) || run.delivers_tokens_in_body()
}

proptest! {
    #![proptest_config(super::scaled(2))]

    #[test]
    fn no_password_is_checked_where_the_provider_logs_users_in(scenario in at_redirect_site()) {
        let run = simulate(&scenario);
        prop_assert!(!run.questions.contains(&QuestionKind::Login), "{:?}", run.questions);
        prop_assert!(!run.questions.contains(&QuestionKind::CheckBasic), "{:?}", run.questions);
    }

    /// Scripts and forms that post a password learn where to log in.
    #[test]
    fn a_posted_password_is_answered_with_409(scenario in at_redirect_site()) {
        let is_form = scenario.has_path(&scenario.site.paths.login);
        let is_call = scenario.api_endpoint() == Some("/login");
        if scenario.method != Method::POST || scenario.is_cross_site() || !(is_form || is_call) {
            return Ok(());
        }
        let run = simulate(&scenario);
        // A form that was posted after the login had expired is carried to the provider and back.
        if run.questions.contains(&QuestionKind::ReadLoginForm) {
            prop_assert!(is_form);
            return Ok(());
        }
        // A form of a listed origin is refused, too.
        if is_form && run.reason == Reason::CrossSiteRequest {
            prop_assert_eq!(&run.questions[..], &[][..]);
            return Ok(());
        }
        prop_assert_eq!((run.reason, status(&run)), (Reason::SignInRedirects, Some(409)));
        let Some(LocalResponse::Problem(problem)) = &run.response else { return Err(TestCaseError::fail("no problem")) };
        let address = format!("https://store.example.com{}", scenario.site.paths.login);
        prop_assert_eq!(problem.sign_in_address.as_deref(), Some(address.as_str()));
        prop_assert_eq!((&run.questions[..], &run.cookies[..]), (&[][..], &[][..]));
    }

    /// The login page leads to the provider, on to where the user wanted to go, or to a problem.
    #[test]
    fn the_login_page_never_shows_a_form(scenario in at_redirect_site()) {
        let run = simulate(&scenario);
        if scenario.method != Method::GET || !scenario.has_path(&scenario.site.paths.login) {
            return Ok(());
        }
        prop_assert_eq!(run.forwarded.is_some(), false);
        match &run.response {
            Some(LocalResponse::ProviderRedirect(redirect)) => {
                prop_assert_eq!((redirect.status, redirect.address.as_str()), (302, PROVIDER));
                let sets = |change: &CookieChange| matches!(change, CookieChange::SetRedirectLogin(login) if login.id == BEGUN);
                prop_assert_eq!(run.cookies.iter().filter(|change| sets(change)).count(), 1);
            }
            Some(LocalResponse::Redirect(redirect)) => prop_assert_eq!(redirect.status, 303),
            Some(LocalResponse::Problem(_)) => prop_assert_ne!(status(&run), Some(200)),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_response_without_the_cookie_of_its_login_signs_nobody_in(scenario in at_redirect_site()) {
        if !scenario.has_path(CALLBACK) || cookie_of_response(&scenario).is_some() {
            return Ok(());
        }
        let run = simulate(&scenario);
        prop_assert!(!run.questions.contains(&QuestionKind::FinishRedirect));
        // A user who is logged in already may get renewed tokens on the way.
        prop_assert!(!signs_in(&run) || matches!(run.facts.refresh, Known::Found(_)));
    }

    #[test]
    fn only_a_finished_login_signs_in_at_the_callback(scenario in at_redirect_site()) {
        if !scenario.has_path(CALLBACK) {
            return Ok(());
        }
        let run = simulate(&scenario);
        let finished = matches!(run.facts.callback.as_deref(), Some(RedirectResult::Finished(_)));
        prop_assert_eq!(signs_in(&run), finished || matches!(run.facts.refresh, Known::Found(_)));
        prop_assert!(run.forwarded.is_none());
    }

    /// A login that the provider refuses, or a response that came before, changes nothing for a
    /// user who is logged in already.
    #[test]
    fn a_refused_login_loses_no_credential(scenario in at_redirect_site()) {
        let run = simulate(&scenario);
        let refused = match run.facts.callback.as_deref() {
            Some(RedirectResult::Refused(refused)) => refused.cause != RedirectRefusal::Unknown,
            Some(RedirectResult::Failed(_)) => true,
            Some(RedirectResult::Finished(_)) | None => return Ok(()),
        };
        let is_own = |change: &CookieChange| matches!(change, CookieChange::ClearRedirectLogin(id) if scenario.target.contains(id.as_str()));
        if refused {
            prop_assert!(run.cookies.len() == 1 && is_own(&run.cookies[0]), "{:?}", run.cookies);
        }
        // The cookie of a login is good for one response.
        prop_assert_eq!(run.cookies.iter().filter(|change| is_own(change)).count(), 1);
    }

    /// What is told at the callback alone decides nothing about any other path.
    #[test]
    fn logins_under_way_grant_nothing(scenario in at_redirect_site()) {
        let run = simulate(&scenario);
        let mut without = scenario.clone();
        without.cookies.redirect_logins.clear();
        let other = simulate(&without);
        if !scenario.has_path(CALLBACK) {
            prop_assert_eq!(run.forwarded.is_some(), other.forwarded.is_some());
            prop_assert_eq!(run.reason, other.reason);
        }
    }
}
