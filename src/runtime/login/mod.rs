//! Sign-ins: the password, the step that may follow it, and what the client is given at the end.

mod challenge;
mod completion;
mod password;
mod rate_limit;
mod redirect;
mod second_step;
mod trusted_device;

use std::sync::Arc;

use crate::model::challenge::{Challenge, LoginOptions};
use crate::model::login::LoginRefused;
use crate::model::login_step::StepSubmission;
use crate::model::reason::Reason;
use crate::model::redirect_result::{BegunRedirect, FinishedRedirect};
use crate::model::secret::Secret;
use crate::model::token::CompletedLogin;
use crate::provider::ProviderError;
use crate::telemetry::audit::{self, LoginIdHash};

use super::basic_memory::BasicMemory;
use super::request_context::RequestContext;
use super::sessions::Sessions;

pub use challenge::Challenges;
pub use password::PasswordAttempt;
pub use redirect::{RedirectError, RedirectReturn, RedirectStart};
pub use second_step::StepAttempt;

pub(super) use completion::Completion;
pub(super) use password::PasswordLogin;
pub(super) use rate_limit::RateLimiter;
pub(super) use redirect::RedirectLogins;
pub(super) use second_step::SecondStep;
pub(super) use trusted_device::TrustedDevices;

use completion::AcceptedLogin;
use redirect::Returned;

/// Signs people in.
pub struct Login {
    /// The challenges that clients carry from the password to the next step.
    pub challenges: Challenges,
    pub(super) passwords: PasswordLogin,
    pub(super) steps: SecondStep,
    pub(super) redirects: RedirectLogins,
    pub(super) completion: Completion,
    pub(super) sessions: Arc<Sessions>,
    pub(super) basic_memory: Arc<BasicMemory>,
}

/// Why nobody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// The attempt is refused, for a reason that the person can act on.
    Refused(LoginRefused),
    /// There is no usable answer.
    Unavailable(Reason),
}

impl Login {
    /// Signs somebody in with a password, within the limits on attempts.
    ///
    /// # Errors
    /// [`LoginError`]; a refusal holds the challenge where the provider asks for another step.
    pub async fn password(
        &self,
        context: RequestContext<'_>,
        attempt: PasswordAttempt<'_>,
    ) -> Result<CompletedLogin, LoginError> {
        let accepted = self.passwords.attempt(context, attempt).await;
        self.finish(context, accepted, attempt.options(), attempt.replaces)
            .await
    }

    /// Signs somebody in with the answer to a challenge, within the limits on attempts.
    ///
    /// # Errors
    /// As [`Login::password`].
    pub async fn second_step(
        &self,
        context: RequestContext<'_>,
        attempt: StepAttempt<'_>,
    ) -> Result<CompletedLogin, LoginError> {
        let accepted = self.steps.continue_login(context, attempt).await;
        let options = attempt.challenge.options.clone();
        let result = self
            .finish(context, accepted, options, attempt.replaces)
            .await;
        if let (Ok(login), StepSubmission::Password(_)) = (&result, attempt.answer) {
            self.basic_memory.forget_user(&login.principal.identity.sub);
        }
        result
    }

    /// Begins a sign-in at the provider's own pages.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn begin_redirect(
        &self,
        context: RequestContext<'_>,
        start: RedirectStart<'_>,
    ) -> Result<BegunRedirect, LoginError> {
        self.redirects.begin(context, start).await
    }

    /// Signs somebody in whom the provider has sent back.
    ///
    /// # Errors
    /// [`RedirectError`].
    pub async fn finish_redirect(
        &self,
        context: RequestContext<'_>,
        back: RedirectReturn<'_>,
    ) -> Result<FinishedRedirect, RedirectError> {
        let metrics = &context.site_runtime.metrics;
        let Returned { accepted, login } = match self.redirects.redeem(context, back).await {
            Ok(returned) => returned,
            Err(error) => {
                if let Some(reason) = error.counted_reason() {
                    metrics.sign_in_refused(reason);
                }
                return Err(error);
            }
        };
        let return_to = login.return_to.clone();
        let completed = match self.completion.complete(context, accepted).await {
            Ok(completed) => completed,
            Err(error) => {
                let reason = error.reason();
                metrics.sign_in_refused(reason);
                return Err(redirect::unavailable(
                    context,
                    redirect::failure(reason, return_to),
                ));
            }
        };
        if let Some(session) = back.replaces {
            self.sessions.end(session).await;
        }
        metrics.signed_in();
        let sub = &completed.principal.identity.sub;
        let at = context.audit_context();
        let at = at.of_sign_in(&completed.principal.revocation_key.0);
        audit::signed_in(at, sub, LoginIdHash::of(sub));
        Ok(FinishedRedirect {
            preserved_post: self.redirects.kept_post(context, &login).await,
            login: completed,
            return_to,
        })
    }

    /// Has a code sent by the method that `choice` stands for, and returns the position of the
    /// method among those of the challenge.
    ///
    /// # Errors
    /// [`LoginError`]: `rejected_input` for a choice of another challenge.
    pub async fn send_code(
        &self,
        context: RequestContext<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, LoginError> {
        let result = self.steps.send_code(context, challenge, choice).await;
        let at = context.audit_context();
        let account = LoginIdHash::of(&challenge.options.login_id);
        match &result {
            Ok(_) => audit::code_sent(at, account),
            Err(error) => audit::code_not_sent(at, account, error.reason()),
        }
        result
    }

    async fn finish(
        &self,
        context: RequestContext<'_>,
        accepted: Result<AcceptedLogin<'_>, LoginError>,
        options: LoginOptions,
        replaces: Option<&str>,
    ) -> Result<CompletedLogin, LoginError> {
        let account = LoginIdHash::of(&options.login_id);
        let result = match accepted {
            Ok(login) => self.completion.complete(context, login).await,
            Err(error) => Err(error),
        };
        let site = &context.site_runtime.site;
        let result = result.map_err(|error| self.challenges.seal_next_step(site, options, error));
        if let (Ok(_), Some(session)) = (&result, replaces) {
            // Whoever knows the old id has no part in the new session.
            self.sessions.end(session).await;
        }
        audit_outcome(context, account, &result);
        result
    }
}

impl LoginError {
    /// The reason code.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused(refused) => refused.reason,
            Self::Unavailable(reason) => *reason,
        }
    }
}

impl From<ProviderError> for LoginError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused(refused) => Self::Refused(refused),
            ProviderError::Unavailable(_) => Self::Unavailable(Reason::ProviderUnavailable),
            ProviderError::Misconfigured(_) => Self::Unavailable(Reason::ProviderMisconfigured),
        }
    }
}

/// Counts and records what came of an attempt.
fn audit_outcome(
    context: RequestContext<'_>,
    account: LoginIdHash,
    result: &Result<CompletedLogin, LoginError>,
) {
    let (at, metrics) = (context.audit_context(), &context.site_runtime.metrics);
    match result {
        Ok(signed_in) => {
            metrics.signed_in();
            let at = at.of_sign_in(&signed_in.principal.revocation_key.0);
            audit::signed_in(at, &signed_in.principal.identity.sub, account);
        }
        Err(error) => {
            metrics.sign_in_refused(error.reason());
            audit::sign_in_refused(at, account, error.reason());
        }
    }
}
