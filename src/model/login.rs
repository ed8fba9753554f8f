//! What a person types to sign in, and what may come of it.

use std::sync::Arc;

use super::challenge::NextStep;
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
    /// What the visitor wanted to send when their session had ended, sealed.
    pub preserved_post: Option<Arc<str>>,
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
    /// Where to go afterwards, for the steps that may follow.
    pub return_to: Option<ReturnPath>,
}

/// Why an attempt did not lead to a session, although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRefused {
    /// Why: one of the codes of `docs/reference/endpoints.md#fusionauth-responses`.
    pub reason: Reason,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// The provider's word for why a password must be changed.
    pub change_reason: Option<String>,
    /// What the provider waits for: with `two_factor_required` and `password_change_required`
    /// alone.
    pub pending_step: Option<PendingStep>,
    /// Which rules a new password breaks: with `rejected_input` alone, and empty where the provider
    /// does not say.
    pub violations: Vec<PasswordViolation>,
    /// What is awaited as the client may know it: sealed by the gateway, which then keeps `awaited`
    /// to itself.
    pub next_step: Option<Box<NextStep>>,
}

impl LoginRefused {
    /// A refusal that says no more than its reason.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            retry_after: None,
            change_reason: None,
            pending_step: None,
            violations: Vec::new(),
            next_step: None,
        }
    }
}

/// What the provider waits for before it lets a person in. Ids are the provider's own: they never
/// reach a client unsealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingStep {
    /// A code.
    SecondFactor {
        /// Names the sign-in that waits.
        id: Secret,
        /// Where the code may come from. Empty where the provider does not say: then only who has a
        /// code goes on.
        methods: Vec<OfferedMethod>,
    },
    /// A new password.
    NewPassword {
        /// Names the change that is allowed.
        id: Secret,
    },
}

/// One of the ways to get a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMethod {
    /// The provider's name for it.
    pub id: Secret,
    /// What it is.
    pub kind: FactorKind,
    /// Where a code is sent to: a masked address, at most 100 characters, printable.
    pub label: Option<String>,
}

/// Where a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FactorKind {
    /// An app of the person's own; nothing is sent.
    Authenticator,
    /// A message to an e-mail address.
    Email,
    /// A message to a telephone.
    Sms,
}

impl FactorKind {
    /// FusionAuth's word, which is ours too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

/// A rule that a new password breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordViolation {
    /// It has fewer characters than this, where the provider says how many it wants.
    TooShort(Option<u32>),
    /// It has more characters than this, where the provider says how many it takes.
    TooLong(Option<u32>),
    /// It has no digit.
    RequireNumber,
    /// It has not both upper and lower case.
    RequireMixedCase,
    /// It has letters only.
    RequireNonAlpha,
    /// It was in use before.
    PreviouslyUsed,
    /// The last change was too short a while ago.
    TooYoung,
    /// It is known from a breach, or too common.
    Breached,
    /// It is the sign-in name.
    MatchesLoginId,
    /// A rule that has no word here.
    Other,
}

impl PasswordViolation {
    /// The word programs are told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort(_) => "tooShort",
            Self::TooLong(_) => "tooLong",
            Self::RequireNumber => "requireNumber",
            Self::RequireMixedCase => "requireMixedCase",
            Self::RequireNonAlpha => "requireNonAlpha",
            Self::PreviouslyUsed => "previouslyUsed",
            Self::TooYoung => "tooYoung",
            Self::Breached => "breached",
            Self::MatchesLoginId => "matchesLoginId",
            Self::Other => "other",
        }
    }

    /// How many characters the rule asks for or allows, where it is told.
    #[must_use]
    pub const fn limit(self) -> Option<u32> {
        match self {
            Self::TooShort(limit) | Self::TooLong(limit) => limit,
            Self::RequireNumber
            | Self::RequireMixedCase
            | Self::RequireNonAlpha
            | Self::PreviouslyUsed
            | Self::TooYoung
            | Self::Breached
            | Self::MatchesLoginId
            | Self::Other => None,
        }
    }
}
