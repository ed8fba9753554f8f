//! Runs a scenario: asks `decide`, answers its questions, and checks that each question is asked
//! with the right arguments and only once.

use std::sync::Arc;

use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::{Decision, Facts, Known, Outcome, Question, RedirectResult, decide};
use vestibule::model::api_request::TokenDelivery;
use vestibule::model::api_response::ApiResponse;
use vestibule::model::challenge::OpenedChallenge;
use vestibule::model::cookie_change::CookieChange;
use vestibule::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use vestibule::model::local_response::LocalResponse;
use vestibule::model::login::LoginRefused;
use vestibule::model::reason::Reason;
use vestibule::model::request::RequestView;
use vestibule::model::request_cookies::PresentedRedirectLogin;
use vestibule::model::rule::RuleClient;
use vestibule::model::secret::Secret;
use vestibule::model::site::SignIn;
use vestibule::model::token::{CompletedLogin, Principal};

use super::scenario::{NOW, Scenario};

/// The questions, by the slot of [`Facts`] that they fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    Verify,
    LoadSession,
    Refresh,
    CheckBasic,
    ReadLoginForm,
    PreservePost,
    RestorePost,
    ReadBody,
    Login,
    BeginRedirect,
    FinishRedirect,
    ReadStepForm,
    OpenChallenge,
    ContinueLogin,
    SendCode,
    CountRedirect,
    Logout,
}

/// What a scenario led to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The questions, in order.
    pub questions: Vec<QuestionKind>,
    /// What was known at the end.
    pub facts: Facts,
    pub forwarded: Option<Forwarded>,
    pub response: Option<LocalResponse>,
    pub cookies: Vec<CookieChange>,
    pub reason: Reason,
    pub label: &'static str,
}

/// The content of a grant.
#[derive(Clone, Debug)]
pub struct Forwarded {
    pub principal: Option<Arc<Principal>>,
    pub early_refresh: Option<String>,
    pub used_authorization: bool,
}

impl Run {
    /// Whether the response has tokens in its body.
    pub fn delivers_tokens_in_body(&self) -> bool {
        match &self.response {
            Some(LocalResponse::Json(ApiResponse::Tokens(_))) => true,
            Some(LocalResponse::Json(ApiResponse::Login(user))) => user.tokens.is_some(),
            _ => false,
        }
    }
}

/// Asks and answers until the scenario is settled. Panics where a question is asked twice.
pub fn simulate(scenario: &Scenario) -> Run {
    let target = scenario.target();
    let request = RequestView {
        method: &scenario.method,
        target: &target,
        cookies: &scenario.cookies,
        client: RuleClient::default(),
        bearer: scenario.bearer,
        basic: scenario.basic,
        fetch_metadata: scenario.fetch_metadata,
    };
    let mut facts = Facts::default();
    let mut questions = Vec::new();
    let verdict = loop {
        match decide(&request, &scenario.site, &facts, NOW) {
            Decision::Needs(question) => questions.push(answer(scenario, &question, &mut facts)),
            Decision::Settled(verdict) => break verdict,
        }
    };
    let label = verdict.label().as_str();
    let (forwarded, response) = match verdict.outcome {
        Outcome::Forward(grant) => {
            let forwarded = Forwarded {
                principal: grant.principal().cloned(),
                early_refresh: grant
                    .early_refresh()
                    .map(|refresh| refresh.refresh.to_owned()),
                used_authorization: grant.used_authorization(),
            };
            (Some(forwarded), None)
        }
        Outcome::Reply(response) => (None, Some(response)),
    };
    Run {
        questions,
        facts,
        forwarded,
        response,
        cookies: verdict.cookies,
        reason: verdict.reason,
        label,
    }
}

