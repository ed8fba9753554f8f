//! The laws of `decide`.

use std::sync::Arc;

use http::Method;
use proptest::prelude::*;
use vestibule::decide::Known;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::explain::explain;
use vestibule::model::cookie::{PresentedCookie, PresentedCookies};
use vestibule::model::credential::CredentialKind;
use vestibule::model::hosted_backend::HostedEndpoint;
use vestibule::model::local_response::{CookieChange, LocalResponse, Redirect};
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, FetchMetadata};
use vestibule::model::rule::Access;
use vestibule::model::token::{Session, TokenError};

use super::arbitrary_facts::principal_with;
use super::arbitrary_scenario::{LISTED, scenario};
use super::scenario::{QuestionKind, Run};

/// The status of an answer of our own.
pub fn status(played: &Run) -> Option<u16> {
    played.response.as_ref().map(|answer| match answer {
        LocalResponse::Redirect(redirect) => redirect.status,
        LocalResponse::AllowedRedirect { .. } => 302,
        LocalResponse::Problem(problem) => problem.status,
        LocalResponse::LoginPage(form) => form.status,
        LocalResponse::StepPage(form) => form.status,
        LocalResponse::ActionRequired(asks) => asks.status,
        LocalResponse::LogoutPage
        | LocalResponse::PreservedPost(_)
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys
        | LocalResponse::Json(_) => 200,
        LocalResponse::NoContent | LocalResponse::Preflight(_) => 204,
    })
}

fn location(played: &Run) -> Option<&str> {
    match &played.response {
        Some(LocalResponse::Redirect(redirect)) => Some(redirect.location.as_str()),
        Some(LocalResponse::AllowedRedirect { to, .. }) => Some(to.as_str()),
        _ => None,
    }
}

fn identity_goes_along(played: &Run) -> bool {
    played
        .forwarded
        .as_ref()
        .is_some_and(|forwarded| forwarded.principal.is_some())
}

fn something_failed(played: &Run) -> bool {
    let facts = &played.facts;
    matches!(facts.token, Known::Failed(_))
        || matches!(facts.session, Known::Failed(_))
        || matches!(facts.refresh, Known::Failed(_))
        || matches!(facts.login_form, Known::Failed(_))
        || matches!(facts.body, Known::Failed(_))
        || matches!(facts.step_form, Known::Failed(_))
        || matches!(facts.code_sent, Known::Failed(_))
        || matches!(facts.login, Known::Failed(_))
}

/// The answers that were definite, each a no.
fn only_definite_noes(played: &Run) -> bool {
    let facts = &played.facts;
    matches!(facts.token, Known::NotAsked | Known::Absent(_))
        && matches!(facts.session, Known::NotAsked | Known::Absent(_))
        && matches!(facts.refresh, Known::NotAsked | Known::Absent(_))
        && matches!(
            facts.login_form,
            Known::NotAsked | Known::Absent(_) | Known::Found(_)
        )
        && matches!(
            facts.body,
            Known::NotAsked | Known::Absent(_) | Known::Found(_)
        )
        && matches!(
            facts.step_form,
            Known::NotAsked | Known::Absent(_) | Known::Found(_)
        )
        && matches!(
            facts.code_sent,
            Known::NotAsked | Known::Absent(_) | Known::Found(_)
        )
        && matches!(facts.login, Known::NotAsked | Known::Absent(_))
}

fn is_revoked(played: &Run) -> bool {
    matches!(played.facts.token, Known::Absent(TokenError::Revoked))
        || matches!(played.facts.session, Known::Absent(TokenError::Revoked))
}

fn clears(played: &Run) -> bool {
    played.cookies.iter().any(|change| match change {
        CookieChange::ClearCredentials | CookieChange::ClearRefresh => true,
        CookieChange::SetTokens(_) | CookieChange::SetDevice(_) => false,
    })
}

/// Whom the visitor's proof stands for in the end.
fn proven(played: &Run) -> Option<Vec<String>> {
    let principal = match (
        &played.facts.token,
        &played.facts.session,
        &played.facts.refresh,
    ) {
        (_, _, Known::Found(renewed)) => &renewed.principal,
        (_, _, Known::Absent(_)) => return None,
        (Known::Found(principal), ..) => principal,
        (_, Known::Found(open), _) => &open.principal,
        _ => return None,
    };
    Some(principal.identity.roles.clone())
}

