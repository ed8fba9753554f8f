//! The steps that a provider may ask for after the password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::secret::Secret;

/// A step after the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginStep {
    /// The code of a second factor: of an authenticator app, of a message, or a recovery code.
    TwoFactor,
    /// A new password, because the old one may no longer be used.
    NewPassword,
}

impl LoginStep {
    /// How long the provider waits for the step: the defaults of FusionAuth.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::TwoFactor => Duration::from_secs(5 * 60),
            Self::NewPassword => Duration::from_secs(10 * 60),
        }
    }

    /// The step's name, which is part of the purpose of a challenge's seal.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::TwoFactor => "two-factor",
            Self::NewPassword => "password",
        }
    }
}

impl fmt::Display for LoginStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The step that the provider waits for. The ids are the provider's own and reach no client
/// unsealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingStep {
    /// The code of a second factor.
    SecondFactor {
        /// The provider's id of the pending login.
        id: Secret,
        /// Where the code may come from. Empty where the provider does not say; then only a user
        /// who has a code already can continue.
        methods: Vec<OfferedMethod>,
    },
    /// A new password, because the old one may no longer be used.
    NewPassword {
        /// The provider's id of the permitted change.
        id: Secret,
    },
}

impl PendingStep {
    /// The step without the provider's data.
    #[must_use]
    pub const fn step(&self) -> LoginStep {
        match self {
            Self::SecondFactor { .. } => LoginStep::TwoFactor,
            Self::NewPassword { .. } => LoginStep::NewPassword,
        }
    }
}

/// One of the methods that a second factor's code may come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMethod {
    /// The provider's id of the method.
    pub id: Secret,
    /// The kind of method.
    pub kind: FactorKind,
    /// The masked address that a code is sent to: at most 100 printable characters.
    pub label: Option<String>,
}

/// The kinds of second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactorKind {
    /// An authenticator app. No code is sent.
    Authenticator,
    /// A message to an e-mail address.
    Email,
    /// A message to a telephone.
    Sms,
}

impl FactorKind {
    /// All kinds, in no particular order.
    pub const ALL: [Self; 3] = [Self::Authenticator, Self::Email, Self::Sms];

    /// The name of the kind, which is FusionAuth's.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// The fields of a step's form, as posted. Those of other steps are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepForm {
    /// The sealed challenge, which the form carries.
    pub challenge: Secret,
    /// The code, as typed.
    pub code: Secret,
    /// Whether "do not ask again on this device" is ticked.
    pub trust_device: bool,
    /// The sealed choice of a method, to be sent a code.
    pub choice: Secret,
    /// The new password, byte for byte as typed.
    pub password: Secret,
    /// The CSRF token, see `decide::csrf_token`.
    pub csrf: String,
    /// The form that was posted after the login had expired, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// What a user submits for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepSubmission {
    /// The code of a second factor, or a recovery code.
    Code {
        /// The code without the white space that is typed along.
        code: Secret,
        /// Whether the provider shall not ask again on this device for a while.
        trust_device: bool,
    },
    /// A new password, byte for byte as typed.
    Password(Secret),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_waited_for_as_long_as_fusionauth_does() {
        assert_eq!(LoginStep::TwoFactor.lifetime(), Duration::from_secs(300));
        assert_eq!(LoginStep::NewPassword.lifetime(), Duration::from_secs(600));
    }
}
