//! A login with a password: what a user submits, and why it is refused.

use std::sync::Arc;

use super::challenge::NextStep;
use super::login_step::PendingStep;
use super::password_violation::PasswordViolation;
use super::reason::Reason;
use super::return_path::ReturnPath;
use super::secret::Secret;

/// The fields of the login form, as posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginForm {
    /// The login name: an e-mail address or a username, as typed.
    pub login_id: String,
    /// The password, byte for byte as typed.
    pub password: Secret,
    /// Where to go after the login; `None` where the field is absent or no address of this site.
    pub return_to: Option<ReturnPath>,
    /// Whether "keep me signed in" is ticked.
    pub remember: bool,
    /// The CSRF token, see `decide::csrf_token`.
    pub csrf: String,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// One attempt to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The login name, byte for byte as typed.
    pub login_id: String,
    /// The password, byte for byte as typed.
    pub password: Secret,
    /// Whether the cookies shall outlive the browser session.
    pub remember: bool,
    /// Where to go after the login, for the steps that may follow.
    pub return_to: Option<ReturnPath>,
    /// The CSRF token of the browser that posted the login form, which the steps that follow are
    /// bound to; `None` for API clients.
    pub browser: Option<String>,
}

/// A login that was refused, or that the provider asks something more for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRefused {
    /// The reason code, one of [`Reason::is_login_result`] or `throttled`.
    pub reason: Reason,
    /// The status of the provider's response, for the log.
    pub provider_status: Option<u16>,
    /// The provider's word for the error, for the log.
    pub provider_error: Option<&'static str>,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// The provider's word for why the password must be changed.
    pub change_reason: Option<String>,
    /// The step that the provider waits for, with `two_factor_required` and
    /// `password_change_required`.
    pub pending_step: Option<Box<PendingStep>>,
    /// The rules that a new password breaks, with `rejected_input`. Empty where the provider does
    /// not say.
    pub violations: Vec<PasswordViolation>,
    /// The pending step as the client sees it, sealed. The gateway fills it from `pending_step`,
    /// which it then removes.
    pub next_step: Option<Box<NextStep>>,
}

impl LoginRefused {
    /// A refusal that has no details beyond its reason code.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            provider_status: None,
            provider_error: None,
            retry_after: None,
            change_reason: None,
            pending_step: None,
            violations: Vec::new(),
            next_step: None,
        }
    }
}
