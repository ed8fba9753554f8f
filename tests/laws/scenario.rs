//! A request with what would come of every question, and the loop that plays it.

use std::sync::Arc;

use http::Method;
use vestibule::decide::endpoint::StepEndpoint;
use vestibule::decide::{Decision, Facts, Known, Outcome, Question, decide};
use vestibule::model::api_request::TokenDelivery;
use vestibule::model::api_response::ApiResponse;
use vestibule::model::challenge::OpenedChallenge;
use vestibule::model::cookie::{PresentedCookie, PresentedCookies};
use vestibule::model::credential::{CredentialKind, PresentedCredential};
use vestibule::model::hosted_backend::{HostedEndpoint, HostedRequest};
use vestibule::model::local_response::{CookieChange, LocalResponse};
use vestibule::model::login::Credentials;
use vestibule::model::reason::Reason;
use vestibule::model::request::{BearerTokens, FetchMetadata, RequestView};
use vestibule::model::rule::Access;
use vestibule::model::secret::Secret;
use vestibule::model::site::Site;
use vestibule::model::target::Target;
use vestibule::model::timestamp::Timestamp;
use vestibule::model::token::Principal;

pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Everything that decides about one request.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub site: Site,
    pub method: Method,
    pub target: String,
    pub cookies: PresentedCookies<'static>,
    pub bearer: BearerTokens<'static>,
    pub fetch_metadata: FetchMetadata<'static>,
    /// What comes of every question, should it be asked. No slot is empty.
    pub answers: Facts,
}

/// The slots of [`Facts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionKind {
    Verify,
    LoadSession,
    Refresh,
    ReadLoginForm,
    PreservePost,
    RestorePost,
    ReadBody,
    Login,
    ReadStepForm,
    OpenChallenge,
    ContinueLogin,
    SendCode,
    CountRedirect,
    Logout,
}

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Run {
    pub questions: Vec<QuestionKind>,
    /// What had been found out in the end.
    pub facts: Facts,
    pub forwarded: Option<Forwarded>,
    pub response: Option<LocalResponse>,
    pub cookies: Vec<CookieChange>,
    pub reason: Reason,
    pub label: &'static str,
}

/// What a grant says.
#[derive(Clone, Debug)]
pub struct Forwarded {
    pub principal: Option<Arc<Principal>>,
    pub early_refresh: Option<String>,
}

impl Run {
    /// Whether tokens stand in the answer's body.
    pub fn delivers_tokens_in_body(&self) -> bool {
        match &self.response {
            Some(LocalResponse::Json(ApiResponse::Tokens(_))) => true,
            Some(LocalResponse::Json(ApiResponse::Login(signed_in))) => signed_in.tokens.is_some(),
            _ => false,
        }
    }
}

impl Scenario {
    /// Asks and answers until it is settled. Panics when a question is asked twice.
    pub fn run(&self) -> Run {
        let target = self.target();
        let (cookies, bearer, marks) = (&self.cookies, self.bearer, self.fetch_metadata);
        let request = RequestView {
            method: &self.method,
            target: &target,
            cookies,
            bearer,
            fetch_metadata: marks,
        };
        let mut facts = Facts::default();
        let mut asked = Vec::new();
        loop {
            match decide(&request, &self.site, &facts, NOW) {
                Decision::Needs(question) => asked.push(self.answer(&question, &mut facts)),
                Decision::Settled(verdict) => {
                    let label = verdict.label().as_str();
                    let (forwarded, answer) = match verdict.outcome {
                        Outcome::Forward(grant) => {
                            let renew_ahead = grant
                                .early_refresh()
                                .map(|renewable| renewable.refresh.to_owned());
                            (
                                Some(Forwarded {
                                    principal: grant.principal().cloned(),
                                    early_refresh: renew_ahead,
                                }),
                                None,
                            )
                        }
                        Outcome::Reply(answer) => (None, Some(answer)),
                    };
                    let (cookies, reason) = (verdict.cookies, verdict.reason);
                    return Run {
                        questions: asked,
                        facts,
                        forwarded,
                        response: answer,
                        cookies,
                        reason,
                        label,
                    };
                }
            }
        }
    }

