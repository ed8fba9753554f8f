//! Answers the questions of `decide` that need no request body, from the runtime.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::decide::{Facts, Known, Question, RedirectResult};
use crate::model::authorization::BasicCredentials;
use crate::model::challenge::OpenedChallenge;
use crate::model::credential::{CredentialKind, PresentedCredential, RefreshRequest};
use crate::model::login::{Credentials, LoginRefused};
use crate::model::login_step::{LoginStep, StepSubmission};
use crate::model::preserved_post::{NotPreservedError, PostedForm, RestoredPost};
use crate::model::reason::Reason;
use crate::model::redirect_login::RedirectOptions;
use crate::model::redirect_loop::LoopIdentity;
use crate::model::redirect_result::{BegunRedirect, ProviderAddress};
use crate::model::request_cookies::PresentedRedirectLogin;
use crate::model::secret::Secret;
use crate::model::token::{
    BasicLogin, CompletedLogin, CompletedRefresh, Principal, Session as LoadedSession, TokenError,
};
use crate::provider::Device;
use crate::runtime::basic_auth::BasicAttempt;
use crate::runtime::login::{
    LoginError, PasswordAttempt, RedirectError, RedirectReturn, RedirectStart, StepAttempt,
};
use crate::runtime::preserved_post::UnauthenticatedPost;
use crate::runtime::redirect_loop::CountedRedirect;
use crate::runtime::refresh::RefreshOutcome;
use crate::runtime::tokens::CredentialError;
use crate::runtime::{RequestContext, Runtime};

/// What a client has that signs in, and how it will carry what it gets.
struct LoginClient<'a> {
    kind: CredentialKind,
    /// The id of the session that a sign-in replaces.
    replaced: Option<&'a str>,
    /// The value of the device cookie.
    device_cookie: Option<&'a str>,
    /// What the provider is told of the device.
    device: Device<'a>,
}

/// Answers the questions that the runtime can answer: all but those that read a body.
#[derive(Clone, Copy)]
pub struct Resolver<'r> {
    /// The configuration of the request.
    pub runtime: &'r Arc<Runtime>,
    /// The request.
    pub context: RequestContext<'r>,
    /// Its `User-Agent`.
    pub user_agent: Option<&'r HeaderValue>,
}

impl<'r> Resolver<'r> {
    /// Answers one question. One that reads the request's body stays unanswered.
    #[expect(clippy::too_many_lines, reason = "one arm for each question")]
    pub async fn answer(self, question: Question<'_>, facts: &mut Facts) {
        match question {
            Question::Verify(token) => facts.token = self.verify(token).await,
            Question::LoadSession(id) => facts.session = self.load_session(id).await,
            Question::Refresh(request) => facts.refresh = self.refresh(request).await,
            Question::RefreshFromBody(token) => facts.refresh = self.refresh_posted(&token).await,
            Question::CheckBasic(credentials) => facts.basic = self.check_basic(credentials).await,
            Question::LogoutBasic(credentials) => {
                facts.logout = self.logout_basic(credentials).await;
            }
            Question::RestorePost {
                sealed,
                sub,
                login_id,
            } => facts.restored_post = self.restore_post(&sealed, &sub, &login_id).await,
            Question::Login {
                credentials,
                kind,
                session: replaced,
                device,
            } => {
                let client = self.login_client(kind, replaced, device);
                facts.login = self.sign_in(&credentials, client).await;
            }
            Question::BeginRedirect { options, presented } => {
                facts.redirect = self.begin_redirect(&options, presented).await;
            }
            Question::FinishRedirect {
                callback,
                sealed,
                kind,
                session: replaces,
                device,
            } => {
                let back = RedirectReturn {
                    callback: &callback,
                    sealed,
                    kind,
                    replaces,
                    device_cookie: device,
                };
                facts.callback = Some(Arc::new(self.finish_redirect(back).await));
            }
            Question::OpenChallenge { step, challenge } => {
                facts.challenge = self.open_challenge(step, &challenge);
            }
            Question::ContinueLogin {
                opened,
                submission,
                kind,
                session: replaced,
                device,
            } => {
                let client = self.login_client(kind, replaced, device);
                facts.login = self.continue_login(&opened, &submission, client).await;
            }
            Question::SendCode { opened, choice } => {
                facts.code_sent = self.send_code(&opened, &choice).await;
            }
            Question::CountRedirect {
                identity,
                target,
                within,
            } => facts.redirects = self.count_redirect(identity, target, within),
            Question::Logout(credential) => facts.logout = self.logout(credential).await,
            Question::LogoutFromBody { access, refresh } => {
                facts.logout = self.logout_posted(access, &refresh).await;
            }
            Question::ReceiveHook(_)
            | Question::ReadLoginForm(_)
            | Question::ReadStepForm(_)
            | Question::ReadBody
            | Question::PreservePost { .. } => {}
        }
    }

