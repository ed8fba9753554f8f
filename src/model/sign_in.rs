//! What a person types to sign in, and what may come of it.

use super::reason::Reason;
use super::return_path::ReturnPath;
use super::secret::Secret;

/// The fields of the sign-in form, as posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginForm {
    /// What the person calls themselves: an e-mail address or a username.
    pub login_id: String,
    /// Byte for byte as typed.
    pub password: Secret,
    /// Where to go afterwards, where the form said so and it is an address of this site.
    pub return_to: Option<ReturnPath>,
    /// "Keep me signed in".
    pub remember: bool,
    /// The form's proof that it was served to this browser.
    pub csrf: String,
}

/// One attempt to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name, byte for byte as typed.
    pub login_id: String,
    /// The password, byte for byte as typed.
    pub password: Secret,
    /// Whether the cookies shall outlive the browser.
    pub remember: bool,
}

/// Why an attempt did not lead to a session, although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRefused {
    /// Why, from the list of the contract's section 4.
    pub reason: Reason,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// The provider's word for why a password must be changed.
    pub change_reason: Option<String>,
}

impl SignInRefused {
    /// A refusal that says no more than its reason.
    #[must_use]
    pub const fn because(reason: Reason) -> Self {
        Self { reason, retry_after: None, change_reason: None }
    }
}