/// Checks the arguments of a question and fills its slot.
#[expect(clippy::too_many_lines, reason = "one arm for each question")]
fn answer(scenario: &Scenario, question: &Question<'_>, facts: &mut Facts) -> QuestionKind {
    check(scenario, question, facts);
    let answers = &scenario.answers;
    match question {
        Question::Verify(_) => fill(&mut facts.token, &answers.token, QuestionKind::Verify),
        Question::LoadSession(_) => fill(
            &mut facts.session,
            &answers.session,
            QuestionKind::LoadSession,
        ),
        Question::Refresh(_) | Question::RefreshFromBody(_) => {
            fill(&mut facts.refresh, &answers.refresh, QuestionKind::Refresh)
        }
        Question::CheckBasic(_) => fill(&mut facts.basic, &answers.basic, QuestionKind::CheckBasic),
        Question::ReadLoginForm(_) => fill(
            &mut facts.login_form,
            &answers.login_form,
            QuestionKind::ReadLoginForm,
        ),
        Question::PreservePost { .. } => fill(
            &mut facts.preserved_post,
            &answers.preserved_post,
            QuestionKind::PreservePost,
        ),
        Question::RestorePost { .. } => fill(
            &mut facts.restored_post,
            &answers.restored_post,
            QuestionKind::RestorePost,
        ),
        Question::ReadBody => fill(&mut facts.body, &answers.body, QuestionKind::ReadBody),
        Question::Login { kind, .. } => fill(
            &mut facts.login,
            &with_kind(&answers.login, *kind),
            QuestionKind::Login,
        ),
        Question::BeginRedirect { .. } => fill(
            &mut facts.redirect,
            &answers.redirect,
            QuestionKind::BeginRedirect,
        ),
        Question::FinishRedirect { kind, .. } => {
            assert!(facts.callback.is_none(), "the callback was asked twice");
            let answer = answers.callback.as_deref().expect("an answer");
            facts.callback = Some(Arc::new(finished_with_kind(answer, *kind)));
            QuestionKind::FinishRedirect
        }
        Question::ContinueLogin { kind, .. } => fill(
            &mut facts.login,
            &with_kind(&answers.login, *kind),
            QuestionKind::ContinueLogin,
        ),
        Question::ReadStepForm(_) => fill(
            &mut facts.step_form,
            &answers.step_form,
            QuestionKind::ReadStepForm,
        ),
        Question::OpenChallenge { .. } => fill(
            &mut facts.challenge,
            &answers.challenge,
            QuestionKind::OpenChallenge,
        ),
        Question::SendCode { .. } => fill(
            &mut facts.code_sent,
            &answers.code_sent,
            QuestionKind::SendCode,
        ),
        Question::CountRedirect { .. } => fill(
            &mut facts.redirects,
            &answers.redirects,
            QuestionKind::CountRedirect,
        ),
        Question::ReceiveHook(_) => panic!("no site of these laws takes hooks"),
        Question::Logout(_) | Question::LogoutBasic(_) | Question::LogoutFromBody { .. } => {
            fill(&mut facts.logout, &answers.logout, QuestionKind::Logout)
        }
    }
}

/// Fills a slot that is empty.
fn fill<T: Clone, No: Clone>(
    slot: &mut Known<T, No>,
    answer: &Known<T, No>,
    kind: QuestionKind,
) -> QuestionKind {
    assert!(matches!(slot, Known::NotAsked), "{kind:?} was asked twice");
    *slot = answer.clone();
    kind
}

/// The answer to a login, with tokens of the kind that was asked for.
fn with_kind(
    answer: &Known<CompletedLogin, LoginRefused>,
    kind: CredentialKind,
) -> Known<CompletedLogin, LoginRefused> {
    let mut answer = answer.clone();
    if let Known::Found(login) = &mut answer {
        login.tokens.kind = kind;
    }
    answer
}

/// The same for a login by redirect.
fn finished_with_kind(answer: &RedirectResult, kind: CredentialKind) -> RedirectResult {
    let mut answer = answer.clone();
    if let RedirectResult::Finished(finished) = &mut answer {
        finished.login.tokens.kind = kind;
    }
    answer
}