    fn answer(&self, question: &Question<'_>, facts: &mut Facts) -> QuestionKind {
        match question {
            Question::Verify(token) => {
                assert_eq!(
                    (
                        self.credential().kind == CredentialKind::Session,
                        self.credential().token
                    ),
                    (false, Some(*token))
                );
                fill_once(&mut facts.token, &self.answers.token, QuestionKind::Verify)
            }
            Question::LoadSession(id) => {
                assert_eq!(
                    (self.credential().kind, self.credential().token),
                    (CredentialKind::Session, Some(*id))
                );
                fill_once(
                    &mut facts.session,
                    &self.answers.session,
                    QuestionKind::LoadSession,
                )
            }
            Question::Refresh(renewable) => {
                let PresentedCredential {
                    kind,
                    token: proof,
                    refresh,
                } = self.credential();
                let session = proof.filter(|_| kind == CredentialKind::Session);
                assert_eq!(
                    (kind, refresh, session),
                    (
                        renewable.kind,
                        Some(renewable.refresh),
                        renewable.session_id
                    )
                );
                fill_once(
                    &mut facts.refresh,
                    &self.answers.refresh,
                    QuestionKind::Refresh,
                )
            }
            Question::PreservePost {
                target,
                refresh,
                device,
            } => self.preserve_post(target, (*refresh, *device), facts),
            Question::RestorePost {
                sealed,
                sub,
                login_id,
            } => self.restore_post(sealed, (sub, login_id), facts),
            Question::ReadLoginForm(_) => fill_once(
                &mut facts.login_form,
                &self.answers.login_form,
                QuestionKind::ReadLoginForm,
            ),
            Question::RefreshFromBody(token) => {
                assert!(self.site.bearer && posts_token(facts, token));
                fill_once(
                    &mut facts.refresh,
                    &self.answers.refresh,
                    QuestionKind::Refresh,
                )
            }
            Question::ReadBody => {
                fill_once(&mut facts.body, &self.answers.body, QuestionKind::ReadBody)
            }
            Question::Login {
                credentials,
                kind,
                session,
                device,
            } => {
                self.check_login(credentials, (*kind, [*session, *device]), facts);
                let asked = fill_once(&mut facts.login, &self.answers.login, QuestionKind::Login);
                if let Known::Found(signed_in) = &mut facts.login {
                    signed_in.tokens.kind = *kind;
                }
                asked
            }
            Question::ReadStepForm(_)
            | Question::OpenChallenge { .. }
            | Question::ContinueLogin { .. }
            | Question::SendCode { .. } => self.answer_step_question(question, facts),
            Question::CountRedirect { .. } => fill_once(
                &mut facts.redirects,
                &self.answers.redirects,
                QuestionKind::CountRedirect,
            ),
            Question::Logout(carried) => {
                assert_eq!(*carried, self.credential());
                fill_once(
                    &mut facts.logout,
                    &self.answers.logout,
                    QuestionKind::Logout,
                )
            }
            Question::LogoutFromBody { access, refresh } => {
                assert!(self.site.bearer && posts_token(facts, refresh));
                assert_eq!(*access, self.bearer.access);
                fill_once(
                    &mut facts.logout,
                    &self.answers.logout,
                    QuestionKind::Logout,
                )
            }
        }
    }

    /// What was written when the session had ended.
    fn preserve_post(
        &self,
        target: &str,
        (refresh, device): (Option<(CredentialKind, &str)>, Option<&str>),
        facts: &mut Facts,
    ) -> QuestionKind {
        assert_eq!(device, self.cookies.device.value());
        let PresentedCredential {
            kind,
            refresh: carried,
            ..
        } = self.credential();
        assert_eq!(
            (target, refresh),
            (self.target.as_str(), carried.map(|token| (kind, token)))
        );
        fill_once(
            &mut facts.preserved_post,
            &self.answers.preserved_post,
            QuestionKind::PreservePost,
        )
    }

