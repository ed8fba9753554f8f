//! Laws of `decide`: who is forwarded, what is asked, and what is answered.

use std::sync::Arc;

use http::{HeaderName, Method};
use proptest::prelude::*;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::explain::{ExplainedRequest, explain};
use vestibule::decide::{Known, RedirectResult};
use vestibule::model::cookie_change::CookieChange;
use vestibule::model::credential::CredentialKind;
use vestibule::model::fusionauth_hosted_backend::HostedEndpoint;
use vestibule::model::local_response::{LocalResponse, Redirect};
use vestibule::model::reason::Reason;
use vestibule::model::redirect_login::CALLBACK;
use vestibule::model::request::{BearerTokens, FetchMetadata};
use vestibule::model::request_cookies::{PresentedCookie, PresentedCookies};
use vestibule::model::rule::{Access, RuleClient};
use vestibule::model::service_token::{ServiceToken, ServiceTokenHash, ServiceTokens};
use vestibule::model::site::SignIn;
use vestibule::model::token::{IssuedTokens, Session, TokenError};

use super::arbitrary_facts::principal_with;
use super::arbitrary_scenario::{LISTED, scenario};
use super::simulate::{QuestionKind, Run, simulate};

/// The status of the gateway's response.
pub fn status(run: &Run) -> Option<u16> {
    run.response.as_ref().map(|answer| match answer {
        LocalResponse::Redirect(redirect) => redirect.status,
        LocalResponse::ProviderRedirect(redirect) => redirect.status,
        LocalResponse::AllowedRedirect { .. } | LocalResponse::LinkedPage(_) => 302,
        LocalResponse::Problem(problem) => problem.status,
        LocalResponse::LoginPage(form) => form.status,
        LocalResponse::StepPage(form) => form.status,
        LocalResponse::HttpsRedirect(_) => 308,
        LocalResponse::PrefetchRefused => 503,
        LocalResponse::Hook(answer) => answer.status,
        LocalResponse::LogoutPage
        | LocalResponse::SignedOutPage
        | LocalResponse::HealthCheck(_)
        | LocalResponse::AcmeChallenge(_)
        | LocalResponse::PreservedPost(_)
        | LocalResponse::Asset(_)
        | LocalResponse::AssertionKeys
        | LocalResponse::Allowed
        | LocalResponse::Json(_) => 200,
        LocalResponse::NoContent | LocalResponse::Preflight(_) => 204,
    })
}

fn location(run: &Run) -> Option<&str> {
    match &run.response {
        Some(LocalResponse::Redirect(redirect)) => Some(redirect.location.as_str()),
        Some(LocalResponse::AllowedRedirect { to, .. }) => Some(to.as_str()),
        _ => None,
    }
}

fn forwards_identity(run: &Run) -> bool {
    run.forwarded
        .as_ref()
        .is_some_and(|forwarded| forwarded.principal.is_some())
}

fn something_failed(run: &Run) -> bool {
    let facts = &run.facts;
    matches!(facts.token, Known::Failed(_))
        || matches!(facts.session, Known::Failed(_))
        || matches!(facts.refresh, Known::Failed(_))
        || matches!(facts.basic, Known::Failed(_))
        || matches!(facts.login_form, Known::Failed(_))
        || matches!(facts.body, Known::Failed(_))
        || matches!(facts.step_form, Known::Failed(_))
        || matches!(facts.code_sent, Known::Failed(_))
        || matches!(facts.login, Known::Failed(_))
        || matches!(facts.redirect, Known::Failed(_))
        || matches!(facts.callback.as_deref(), Some(RedirectResult::Failed(_)))
}

/// The changes but those to the cookies of logins that are under way, which are no credentials.
fn credential_changes(run: &Run) -> Vec<&CookieChange> {
    let is_login = |change: &CookieChange| {
        matches!(
            change,
            CookieChange::SetRedirectLogin(_) | CookieChange::ClearRedirectLogin(_)
        )
    };
    let changes = run.cookies.iter();
    changes.filter(|change| !is_login(change)).collect()
}

/// The tokens of a login by redirect.
fn finished_tokens(run: &Run) -> Option<&IssuedTokens> {
    match run.facts.callback.as_deref() {
        Some(RedirectResult::Finished(finished)) => Some(&finished.login.tokens),
        Some(RedirectResult::Refused(_) | RedirectResult::Failed(_)) | None => None,
    }
}

