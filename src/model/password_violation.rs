//! The rules of a provider that a new password may break.

/// A rule that a new password breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordViolation {
    /// It has fewer characters than required; the minimum, where the provider tells it.
    TooShort(Option<u32>),
    /// It has more characters than allowed; the maximum, where the provider tells it.
    TooLong(Option<u32>),
    /// It has no digit.
    RequireNumber,
    /// It has not both upper-case and lower-case letters.
    RequireMixedCase,
    /// It has letters only.
    RequireNonAlpha,
    /// It was used before.
    PreviouslyUsed,
    /// The last change was too short a time ago.
    TooYoung,
    /// It is known from a breach, or too common.
    Breached,
    /// It equals the login name.
    MatchesLoginId,
    /// A rule that the provider does not name, or that has no name here.
    Other,
}

impl PasswordViolation {
    /// The name in problem documents.
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

    /// The number of characters that the rule requires or allows, where it is known.
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