    /// What was written comes back.
    fn restore_post(
        &self,
        sealed: &Arc<str>,
        (sub, login_id): (&str, &str),
        facts: &mut Facts,
    ) -> QuestionKind {
        let in_form = matches!(&facts.login_form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
        let in_step = matches!(&facts.step_form, Known::Found(form) if form.preserved_post.as_ref() == Some(sealed));
        assert!(in_form || in_step);
        let typed = matches!(&facts.login_form, Known::Found(form) if form.login_id == login_id);
        let chosen = matches!(&facts.challenge, Known::Found(it) if it.challenge.options.login_id == login_id);
        assert!(typed || chosen);
        assert!(matches!(&facts.login, Known::Found(new) if new.principal.identity.sub == sub));
        fill_once(
            &mut facts.restored_post,
            &self.answers.restored_post,
            QuestionKind::RestorePost,
        )
    }

    /// That a sign-in is for what was typed, and for a client that carries what it gets as it said.
    fn check_login(
        &self,
        typed: &Credentials,
        (kind, known): (CredentialKind, [Option<&str>; 2]),
        facts: &Facts,
    ) {
        let in_cookies = match (&facts.login_form, &facts.body) {
            (Known::Found(form), _) => {
                assert_eq!(
                    (&typed.login_id, &typed.password),
                    (&form.login_id, &form.password)
                );
                true
            }
            (_, Known::Found(body)) => {
                let call = body.login().expect("a sign-in");
                assert_eq!(
                    (&typed.login_id, &typed.password),
                    (&call.login_id, &call.password)
                );
                call.token_delivery == TokenDelivery::Cookie
            }
            _ => panic!("a sign-in without a form or body"),
        };
        assert_eq!(
            kind,
            if in_cookies {
                self.site.credential
            } else {
                CredentialKind::Bearer
            }
        );
        let presented = [self.cookies.session.value(), self.cookies.device.value()];
        assert_eq!(known, presented.map(|value| value.filter(|_| in_cookies)));
    }

    /// The questions of the steps that follow a password.
    fn answer_step_question(&self, question: &Question<'_>, facts: &mut Facts) -> QuestionKind {
        match question {
            Question::ReadStepForm(_) => fill_once(
                &mut facts.step_form,
                &self.answers.step_form,
                QuestionKind::ReadStepForm,
            ),
            Question::OpenChallenge { step, challenge } => {
                assert_eq!(
                    (Some(*step), Some(challenge.clone())),
                    (
                        self.step_endpoint().map(StepEndpoint::step),
                        posted_challenge(facts)
                    )
                );
                fill_once(
                    &mut facts.challenge,
                    &self.answers.challenge,
                    QuestionKind::OpenChallenge,
                )
            }
            Question::ContinueLogin {
                opened,
                kind,
                session,
                device,
                ..
            } => {
                let in_cookies = self.check_challenge(opened, facts);
                assert_eq!(
                    *kind,
                    if in_cookies {
                        self.site.credential
                    } else {
                        CredentialKind::Bearer
                    }
                );
                assert_eq!(
                    *session,
                    self.cookies.session.value().filter(|_| in_cookies)
                );
                assert_eq!(*device, self.cookies.device.value().filter(|_| in_cookies));
                let asked = fill_once(
                    &mut facts.login,
                    &self.answers.login,
                    QuestionKind::ContinueLogin,
                );
                if let Known::Found(signed_in) = &mut facts.login {
                    signed_in.tokens.kind = *kind;
                }
                asked
            }
            Question::SendCode { opened, .. } => {
                self.check_challenge(opened, facts);
                fill_once(
                    &mut facts.code_sent,
                    &self.answers.code_sent,
                    QuestionKind::SendCode,
                )
            }
            Question::Verify(_)
            | Question::LoadSession(_)
            | Question::Refresh(_)
            | Question::RefreshFromBody(_)
            | Question::ReadLoginForm(_)
            | Question::PreservePost { .. }
            | Question::RestorePost { .. }
            | Question::ReadBody
            | Question::Login { .. }
            | Question::CountRedirect { .. }
            | Question::Logout(_)
            | Question::LogoutFromBody { .. } => panic!("no step: {question:?}"),
        }
    }

    /// That the provider hears only of the challenge that was opened and still holds, and of one
    /// whose tokens the client may have as was chosen; whether they go into cookies.
    fn check_challenge(&self, opened: &OpenedChallenge, facts: &Facts) -> bool {
        let Known::Found(found) = &facts.challenge else {
            panic!("no challenge")
        };
        assert!(opened == &**found && NOW < opened.challenge.expires);
        let in_cookies = opened.challenge.options.token_delivery == TokenDelivery::Cookie;
        assert!(
            in_cookies
                || self.site.bearer
                    && !self.fetch_metadata.is_browser
                    && self.api_endpoint().is_some()
        );
        in_cookies
    }

    /// Which step after a password is called, by a form or by a program.
    pub fn step_endpoint(&self) -> Option<StepEndpoint> {
        let paths = &self.site.paths;
        let places = [paths.login.clone(), format!("{}/login", paths.api)];
        let is = |call: &StepEndpoint| {
            places
                .iter()
                .any(|place| self.has_path(&format!("{place}{}", call.suffix())))
        };
        StepEndpoint::ALL.into_iter().find(is)
    }

    /// What counts of all that the request carries.
    pub fn credential(&self) -> PresentedCredential<'static> {
        let value = |cookie: &PresentedCookie<'static>| match cookie {
            PresentedCookie::Single(std::borrow::Cow::Borrowed(value)) => Some(*value),
            PresentedCookie::Single(_) | PresentedCookie::Duplicate | PresentedCookie::Absent => {
                None
            }
        };
        if self.site.bearer && self.bearer != BearerTokens::default() {
            return PresentedCredential {
                kind: CredentialKind::Bearer,
                token: self.bearer.access,
                refresh: self.bearer.refresh,
            };
        }
        let kind = self.site.credential;
        let main = if kind == CredentialKind::Session {
            &self.cookies.session
        } else {
            &self.cookies.access
        };
        PresentedCredential {
            kind,
            token: value(main),
            refresh: value(&self.cookies.refresh),
        }
    }

    pub fn target(&self) -> Target<'_> {
        Target::parse(self.target.as_bytes(), self.site.encoded_slashes).unwrap()
    }

    /// Whether the path is the application's: then what its rule asks for, and of whom.
    pub fn requirement(&self) -> Option<(Access, Vec<String>)> {
        let target = self.target();
        let own = [
            self.site.paths.login.as_str(),
            &self.site.paths.logout,
            "/.well-known/vestibule/jwks.json",
        ];
        let own = own.map(str::as_bytes).contains(&target.decoded_path())
            || self.api_endpoint().is_some()
            || self.step_endpoint().is_some()
            || self.hosted_endpoint().is_some()
            || target.decoded_path().starts_with(b"/_vestibule/");
        let requirement = self.site.match_rule(&self.method, target.decoded_path());
        (!own).then(|| (requirement.access, requirement.roles.to_vec()))
    }

    /// Which of the JSON endpoints is called.
    pub fn api_endpoint(&self) -> Option<&'static str> {
        API_PATHS
            .iter()
            .copied()
            .find(|call| self.has_path(&format!("{}{call}", self.site.paths.api)))
    }

    /// Which endpoint of the hosted backend is called, where the site has one.
    pub fn hosted_endpoint(&self) -> Option<HostedEndpoint> {
        self.site.hosted_backend.as_ref()?;
        HostedRequest::parse(self.target().decoded_path()).map(|call| call.endpoint)
    }

    pub fn has_path(&self, path: &str) -> bool {
        self.target().decoded_path() == path.as_bytes()
    }

    /// Whether another site's page made the browser send this, told by the two fields that scripts
    /// cannot forge.
    pub fn is_cross_site(&self) -> bool {
        match (self.fetch_metadata.origin, self.fetch_metadata.fetch_site) {
            (Some(origin), _) => !OWN_OR_LISTED.contains(&origin),
            (None, Some(fetch_site)) => !["same-origin", "none"].contains(&fetch_site),
            (None, None) => false,
        }
    }
}