/// Whether every answer was a definite no. That a key is unknown is none: it may be a new one.
fn only_definite_noes(run: &Run) -> bool {
    let facts = &run.facts;
    let is_unknown_key = matches!(facts.token, Known::Absent(TokenError::UnknownKey))
        || matches!(facts.session, Known::Absent(TokenError::UnknownKey));
    !is_unknown_key
        && matches!(facts.token, Known::NotAsked | Known::Absent(_))
        && matches!(facts.session, Known::NotAsked | Known::Absent(_))
        && matches!(facts.refresh, Known::NotAsked | Known::Absent(_))
        && matches!(facts.basic, Known::NotAsked | Known::Absent(_))
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
        && matches!(facts.redirect, Known::NotAsked | Known::Absent(_))
        && matches!(
            facts.callback.as_deref(),
            None | Some(RedirectResult::Refused(_))
        )
}

fn is_revoked(run: &Run) -> bool {
    matches!(run.facts.token, Known::Absent(TokenError::Revoked))
        || matches!(run.facts.session, Known::Absent(TokenError::Revoked))
}

fn clears(run: &Run) -> bool {
    run.cookies.iter().any(|change| match change {
        CookieChange::ClearCredentials | CookieChange::ClearRefresh => true,
        CookieChange::SetTokens(_)
        | CookieChange::SetDevice(_)
        | CookieChange::SetOwner(_)
        | CookieChange::ClearOwner
        | CookieChange::SetRedirectLogin(_)
        | CookieChange::ClearRedirectLogin(_)
        | CookieChange::ExpireApplication(_) => false,
    })
}

/// The roles of the user that the credentials prove.
fn proven_roles(run: &Run) -> Option<Vec<String>> {
    if let Known::Found(login) = &run.facts.basic {
        return Some(login.principal.identity.roles.clone());
    }
    let principal = match (&run.facts.token, &run.facts.session, &run.facts.refresh) {
        (_, _, Known::Found(renewed)) => &renewed.principal,
        (_, _, Known::Absent(_)) => return None,
        (Known::Found(principal), ..) => principal,
        (_, Known::Found(open), _) => &open.principal,
        _ => return None,
    };
    Some(principal.identity.roles.clone())
}

/// Whether a session stays valid although its expired token could not be refreshed.
fn session_stays_valid(run: &Run) -> bool {
    matches!(
        (&run.facts.session, &run.facts.refresh),
        (Known::Found(_), Known::Failed(_))
    )
}

const SERVICE_TOKEN: &str = "vst_ci";

fn service_tokens() -> ServiceTokens {
    let token = ServiceToken {
        principal: Arc::new(principal_with(&[], 1, 1000)),
        rules: Vec::new(),
    };
    ServiceTokens {
        header: Some(HeaderName::from_static("x-api-key")),
        by_hash: [(ServiceTokenHash::of(SERVICE_TOKEN), token)].into(),
    }
}