/// A session whose token has ended and could not be renewed now lives on.
fn lives_on(played: &Run) -> bool {
    matches!(
        (&played.facts.session, &played.facts.refresh),
        (Known::Found(_), Known::Failed(_))
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// That no slot is asked for twice is watched by `Scene::play`.
    #[test]
    fn it_is_settled_after_three_questions_at_most_and_a_step_after_four(scene in scenario()) {
        let played = scene.run();
        // Form, password, and what was written before. A step has a challenge besides, which is
        // opened before the provider hears of anything.
        let most = if scene.step_endpoint().is_some() { 4 } else { 3 };
        prop_assert!(played.questions.len() <= most, "{:?}", played.questions);
        let post = scene.method == Method::POST;
        let in_place = played.questions.iter().all(|asked| match asked {
            QuestionKind::Verify | QuestionKind::LoadSession | QuestionKind::Refresh => true,
            QuestionKind::ReadLoginForm => post && scene.has_path(&scene.site.paths.login),
            QuestionKind::RestorePost => post && (scene.has_path(&scene.site.paths.login) || scene.step_endpoint().is_some()),
            QuestionKind::PreservePost => post && scene.requirement().is_some_and(|(access, _)| access == Access::Required),
            QuestionKind::ReadStepForm => post && scene.step_endpoint().is_some() && scene.api_endpoint().is_none(),
            QuestionKind::OpenChallenge => post && scene.step_endpoint().is_some(),
            QuestionKind::ContinueLogin => post && scene.step_endpoint().is_some_and(|call| call != StepEndpoint::SendCode),
            QuestionKind::SendCode => post && scene.step_endpoint() == Some(StepEndpoint::SendCode),
            QuestionKind::ReadBody => post && scene.api_endpoint().is_some_and(|call| call != "/user"),
            QuestionKind::Login => post && (scene.has_path(&scene.site.paths.login) || scene.api_endpoint() == Some("/login")),
            QuestionKind::CountRedirect => !post,
            QuestionKind::Logout => scene.hosted_endpoint() == Some(HostedEndpoint::Logout) || post && (scene.has_path(&scene.site.paths.logout) || scene.api_endpoint() == Some("/logout")),
        });
        prop_assert!(in_place, "{:?}", played.questions);
    }

    #[test]
    fn an_identity_goes_along_only_when_a_token_or_a_renewal_proved_it(scene in scenario()) {
        let played = scene.run();
        if let Some(principal) = played.forwarded.as_ref().and_then(|forwarded| forwarded.principal.as_ref()) {
            let by_token = matches!(&played.facts.token, Known::Found(proven) if Arc::ptr_eq(proven, principal));
            let by_session = matches!(&played.facts.session, Known::Found(open) if Arc::ptr_eq(&open.principal, principal));
            let by_renewal = matches!(&played.facts.refresh, Known::Found(renewed) if Arc::ptr_eq(&renewed.principal, principal));
            prop_assert_eq!([by_token, by_session, by_renewal].iter().filter(|by| **by).count(), 1);
            prop_assert!(!by_renewal || played.cookies.iter().any(|change| matches!(change, CookieChange::SetTokens(_))));
        }
    }

    #[test]
    fn a_required_path_is_never_forwarded_without_an_identity(scene in scenario()) {
        let played = scene.run();
        if scene.requirement().is_some_and(|(access, _)| access == Access::Required) {
            prop_assert!(played.forwarded.is_none() || identity_goes_along(&played));
        }
    }

    #[test]
    fn a_public_path_asks_nothing_and_tells_nothing(scene in scenario()) {
        let played = scene.run();
        if scene.requirement().is_some_and(|(access, _)| access == Access::Public) {
            prop_assert_eq!(&played.questions, &[]);
            prop_assert_eq!(&played.cookies, &[]);
            prop_assert_eq!(played.reason, Reason::Public);
            prop_assert!(played.forwarded.is_some() && !identity_goes_along(&played));
        }
    }

    #[test]
    fn a_failure_signs_nobody_in_and_nobody_out(scene in scenario()) {
        let played = scene.run();
        if lives_on(&played) {
            prop_assert_eq!(&played.cookies, &[]);
            return Ok(());
        }
        if something_failed(&played) {
            prop_assert!(!identity_goes_along(&played));
            prop_assert_eq!(&played.cookies, &[]);
            prop_assert_eq!(location(&played), None);
        }
        if let Some((Access::Required, _)) = scene.requirement().filter(|_| something_failed(&played)) {
            prop_assert!(played.reason.is_failure() && played.label == "failed");
            prop_assert_eq!(status(&played), Some(played.reason.status()));
        }
    }

    #[test]
    fn a_definite_no_is_never_called_a_failure(scene in scenario()) {
        let played = scene.run();
        if only_definite_noes(&played) {
            prop_assert!(!played.reason.is_failure(), "{}", played.reason.as_str());
            prop_assert!(status(&played).is_none_or(|status| status < 500));
        }
    }

    #[test]
    fn without_one_of_the_roles_nobody_passes(scene in scenario()) {
        let played = scene.run();
        let Some((Access::Required, wanted)) = scene.requirement() else { return Ok(()) };
        let Some(roles) = proven(&played) else { return Ok(()) };
        if !wanted.is_empty() && !wanted.iter().any(|role| roles.contains(role)) {
            prop_assert_eq!(played.reason, Reason::RoleMissing);
            prop_assert_eq!(status(&played), Some(403));
        } else {
            prop_assert_ne!(played.reason, Reason::RoleMissing);
        }
    }

    #[test]
    fn an_optional_path_turns_nobody_away_but_another_sites_write(scene in scenario()) {
        let played = scene.run();
        if scene.requirement().is_some_and(|(access, _)| access == Access::Optional) {
            let refused = [Reason::CrossSiteRequest, Reason::BrowserTokensRefused].contains(&played.reason);
            prop_assert!(played.forwarded.is_some() || refused);
        }
    }

    #[test]
    fn no_other_site_writes_in_a_visitors_name(scene in scenario()) {
        let played = scene.run();
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&scene.method) && !scene.fetch_metadata.is_websocket;
        let by_itself = scene.credential().kind != CredentialKind::Bearer || scene.requirement().is_none();
        if scene.is_cross_site() && !reads && by_itself {
            prop_assert!(!identity_goes_along(&played));
            prop_assert!(!played.questions.iter().any(|asked| matches!(asked, QuestionKind::Login | QuestionKind::ContinueLogin | QuestionKind::SendCode | QuestionKind::Logout)));
        } else if scene.requirement().is_some() {
            prop_assert_ne!(played.reason, Reason::CrossSiteRequest);
        }
    }

    #[test]
    fn tokens_are_set_only_as_they_were_found(scene in scenario()) {
        let played = scene.run();
        for change in &played.cookies {
            let CookieChange::SetTokens(tokens) = change else { continue };
            let renewed = matches!(&played.facts.refresh, Known::Found(renewed) if renewed.tokens == *tokens);
            let signed_in = matches!(&played.facts.login, Known::Found(signed_in) if signed_in.tokens == *tokens);
            prop_assert!(renewed || signed_in);
        }
        // What was issued must reach the visitor, whatever became of the request: the old ones may
        // be spent.
        if matches!(played.facts.refresh, Known::Found(_)) || matches!(played.facts.login, Known::Found(_)) {
            let set = played.cookies.iter().any(|change| matches!(change, CookieChange::SetTokens(_)));
            prop_assert!(set != played.delivers_tokens_in_body());
        }
        // The oracle's sign-ins come without a device.
        prop_assert!(played.cookies.len() <= 1);
    }

    #[test]
    fn credentials_are_cleared_only_for_a_reason(scene in scenario()) {
        let played = scene.run();
        if clears(&played) {
            let led = scene.hosted_endpoint() == Some(HostedEndpoint::Logout) && scene.method == Method::GET;
            let leaves = scene.has_path(&scene.site.paths.logout) || scene.api_endpoint() == Some("/logout");
            let signed_out = led || leaves && scene.method == Method::POST;
            let refused = matches!(played.facts.refresh, Known::Absent(_));
            let revoked = is_revoked(&played);
            let unusable = scene.cookies.refresh.value().is_none() && scene.cookies.has_credential();
            prop_assert!(signed_out || scene.credential().kind != CredentialKind::Bearer);
            prop_assert!(signed_out || refused || revoked || unusable);
            prop_assert!(!identity_goes_along(&played));
        }
    }

    #[test]
    fn a_revoked_token_is_never_renewed(scene in scenario()) {
        let played = scene.run();
        if is_revoked(&played) {
            prop_assert!(!played.questions.contains(&QuestionKind::Refresh));
            prop_assert!(!identity_goes_along(&played));
        }
    }

    #[test]
    fn a_renewal_ahead_is_of_a_token_that_still_holds(scene in scenario()) {
        let played = scene.run();
        let Some(sealed) = played.forwarded.as_ref().and_then(|forwarded| forwarded.early_refresh.as_deref()) else {
            return Ok(());
        };
        let carried = scene.credential();
        prop_assert_eq!(Some(sealed), carried.refresh);
        prop_assert!(matches!((&played.facts.token, &played.facts.session), (Known::Found(_), _) | (_, Known::Found(_))));
        prop_assert!(matches!(played.facts.refresh, Known::NotAsked));
        prop_assert!(carried.kind != CredentialKind::Bearer || !scene.fetch_metadata.is_browser);
    }

    #[test]
    fn no_script_in_a_browser_gets_a_token_in_a_header_or_body(scene in scenario()) {
        let played = scene.run();
        if scene.fetch_metadata.is_browser {
            prop_assert!(!played.delivers_tokens_in_body());
            let cookies = scene.credential().kind != CredentialKind::Bearer;
            prop_assert!(cookies || !played.questions.contains(&QuestionKind::Refresh));
        }
    }

    #[test]
    fn every_redirect_stays_on_the_site(scene in scenario()) {
        let played = scene.run();
        let Some(LocalResponse::Redirect(Redirect { location, .. })) = &played.response else { return Ok(()) };
        let location = location.as_str();
        prop_assert!(location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\"));
        prop_assert!(location.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", location);
        let base = url::Url::parse("https://store.example.com/a/b?c").unwrap();
        let there = base.join(location).unwrap();
        prop_assert_eq!(there.origin(), base.origin());
        if status(&played) == Some(302) {
            prop_assert_eq!(there.path(), &scene.site.paths.login);
            let asked: Vec<_> = there.query_pairs().collect();
            // What a visitor comes back to is the very page they were opening.
            prop_assert!(asked.is_empty() || asked == [("return_to".into(), scene.target.as_str().into())]);
        }
    }

    #[test]
    fn off_the_site_leads_only_the_operators_list(scene in scenario()) {
        let played = scene.run();
        let Some(LocalResponse::AllowedRedirect { to, .. }) = &played.response else { return Ok(()) };
        let to = to.as_str();
        prop_assert!(scene.hosted_endpoint().is_some());
        prop_assert!(to.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", to);
        let listed = LISTED.iter().find_map(|uri| to.strip_prefix(uri));
        prop_assert!(listed.is_some_and(|rest| ["", "?state=s", "&state=s"].contains(&rest)), "{}", to);
        let page = scene.hosted_endpoint();
        if page != Some(HostedEndpoint::Callback) && page != Some(HostedEndpoint::Logout) {
            prop_assert!(proven(&played).is_some(), "nobody is led back who is not signed in");
        }
    }

    #[test]
    fn nobody_is_signed_out_by_another_sites_page(scene in scenario()) {
        let played = scene.run();
        if scene.hosted_endpoint() == Some(HostedEndpoint::Logout) && played.questions.contains(&QuestionKind::Logout) {
            let own = scene.fetch_metadata.fetch_site.is_none_or(|site| ["same-origin", "none"].contains(&site));
            let listed = scene.fetch_metadata.origin == Some("https://sdk.example");
            prop_assert!((own || listed) && scene.method == Method::GET && scene.fetch_metadata.fetch_mode.is_none_or(|mode| mode == "navigate"));
        }
    }

    #[test]
    fn a_script_is_never_sent_to_a_form(scene in scenario()) {
        let played = scene.run();
        let forced = scene.site.match_rule(&scene.method, scene.target().decoded_path()).unauthenticated;
        let script = scene.fetch_metadata.has_requested_with || scene.fetch_metadata.has_authorization
            || scene.fetch_metadata.fetch_mode.is_some_and(|mode| mode != "navigate")
            || ![Method::GET, Method::HEAD].contains(&scene.method);
        let by_the_sdk = scene.hosted_endpoint().is_some();
        if script && !by_the_sdk && forced == vestibule::model::rule::UnauthenticatedAction::Auto {
            prop_assert_ne!(status(&played), Some(302));
        }
    }

    #[test]
    fn a_call_that_changes_something_comes_from_here_or_from_a_listed_page(scene in scenario()) {
        let played = scene.run();
        if scene.api_endpoint().is_some_and(|call| call != "/user") && scene.is_cross_site() {
            prop_assert_eq!(&played.questions, &[]);
        }
    }

    #[test]
    fn a_preflight_is_answered_for_a_listed_page_and_nobody_else(scene in scenario()) {
        let played = scene.run();
        if let Some(LocalResponse::Preflight(_)) = &played.response {
            // The client has pages at the site itself too, in either spelling of its origin.
            let clients = ["https://sdk.example", "https://store.example.com", "https://STORE.example.com:443"];
            let by_the_client = scene.fetch_metadata.origin.is_some_and(|origin| clients.contains(&origin));
            let of_the_client = scene.hosted_endpoint().is_some() && by_the_client;
            prop_assert!(of_the_client || scene.fetch_metadata.origin == Some("https://app.example.com"));
            prop_assert_eq!(&scene.method, &Method::OPTIONS);
            prop_assert!(scene.fetch_metadata.preflight_headers.is_some());
            prop_assert_eq!((&played.questions[..], &played.cookies[..]), (&[][..], &[][..]));
            prop_assert!(scene.requirement().is_none_or(|(access, _)| access == Access::Required));
        }
    }

    #[test]
    fn a_client_is_told_only_what_its_reason_says(scene in scenario()) {
        let played = scene.run();
        if let Some(LocalResponse::Problem(problem)) = &played.response {
            prop_assert_eq!(problem.reason, played.reason);
            let asked_who = scene.api_endpoint() == Some("/user") && problem.reason.status() == 401;
            let renews = scene.hosted_endpoint() == Some(HostedEndpoint::Refresh) && problem.reason.status() == 401;
            let otherwise = if renews { 400 } else { problem.reason.status() };
            prop_assert_eq!(problem.status, if asked_who { 404 } else { otherwise });
            prop_assert!(problem.retry_after.is_some() || problem.status != 503);
            let by_a_program = matches!(scene.hosted_endpoint(), Some(HostedEndpoint::Me | HostedEndpoint::Refresh));
            prop_assert_eq!(problem.for_api_client, by_a_program || scene.api_endpoint().is_some());
            prop_assert_eq!(problem.allow.is_some(), problem.status == 405);
        }
        prop_assert_eq!(played.forwarded.is_some(), played.label == "forwarded");
    }

    /// `explain` and the loop, asked about the same three visitors.
    #[test]
    fn what_is_explained_is_what_is_decided(mut scene in scenario()) {
        scene.bearer = BearerTokens::default();
        scene.fetch_metadata = FetchMetadata { accept: Some("text/html"), fetch_mode: Some("navigate"), ..FetchMetadata::default() };
        let told_by_others = scene.has_path(&scene.site.paths.login) || scene.step_endpoint().is_some() || scene.api_endpoint().is_some() || scene.hosted_endpoint().is_some();
        if told_by_others && scene.method == Method::POST {
            return Ok(());
        }
        let target = scene.target.clone();
        let target = vestibule::model::target::Target::parse(target.as_bytes(), scene.site.encoded_slashes).unwrap();
        // For the first time.
        scene.answers.redirects = Known::Found(1);
        let told = explain(&scene.site, &target, &scene.method, &["editor".to_owned()]);
        for (fate, roles) in [(&told.signed_out, None), (&told.signed_in, Some(&["editor"][..])), (&told.without_role, Some(&[]))] {
            scene.cookies = PresentedCookies::default();
            if let Some(roles) = roles {
                let principal = Arc::new(principal_with(roles, 1, 1000));
                scene.cookies.access = PresentedCookie::Single("access-cookie".into());
                scene.cookies.session = PresentedCookie::Single("session-cookie".into());
                scene.answers.session = Known::Found(Session { principal: Arc::clone(&principal), access: None });
                scene.answers.token = Known::Found(principal);
            }
            let played = scene.run();
            prop_assert_eq!(fate.outcome, played.label);
            prop_assert_eq!(fate.reason, played.reason.as_str());
            prop_assert_eq!(fate.status, status(&played));
            prop_assert_eq!(fate.location.as_deref(), location(&played));
        }
        match scene.requirement() {
            Some((access, _)) => prop_assert_eq!(told.access, access.as_str()),
            None => prop_assert_eq!(told.rule, "own endpoint"),
        }
    }
}