/// Checks that a question is asked with what the request presents.
fn check(scenario: &Scenario, question: &Question<'_>, facts: &Facts) {
    let credential = scenario.credential();
    match question {
        Question::Verify(token) => {
            assert_ne!(credential.kind, CredentialKind::Session);
            assert_eq!(credential.token, Some(*token));
        }
        Question::LoadSession(id) => {
            assert_eq!(credential.kind, CredentialKind::Session);
            assert_eq!(credential.token, Some(*id));
        }
        Question::Refresh(refresh) => check_refresh(*refresh, credential),
        Question::RefreshFromBody(token) => assert!(posts_token(scenario, facts, token)),
        Question::CheckBasic(basic) | Question::LogoutBasic(basic) => {
            assert_eq!(Some(*basic), scenario.basic);
            assert!(!scenario.fetch_metadata.is_browser && !scenario.cookies.has_any());
        }
        Question::ReceiveHook(_) => panic!("no site of these laws takes hooks"),
        Question::Logout(presented) => assert_eq!(*presented, credential),
        Question::LogoutFromBody { access, refresh } => {
            assert!(posts_token(scenario, facts, refresh));
            assert_eq!(*access, scenario.bearer.access);
        }
        Question::PreservePost {
            target,
            refresh,
            device,
        } => {
            let presented = credential.refresh.map(|token| (credential.kind, token));
            assert_eq!((*target, *refresh), (scenario.target.as_str(), presented));
            assert_eq!(*device, scenario.cookies.device.value());
        }
        Question::RestorePost { .. } => check_restored_post(question, facts),
        Question::Login { .. } => check_login(scenario, question, facts),
        Question::OpenChallenge { step, challenge } => {
            let called = scenario.step_endpoint().map(StepEndpoint::step);
            assert_eq!(called, Some(*step));
            assert_eq!(posted_challenge(facts).as_ref(), Some(challenge));
        }
        Question::ContinueLogin {
            opened,
            kind,
            session,
            device,
            ..
        } => {
            let delivery = check_challenge(scenario, opened, facts);
            assert_eq!(*kind, kind_of(scenario, delivery));
            assert_eq!([*session, *device], browser_cookies(scenario, delivery));
        }
        Question::SendCode { opened, .. } => {
            check_challenge(scenario, opened, facts);
        }
        Question::BeginRedirect { presented, .. } => check_begin(scenario, presented),
        Question::FinishRedirect { .. } => check_callback(scenario, question),
        Question::ReadLoginForm(_)
        | Question::ReadBody
        | Question::ReadStepForm(_)
        | Question::CountRedirect { .. } => {}
    }
}

fn check_refresh(refresh: RefreshRequest<'_>, credential: PresentedCredential<'_>) {
    let PresentedCredential { kind, token, .. } = credential;
    let session = token.filter(|_| kind == CredentialKind::Session);
    assert_eq!(
        (refresh.kind, Some(refresh.refresh), refresh.session_id),
        (kind, credential.refresh, session)
    );
}