    fn login_client<'c>(
        self,
        kind: CredentialKind,
        replaced: Option<&'c str>,
        device_cookie: Option<&'c str>,
    ) -> LoginClient<'c>
    where
        'r: 'c,
    {
        LoginClient {
            kind,
            replaced,
            device_cookie,
            device: self.device(),
        }
    }

    fn device(self) -> Device<'r> {
        Device {
            user_agent: self.user_agent.and_then(|value| value.to_str().ok()),
        }
    }

    pub(super) async fn verify(self, token: &str) -> Known<Arc<Principal>, TokenError> {
        credential_result(self.runtime.tokens.verify(self.context, token).await)
    }

    pub(super) async fn load_session(self, id: &str) -> Known<LoadedSession, TokenError> {
        credential_result(self.runtime.sessions.load(self.context, id).await)
    }

    pub(super) async fn check_basic(
        self,
        credentials: BasicCredentials<'_>,
    ) -> Known<BasicLogin, Box<LoginRefused>> {
        let attempt = BasicAttempt {
            credentials,
            device: self.device(),
        };
        match self.runtime.basic_auth.check(self.context, attempt).await {
            Ok(login) => Known::Found(login),
            Err(LoginError::Refused(refused)) => Known::Absent(Box::new(refused)),
            Err(LoginError::Unavailable(reason)) => Known::Failed(reason),
        }
    }

    async fn logout_basic(
        self,
        credentials: BasicCredentials<'_>,
    ) -> Known<Option<ProviderAddress>, Reason> {
        let forgotten = self.runtime.basic_auth.forget(self.context, credentials);
        if let Some(login) = forgotten {
            let presented = PresentedCredential {
                kind: CredentialKind::Bearer,
                token: Some(&login.access),
                refresh: login.refresh.as_deref(),
            };
            return self.logout(presented).await;
        }
        Known::Found(None)
    }

    async fn refresh(self, request: RefreshRequest<'_>) -> Known<CompletedRefresh, Reason> {
        let Self {
            runtime, context, ..
        } = self;
        match runtime.refresh.run(context, request).await {
            RefreshOutcome::Renewed { renewed, .. } => Known::Found(renewed),
            RefreshOutcome::Refused(reason) => Known::Absent(reason),
            RefreshOutcome::Reused(envelope) => {
                runtime.revocation.revoke_reused(context, &envelope).await;
                Known::Absent(Reason::Revoked)
            }
            RefreshOutcome::Unavailable(reason) => Known::Failed(reason),
        }
    }

    async fn refresh_posted(self, token: &Secret) -> Known<CompletedRefresh, Reason> {
        self.refresh(RefreshRequest::from_body(token)).await
    }

    async fn logout(
        self,
        credential: PresentedCredential<'_>,
    ) -> Known<Option<ProviderAddress>, Reason> {
        Known::Found(self.runtime.logout.run(self.context, credential).await)
    }

    async fn logout_posted(
        self,
        access: Option<&str>,
        refresh: &Secret,
    ) -> Known<Option<ProviderAddress>, Reason> {
        self.logout(PresentedCredential::from_body(access, refresh))
            .await
    }

    async fn sign_in(
        self,
        credentials: &Credentials,
        client: LoginClient<'_>,
    ) -> Known<CompletedLogin, LoginRefused> {
        let attempt = PasswordAttempt {
            credentials,
            kind: client.kind,
            replaces: client.replaced,
            device: client.device,
            device_cookie: client.device_cookie,
        };
        login_result(self.runtime.login.password(self.context, attempt).await)
    }

    async fn begin_redirect(
        self,
        options: &RedirectOptions,
        presented: &[PresentedRedirectLogin<'_>],
    ) -> Known<Arc<BegunRedirect>, Box<LoginRefused>> {
        let start = RedirectStart { options, presented };
        match self.runtime.login.begin_redirect(self.context, start).await {
            Ok(begun) => Known::Found(Arc::new(begun)),
            Err(LoginError::Refused(refused)) => Known::Absent(Box::new(refused)),
            Err(LoginError::Unavailable(reason)) => Known::Failed(reason),
        }
    }

    async fn finish_redirect(self, back: RedirectReturn<'_>) -> RedirectResult {
        match self.runtime.login.finish_redirect(self.context, back).await {
            Ok(finished) => RedirectResult::Finished(finished),
            Err(RedirectError::Refused(refused)) => RedirectResult::Refused(refused),
            Err(RedirectError::Unavailable(failure)) => RedirectResult::Failed(failure),
        }
    }

    fn open_challenge(
        self,
        step: LoginStep,
        sealed: &Secret,
    ) -> Known<Arc<OpenedChallenge>, Reason> {
        let (challenges, site) = (
            &self.runtime.login.challenges,
            &self.context.site_runtime.site,
        );
        let opened = challenges.open(site, step, sealed);
        found_or(opened.map(Arc::new), Reason::ChallengeExpired)
    }

    async fn continue_login(
        self,
        opened: &OpenedChallenge,
        answer: &StepSubmission,
        client: LoginClient<'_>,
    ) -> Known<CompletedLogin, LoginRefused> {
        let attempt = StepAttempt {
            challenge: &opened.challenge,
            answer,
            kind: client.kind,
            replaces: client.replaced,
            device: client.device,
            device_cookie: client.device_cookie,
        };
        login_result(self.runtime.login.second_step(self.context, attempt).await)
    }

    async fn send_code(
        self,
        opened: &OpenedChallenge,
        choice: &Secret,
    ) -> Known<usize, Box<LoginRefused>> {
        match self
            .runtime
            .login
            .send_code(self.context, &opened.challenge, choice)
            .await
        {
            Ok(position) => Known::Found(position),
            Err(LoginError::Refused(refused)) => Known::Absent(Box::new(refused)),
            Err(LoginError::Unavailable(reason)) => Known::Failed(reason),
        }
    }

    pub(super) fn preserve_post(
        self,
        form: Result<PostedForm, NotPreservedError>,
        target: &str,
        refresh: Option<(CredentialKind, &str)>,
        device_cookie: Option<&str>,
    ) -> Known<Arc<str>, NotPreservedError> {
        let form = match form {
            Ok(form) => form,
            Err(error) => return Known::Absent(error),
        };
        let post = UnauthenticatedPost {
            target,
            form,
            refresh,
            device_cookie,
        };
        let sealed = self.runtime.preserved_posts.preserve(self.context, post);
        sealed.map_or(Known::Absent(NotPreservedError::TooLarge), Known::Found)
    }

    async fn restore_post(
        self,
        sealed: &str,
        sub: &str,
        login_id: &str,
    ) -> Known<RestoredPost, Reason> {
        let restored = self
            .runtime
            .preserved_posts
            .restore(self.context, sealed, sub, login_id);
        found_or(restored.await, Reason::RejectedInput)
    }

    fn count_redirect(
        self,
        identity: LoopIdentity<'_>,
        target: &str,
        within: Duration,
    ) -> Known<u32, Reason> {
        let redirect = CountedRedirect {
            identity,
            target,
            user_agent: self.user_agent.map(HeaderValue::as_bytes),
            within,
        };
        Known::Found(self.runtime.redirects.count(self.context, redirect))
    }
}

fn found_or<T>(found: Option<T>, reason: Reason) -> Known<T, Reason> {
    found.map_or(Known::Absent(reason), Known::Found)
}

fn credential_result<T>(result: Result<T, CredentialError>) -> Known<T, TokenError> {
    match result {
        Ok(found) => Known::Found(found),
        Err(CredentialError::Token(error)) => Known::Absent(error),
        Err(CredentialError::Unavailable(reason)) => Known::Failed(reason),
    }
}

fn login_result<T>(result: Result<T, LoginError>) -> Known<T, LoginRefused> {
    match result {
        Ok(found) => Known::Found(found),
        Err(LoginError::Refused(refused)) => Known::Absent(refused),
        Err(LoginError::Unavailable(reason)) => Known::Failed(reason),
    }
}