/// The JSON endpoints, behind the site's own name for where they are.
pub const API_PATHS: &[&str] = &[
    "/user",
    "/login",
    "/login/two-factor",
    "/refresh",
    "/login/two-factor/send",
    "/logout",
    "/login/password",
];

pub const OWN_OR_LISTED: &[&str] = &[
    "https://store.example.com",
    "https://STORE.example.com:443",
    "https://shop.example.com",
    "https://app.example.com",
];

/// Fills a slot, which was empty.
fn fill_once<T: Clone, No: Clone>(
    slot: &mut Known<T, No>,
    found: &Known<T, No>,
    asked: QuestionKind,
) -> QuestionKind {
    assert!(matches!(slot, Known::NotAsked), "asked twice");
    *slot = found.clone();
    asked
}

/// The challenge that was posted.
fn posted_challenge(facts: &Facts) -> Option<Secret> {
    match (&facts.step_form, &facts.body) {
        (Known::Found(fields), _) => Some(fields.challenge.clone()),
        (_, Known::Found(body)) => {
            let code = body.two_factor().map(|call| call.challenge);
            let sent = body.send_code().map(|call| call.challenge);
            code.or(sent)
                .or(body.new_password().map(|call| call.challenge))
        }
        _ => None,
    }
}

fn posts_token(facts: &Facts, token: &Secret) -> bool {
    let Known::Found(body) = &facts.body else {
        return false;
    };
    body.token().and_then(|call| call.refresh_token).as_ref() == Some(token)
}