/// A login by redirect begins at such a site only, and knows those under way.
fn check_begin(scenario: &Scenario, presented: &[PresentedRedirectLogin<'_>]) {
    assert_eq!(scenario.site.sign_in, SignIn::Redirect);
    assert_eq!(presented, &scenario.cookies.redirect_logins[..]);
}

/// The provider's response goes with the one cookie of its login.
fn check_callback(scenario: &Scenario, question: &Question<'_>) {
    let Question::FinishRedirect {
        callback,
        sealed,
        kind,
        session,
        device,
    } = question
    else {
        panic!("{question:?}")
    };
    let logins = &scenario.cookies.redirect_logins;
    let mut of_it = logins
        .iter()
        .filter(|login| callback.state.starts_with(login.id));
    assert_eq!(of_it.next().map(|login| login.value), Some(*sealed));
    assert!(of_it.next().is_none(), "nothing tells which is the user's");
    assert_eq!(*kind, scenario.site.credential);
    let presented = browser_cookies(scenario, TokenDelivery::Cookie);
    assert_eq!([*session, *device], presented);
}

/// A preserved post is restored for the user who has just logged in, with the form it came in.
fn check_restored_post(question: &Question<'_>, facts: &Facts) {
    let Question::RestorePost {
        sealed,
        sub,
        login_id,
    } = question
    else {
        panic!("{question:?}")
    };
    if let Some(RedirectResult::Finished(finished)) = facts.callback.as_deref() {
        let user = &finished.login.principal.identity.sub;
        assert_eq!(finished.preserved_post.as_ref(), Some(sealed));
        assert_eq!((user, user), (sub, login_id));
        return;
    }
    let in_form = matches!(&facts.login_form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
    let in_step = matches!(&facts.step_form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
    assert!(in_form || in_step);
    let typed = matches!(&facts.login_form, Known::Found(form) if form.login_id == *login_id);
    let chosen =
        matches!(&facts.challenge, Known::Found(it) if it.challenge.options.login_id == *login_id);
    assert!(typed || chosen);
    assert!(matches!(&facts.login, Known::Found(login) if login.principal.identity.sub == *sub));
}

/// A login is tried with what was typed, and its tokens are delivered as the client asked.
fn check_login(scenario: &Scenario, question: &Question<'_>, facts: &Facts) {
    let Question::Login {
        credentials,
        kind,
        session,
        device,
    } = question
    else {
        panic!("{question:?}")
    };
    let (login_id, password, delivery) = match (&facts.login_form, &facts.body) {
        (Known::Found(form), _) => (
            form.login_id.clone(),
            form.password.clone(),
            TokenDelivery::Cookie,
        ),
        (_, Known::Found(body)) => {
            let body = body.login().expect("a login");
            (body.login_id, body.password, body.token_delivery)
        }
        _ => panic!("a login without a form or body"),
    };
    assert_eq!(
        (&credentials.login_id, &credentials.password),
        (&login_id, &password)
    );
    assert_eq!(*kind, kind_of(scenario, delivery));
    assert_eq!([*session, *device], browser_cookies(scenario, delivery));
}

/// The provider is asked only about the challenge that was opened and has not expired, and tokens
/// in a body are only for clients that may have them.
fn check_challenge(scenario: &Scenario, opened: &OpenedChallenge, facts: &Facts) -> TokenDelivery {
    let Known::Found(found) = &facts.challenge else {
        panic!("no challenge")
    };
    assert!(opened == &**found && NOW < opened.challenge.expires);
    let delivery = opened.challenge.options.token_delivery;
    let may_have_body = scenario.site.bearer
        && !scenario.fetch_metadata.is_browser
        && scenario.api_endpoint().is_some();
    assert!(delivery == TokenDelivery::Cookie || may_have_body);
    delivery
}

fn kind_of(scenario: &Scenario, delivery: TokenDelivery) -> CredentialKind {
    match delivery {
        TokenDelivery::Cookie => scenario.site.credential,
        TokenDelivery::Body => CredentialKind::Bearer,
    }
}

/// The session and device cookies, for a login whose tokens are delivered in cookies.
fn browser_cookies(scenario: &Scenario, delivery: TokenDelivery) -> [Option<&str>; 2] {
    let cookies = &scenario.cookies;
    [cookies.session.value(), cookies.device.value()]
        .map(|value| value.filter(|_| delivery == TokenDelivery::Cookie))
}

/// The challenge that was posted, by a form or as JSON.
fn posted_challenge(facts: &Facts) -> Option<Secret> {
    match (&facts.step_form, &facts.body) {
        (Known::Found(form), _) => Some(form.challenge.clone()),
        (_, Known::Found(body)) => {
            let code = body.two_factor().map(|body| body.challenge);
            let sent = body.send_code().map(|body| body.challenge);
            code.or(sent)
                .or(body.new_password().map(|body| body.challenge))
        }
        _ => None,
    }
}

/// Whether `token` is the refresh token of the body, at a site that takes such tokens.
fn posts_token(scenario: &Scenario, facts: &Facts, token: &Secret) -> bool {
    let Known::Found(body) = &facts.body else {
        return false;
    };
    scenario.site.bearer && body.token().and_then(|body| body.refresh_token).as_ref() == Some(token)
}