proptest! {
    #![proptest_config(super::scaled(2))]

    /// `simulate` checks that no question is asked twice.
    #[test]
    fn a_request_takes_at_most_three_questions_and_a_step_four(scenario in scenario()) {
        let run = simulate(&scenario);
        // Form, password and preserved post. A step has a challenge besides, which is opened before
        // the provider is asked.
        let most = if scenario.step_endpoint().is_some() { 4 } else { 3 };
        prop_assert!(run.questions.len() <= most, "{:?}", run.questions);
        let post = scenario.method == Method::POST;
        let in_place = run.questions.iter().all(|asked| match asked {
            QuestionKind::Verify | QuestionKind::LoadSession | QuestionKind::Refresh => true,
            QuestionKind::CheckBasic => scenario.requirement().is_some_and(|(access, _)| access != Access::Public),
            QuestionKind::ReadLoginForm => post && scenario.has_path(&scenario.site.paths.login),
            QuestionKind::RestorePost => scenario.has_path(CALLBACK) || post && (scenario.has_path(&scenario.site.paths.login) || scenario.step_endpoint().is_some()),
            QuestionKind::PreservePost => post && scenario.requirement().is_some_and(|(access, _)| access == Access::Required),
            QuestionKind::ReadStepForm => post && scenario.step_endpoint().is_some() && scenario.api_endpoint().is_none(),
            QuestionKind::OpenChallenge => post && scenario.step_endpoint().is_some(),
            QuestionKind::ContinueLogin => post && scenario.step_endpoint().is_some_and(|call| call != StepEndpoint::SendCode),
            QuestionKind::SendCode => post && scenario.step_endpoint() == Some(StepEndpoint::SendCode),
            QuestionKind::ReadBody => post && scenario.api_endpoint().is_some_and(|call| call != "/user"),
            QuestionKind::Login => post && (scenario.has_path(&scenario.site.paths.login) || scenario.api_endpoint() == Some("/login")),
            QuestionKind::BeginRedirect => scenario.site.sign_in == SignIn::Redirect && scenario.has_path(&scenario.site.paths.login),
            QuestionKind::FinishRedirect => !post && scenario.has_path(CALLBACK),
            QuestionKind::CountRedirect => !post,
            QuestionKind::Logout => scenario.hosted_endpoint() == Some(HostedEndpoint::Logout) || post && (scenario.has_path(&scenario.site.paths.logout) || scenario.api_endpoint() == Some("/logout")),
        });
        prop_assert!(in_place, "{:?}", run.questions);
    }

    #[test]
    fn an_identity_is_forwarded_only_where_a_token_session_or_refresh_proved_it(scenario in scenario()) {
        let run = simulate(&scenario);
        if let Some(principal) = run.forwarded.as_ref().and_then(|forwarded| forwarded.principal.as_ref()) {
            let by_token = matches!(&run.facts.token, Known::Found(proven) if Arc::ptr_eq(proven, principal));
            let by_session = matches!(&run.facts.session, Known::Found(open) if Arc::ptr_eq(&open.principal, principal));
            let by_renewal = matches!(&run.facts.refresh, Known::Found(renewed) if Arc::ptr_eq(&renewed.principal, principal));
            let by_basic = matches!(&run.facts.basic, Known::Found(login) if Arc::ptr_eq(&login.principal, principal));
            prop_assert_eq!([by_token, by_session, by_renewal, by_basic].iter().filter(|by| **by).count(), 1);
            prop_assert!(!by_renewal || run.cookies.iter().any(|change| matches!(change, CookieChange::SetTokens(_))));
        }
    }

    #[test]
    fn a_required_path_is_never_forwarded_without_an_identity(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.requirement().is_some_and(|(access, _)| access == Access::Required) {
            prop_assert!(run.forwarded.is_none() || forwards_identity(&run));
        }
    }

    #[test]
    fn a_public_path_asks_nothing_and_forwards_no_identity(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.requirement().is_some_and(|(access, _)| access == Access::Public) {
            prop_assert_eq!(&run.questions, &[]);
            prop_assert_eq!(&run.cookies, &[]);
            prop_assert_eq!(run.reason, Reason::Public);
            prop_assert!(run.forwarded.is_some() && !forwards_identity(&run));
        }
    }

    #[test]
    fn a_failure_logs_nobody_in_and_nobody_out(scenario in scenario()) {
        let run = simulate(&scenario);
        if session_stays_valid(&run) {
            prop_assert_eq!(credential_changes(&run).len(), 0);
            return Ok(());
        }
        if something_failed(&run) {
            prop_assert!(!forwards_identity(&run));
            prop_assert_eq!(credential_changes(&run).len(), 0);
            // The login page itself tells what the provider's failure means there.
            let by_login_page = scenario.site.sign_in == SignIn::Redirect && scenario.hosted_endpoint().is_some();
            prop_assert!(location(&run).is_none() || by_login_page);
        }
        if let Some((Access::Required, _)) = scenario.requirement().filter(|_| something_failed(&run)) {
            prop_assert!(run.reason.is_failure() && run.label == "failed");
            prop_assert_eq!(status(&run), Some(run.reason.status()));
        }
    }

    #[test]
    fn a_definite_no_is_never_reported_as_a_failure(scenario in scenario()) {
        let run = simulate(&scenario);
        if only_definite_noes(&run) {
            prop_assert!(!run.reason.is_failure(), "{}", run.reason.as_str());
            prop_assert!(status(&run).is_none_or(|status| status < 500));
        }
    }

    #[test]
    fn a_user_without_one_of_the_roles_is_refused(scenario in scenario()) {
        let run = simulate(&scenario);
        let Some((Access::Required, wanted)) = scenario.requirement() else { return Ok(()) };
        let Some(roles) = proven_roles(&run) else { return Ok(()) };
        if !wanted.is_empty() && !wanted.iter().any(|role| roles.contains(role)) {
            prop_assert_eq!(run.reason, Reason::RoleMissing);
            prop_assert_eq!(status(&run), Some(403));
        } else {
            prop_assert_ne!(run.reason, Reason::RoleMissing);
        }
    }

    #[test]
    fn an_optional_path_refuses_only_cross_site_writes_and_wrong_passwords(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.requirement().is_some_and(|(access, _)| access == Access::Optional) {
            let refused = [Reason::CrossSiteRequest, Reason::BrowserTokensRefused].contains(&run.reason);
            let wrong_password = matches!(run.facts.basic, Known::Absent(_));
            prop_assert!(run.forwarded.is_some() || refused || wrong_password);
        }
    }

    #[test]
    fn no_other_site_writes_with_a_users_cookies(scenario in scenario()) {
        let run = simulate(&scenario);
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&scenario.method) && !scenario.fetch_metadata.is_websocket;
        let by_itself = scenario.credential().kind != CredentialKind::Bearer || scenario.requirement().is_none();
        if scenario.is_cross_site() && !reads && by_itself {
            prop_assert!(!forwards_identity(&run));
            prop_assert!(!run.questions.iter().any(|asked| matches!(asked, QuestionKind::Login | QuestionKind::ContinueLogin | QuestionKind::SendCode | QuestionKind::Logout)));
        } else if scenario.requirement().is_some() {
            prop_assert_ne!(run.reason, Reason::CrossSiteRequest);
        }
    }

    #[test]
    fn tokens_are_set_only_as_they_were_issued(scenario in scenario()) {
        let run = simulate(&scenario);
        for change in &run.cookies {
            let CookieChange::SetTokens(tokens) = change else { continue };
            let renewed = matches!(&run.facts.refresh, Known::Found(renewed) if renewed.tokens == *tokens);
            let signed_in = matches!(&run.facts.login, Known::Found(signed_in) if signed_in.tokens == *tokens);
            prop_assert!(renewed || signed_in || finished_tokens(&run) == Some(tokens));
        }
        // Issued tokens must reach the client whatever the outcome: the old ones may be spent.
        if matches!(run.facts.refresh, Known::Found(_)) || matches!(run.facts.login, Known::Found(_)) || finished_tokens(&run).is_some() {
            let set = run.cookies.iter().any(|change| matches!(change, CookieChange::SetTokens(_)));
            prop_assert!(set != run.delivers_tokens_in_body());
        }
        // The arbitrary logins have no device.
        prop_assert!(credential_changes(&run).len() <= 1);
    }

    #[test]
    fn credentials_are_cleared_only_for_a_logout_or_a_refusal(scenario in scenario()) {
        let run = simulate(&scenario);
        if clears(&run) {
            let led = scenario.hosted_endpoint() == Some(HostedEndpoint::Logout) && scenario.method == Method::GET;
            let leaves = scenario.has_path(&scenario.site.paths.logout) || scenario.api_endpoint() == Some("/logout");
            let signed_out = led || leaves && scenario.method == Method::POST;
            let refused = matches!(run.facts.refresh, Known::Absent(_));
            let revoked = is_revoked(&run);
            let unusable = scenario.cookies.refresh.value().is_none() && scenario.cookies.has_credential();
            prop_assert!(signed_out || scenario.credential().kind != CredentialKind::Bearer);
            prop_assert!(signed_out || refused || revoked || unusable);
            prop_assert!(!forwards_identity(&run));
        }
    }

    #[test]
    fn a_revoked_token_is_never_refreshed(scenario in scenario()) {
        let run = simulate(&scenario);
        if is_revoked(&run) {
            prop_assert!(!run.questions.contains(&QuestionKind::Refresh));
            prop_assert!(!forwards_identity(&run));
        }
    }

    #[test]
    fn an_early_refresh_is_of_a_token_that_is_still_valid(scenario in scenario()) {
        let run = simulate(&scenario);
        let Some(sealed) = run.forwarded.as_ref().and_then(|forwarded| forwarded.early_refresh.as_deref()) else {
            return Ok(());
        };
        let carried = scenario.credential();
        prop_assert_eq!(Some(sealed), carried.refresh);
        prop_assert!(matches!((&run.facts.token, &run.facts.session), (Known::Found(_), _) | (_, Known::Found(_))));
        prop_assert!(matches!(run.facts.refresh, Known::NotAsked));
        prop_assert!(carried.kind != CredentialKind::Bearer || !scenario.fetch_metadata.is_browser);
    }

    #[test]
    fn no_browser_gets_a_token_in_a_header_or_body(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.fetch_metadata.is_browser {
            prop_assert!(!run.delivers_tokens_in_body());
            let cookies = scenario.credential().kind != CredentialKind::Bearer;
            prop_assert!(cookies || !run.questions.contains(&QuestionKind::Refresh));
        }
    }

    #[test]
    fn every_redirect_stays_on_the_site(scenario in scenario()) {
        let run = simulate(&scenario);
        let Some(LocalResponse::Redirect(Redirect { location, .. })) = &run.response else { return Ok(()) };
        let location = location.as_str();
        prop_assert!(location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\"));
        prop_assert!(location.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", location);
        let base = url::Url::parse("https://store.example.com/a/b?c").unwrap();
        let there = base.join(location).unwrap();
        prop_assert_eq!(there.origin(), base.origin());
        if status(&run) == Some(302) {
            prop_assert_eq!(there.path(), &scenario.site.paths.login);
            let asked: Vec<_> = there.query_pairs().collect();
            // A user returns to the page that they were opening, in the spelling that browsers write.
            let opened = scenario.target.replace('"', "%22");
            prop_assert!(asked.is_empty() || asked == [("return_to".into(), opened.into())], "{:?}", asked);
        }
    }

    #[test]
    fn only_listed_addresses_lead_off_the_site(scenario in scenario()) {
        let run = simulate(&scenario);
        let Some(LocalResponse::AllowedRedirect { to, .. }) = &run.response else { return Ok(()) };
        let to = to.as_str();
        prop_assert!(scenario.hosted_endpoint().is_some());
        prop_assert!(to.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", to);
        let listed = LISTED.iter().find_map(|uri| to.strip_prefix(uri));
        prop_assert!(listed.is_some_and(|rest| ["", "?state=s", "&state=s"].contains(&rest)), "{}", to);
        let page = scenario.hosted_endpoint();
        if page != Some(HostedEndpoint::Callback) && page != Some(HostedEndpoint::Logout) {
            prop_assert!(proven_roles(&run).is_some(), "only an authenticated user returns to the client");
        }
    }

    #[test]
    fn no_page_of_another_site_logs_a_user_out(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.hosted_endpoint() == Some(HostedEndpoint::Logout) && run.questions.contains(&QuestionKind::Logout) {
            let own = scenario.fetch_metadata.fetch_site.is_none_or(|site| ["same-origin", "none"].contains(&site));
            let listed = scenario.fetch_metadata.origin == Some("https://sdk.example");
            prop_assert!((own || listed) && scenario.method == Method::GET && scenario.fetch_metadata.fetch_mode.is_none_or(|mode| mode == "navigate"));
        }
    }

    #[test]
    fn a_script_is_never_redirected_to_the_login_page(scenario in scenario()) {
        let run = simulate(&scenario);
        let forced = scenario.site.match_rule(&scenario.method, scenario.target().decoded_path(), RuleClient::default()).unauthenticated;
        let metadata = &scenario.fetch_metadata;
        let program = metadata.has_authorization && metadata.fetch_mode.is_none();
        let script = metadata.has_requested_with || program
            || scenario.fetch_metadata.fetch_mode.is_some_and(|mode| mode != "navigate")
            || ![Method::GET, Method::HEAD].contains(&scenario.method);
        // The login page, which a script asks for itself, may lead to the provider.
        let is_login = matches!(run.response, Some(LocalResponse::ProviderRedirect(_)));
        let by_the_sdk = scenario.hosted_endpoint().is_some() || is_login;
        if script && !by_the_sdk && forced == vestibule::model::rule::UnauthenticatedAction::Auto {
            prop_assert_ne!(status(&run), Some(302));
        }
    }

    #[test]
    fn a_call_that_changes_something_comes_from_an_own_or_listed_page(scenario in scenario()) {
        let run = simulate(&scenario);
        if scenario.api_endpoint().is_some_and(|call| call != "/user") && scenario.is_cross_site() {
            prop_assert_eq!(&run.questions, &[]);
        }
    }

    #[test]
    fn a_preflight_is_answered_for_a_listed_origin_only(scenario in scenario()) {
        let run = simulate(&scenario);
        if let Some(LocalResponse::Preflight(_)) = &run.response {
            // The client has pages at the site itself too, in both spellings of its origin.
            let clients = ["https://sdk.example", "https://store.example.com", "https://STORE.example.com:443"];
            let by_the_client = scenario.fetch_metadata.origin.is_some_and(|origin| clients.contains(&origin));
            let of_the_client = scenario.hosted_endpoint().is_some() && by_the_client;
            prop_assert!(of_the_client || scenario.fetch_metadata.origin == Some("https://app.example.com"));
            prop_assert_eq!(&scenario.method, &Method::OPTIONS);
            prop_assert!(scenario.fetch_metadata.preflight_headers.is_some());
            prop_assert_eq!((&run.questions[..], &run.cookies[..]), (&[][..], &[][..]));
            prop_assert!(scenario.requirement().is_none_or(|(access, _)| access == Access::Required));
        }
    }

    /// Basic credentials that the gateway takes reach no application, whatever comes of them, and
    /// wrong ones lead nowhere. Those of a browser are never checked.
    #[test]
    fn basic_credentials_are_checked_or_forwarded_and_never_both(mut scenario in scenario(), with_service_token in any::<bool>()) {
        if with_service_token && scenario.requirement().is_some() {
            scenario.site.service_tokens = service_tokens();
            scenario.bearer.service = Some(SERVICE_TOKEN);
            // A program's: what a browser sends is the application's.
            scenario.cookies = PresentedCookies::default();
            scenario.fetch_metadata.is_browser = false;
        }
        let run = simulate(&scenario);
        let by_browser = scenario.fetch_metadata.is_browser || scenario.cookies.has_any();
        let taken = scenario.basic.is_some() && scenario.site.basic && !by_browser;
        let asked = run.questions.contains(&QuestionKind::CheckBasic);
        prop_assert!(taken || !asked);
        if let Some(forwarded) = &run.forwarded {
            if scenario.basic.is_some() {
                prop_assert_eq!(forwarded.used_authorization, taken);
            }
            prop_assert!(!matches!(run.facts.basic, Known::Absent(_)));
        }
        if asked {
            prop_assert_eq!(&run.cookies[..], &[]);
            prop_assert_ne!(status(&run), Some(302));
        }
    }

    /// No browser is asked for Basic credentials: it would open a dialog.
    #[test]
    fn no_browser_is_asked_for_basic_credentials(scenario in scenario()) {
        let run = simulate(&scenario);
        if let Some(LocalResponse::Problem(problem)) = &run.response
            && problem.www_authenticate.as_deref().is_some_and(|challenge| challenge.starts_with("Basic"))
        {
            prop_assert!(scenario.site.basic && problem.status == 401);
            prop_assert!(!scenario.fetch_metadata.is_browser && !scenario.cookies.has_any());
        }
    }

    /// A prefetch is looked at only: it sets no cookie but those of a refresh, and ends nothing.
    #[test]
    fn a_prefetch_changes_nothing(mut scenario in scenario()) {
        scenario.fetch_metadata.is_prefetch = true;
        let run = simulate(&scenario);
        prop_assert!(run.cookies.iter().all(|change| matches!(change, CookieChange::SetTokens(_))));
        for effect in [QuestionKind::CountRedirect, QuestionKind::PreservePost, QuestionKind::Logout, QuestionKind::Login, QuestionKind::FinishRedirect, QuestionKind::ContinueLogin, QuestionKind::SendCode] {
            prop_assert!(!run.questions.contains(&effect), "{:?}", effect);
        }
        let is_form = matches!(run.response, Some(LocalResponse::LoginPage(_) | LocalResponse::StepPage(_)));
        prop_assert!(!is_form || scenario.cookies.form.value().is_some());
    }

    #[test]
    fn a_problem_matches_its_reason(scenario in scenario()) {
        let run = simulate(&scenario);
        if let Some(LocalResponse::Problem(problem)) = &run.response {
            prop_assert_eq!(problem.reason, run.reason);
            let asked_who = scenario.api_endpoint() == Some("/user") && problem.reason.status() == 401;
            let renews = scenario.hosted_endpoint() == Some(HostedEndpoint::Refresh) && problem.reason.status() == 401;
            let otherwise = if renews { 400 } else { problem.reason.status() };
            // A path beneath the gateway's own prefix that is no endpoint.
            let is_unknown = problem.reason == Reason::OwnEndpoint;
            prop_assert_eq!(problem.status, if asked_who || is_unknown { 404 } else { otherwise });
            prop_assert!(problem.retry_after.is_some() || problem.status != 503);
            let by_a_program = matches!(scenario.hosted_endpoint(), Some(HostedEndpoint::Me | HostedEndpoint::Refresh));
            prop_assert_eq!(problem.for_api_client, by_a_program || scenario.api_endpoint().is_some());
            prop_assert_eq!(problem.allow.is_some(), problem.status == 405);
        }
        prop_assert_eq!(run.forwarded.is_some(), run.label == "forwarded");
    }

    /// `explain` and `simulate`, for the same three clients.
    #[test]
    fn explain_agrees_with_decide(mut scenario in scenario()) {
        scenario.bearer = BearerTokens::default();
        scenario.basic = None;
        scenario.fetch_metadata = FetchMetadata { accept: Some("text/html"), fetch_mode: Some("navigate"), fetch_site: Some("same-origin"), ..FetchMetadata::default() };
        scenario.answers.preserved_post = Known::Found("explained".into());
        let depends_on_the_provider = scenario.has_path(&scenario.site.paths.login) || scenario.step_endpoint().is_some() || scenario.api_endpoint().is_some() || scenario.hosted_endpoint().is_some();
        if depends_on_the_provider && scenario.method == Method::POST {
            return Ok(());
        }
        let target = scenario.target.clone();
        let target = vestibule::model::target::Target::parse(target.as_bytes(), scenario.site.encoded_slashes).unwrap();
        // The first redirect, which is no loop.
        scenario.answers.redirects = Known::Found(1);
        let explanation = explain(
            &scenario.site,
            &ExplainedRequest { method: &scenario.method, target: &target, client: RuleClient::default() },
            &["editor".to_owned()],
        );
        for (outcome, roles) in [(&explanation.signed_out, None), (&explanation.signed_in, Some(&["editor"][..])), (&explanation.without_role, Some(&[]))] {
            scenario.cookies = PresentedCookies::default();
            if let Some(roles) = roles {
                let principal = Arc::new(principal_with(roles, 1, 1000));
                scenario.cookies.access = PresentedCookie::Single("access-cookie".into());
                scenario.cookies.session = PresentedCookie::Single("session-cookie".into());
                scenario.answers.session = Known::Found(Session { principal: Arc::clone(&principal), access: None });
                scenario.answers.token = Known::Found(principal);
            }
            let run = simulate(&scenario);
            if run.questions.contains(&QuestionKind::BeginRedirect) || matches!(run.response, Some(LocalResponse::Asset(_))) {
                // Only the provider tells where a login begins, and only the pages which files they have.
                prop_assert_eq!((outcome.outcome, outcome.status), ("answered", None));
                continue;
            }
            prop_assert_eq!(outcome.outcome, run.label);
            prop_assert_eq!(outcome.reason, run.reason.as_str());
            prop_assert_eq!(outcome.status, status(&run));
            prop_assert_eq!(outcome.location.as_deref(), location(&run));
        }
        match scenario.requirement() {
            Some((access, _)) => prop_assert_eq!(explanation.access, access.as_str()),
            None => prop_assert_eq!(explanation.rule, "own endpoint"),
        }
    }
}
