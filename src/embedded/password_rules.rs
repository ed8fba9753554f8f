//! What a new password must be.

/// In characters, FusionAuth's own default.
const SHORTEST: usize = 8;
/// In characters, FusionAuth's own default.
const LONGEST: usize = 256;

/// What a new password must be. Passwords that stand in the users file are not measured: only their
/// hashes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// In characters.
    pub min_length: usize,
    /// In characters.
    pub max_length: usize,
    /// Whether it has a digit.
    pub require_number: bool,
    /// Whether it has upper and lower case.
    pub require_mixed_case: bool,
    /// Whether it has anything but letters.
    pub require_non_alpha: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            min_length: SHORTEST,
            max_length: LONGEST,
            require_number: false,
            require_mixed_case: false,
            require_non_alpha: false,
        }
    }
}

/// A rule that a password breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is empty.
    Blank,
    /// It has fewer characters than this.
    TooShort(usize),
    /// It has more characters than this.
    TooLong(usize),
    /// It has no digit.
    RequireNumber,
    /// It has not both upper and lower case.
    SingleCase,
    /// It has letters only.
    OnlyAlpha,
    /// It is the one that is in use.
    PreviouslyUsed,
}

impl PasswordRules {
    /// Every rule that `password` breaks; whether it was in use before is not known here.
    #[must_use]
    pub fn broken_by(&self, password: &str) -> Vec<Broken> {
        let length = password.chars().count();
        if length == 0 {
            return vec![Broken::Blank];
        }
        let mixed =
            password.chars().any(char::is_uppercase) && password.chars().any(char::is_lowercase);
        let rules = [
            (length < self.min_length, Broken::TooShort(self.min_length)),
            (length > self.max_length, Broken::TooLong(self.max_length)),
            (
                self.require_number && !password.chars().any(char::is_numeric),
                Broken::RequireNumber,
            ),
            (self.require_mixed_case && !mixed, Broken::SingleCase),
            (
                self.require_non_alpha && password.chars().all(char::is_alphabetic),
                Broken::OnlyAlpha,
            ),
        ];
        rules
            .into_iter()
            .filter(|(broken, _)| *broken)
            .map(|(_, rule)| rule)
            .collect()
    }
}

impl Broken {
    /// FusionAuth's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::TooShort(_) => "tooShort",
            Self::TooLong(_) => "tooLong",
            Self::RequireNumber => "requireNumber",
            Self::SingleCase => "singleCase",
            Self::OnlyAlpha => "onlyAlpha",
            Self::PreviouslyUsed => "previouslyUsed",
        }
    }

    /// For people.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Blank => "You must specify the [password] property.".to_owned(),
            Self::TooShort(least) => {
                format!("The [password] property must have at least {least} characters.")
            }
            Self::TooLong(most) => {
                format!("The [password] property must have at most {most} characters.")
            }
            Self::RequireNumber => "The [password] property must contain a number.".to_owned(),
            Self::SingleCase => {
                "The [password] property must contain upper and lower case letters.".to_owned()
            }
            Self::OnlyAlpha => {
                "The [password] property must contain something else than letters.".to_owned()
            }
            Self::PreviouslyUsed => "The [password] property was used before.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rules_are_about_length_alone() {
        let rules = PasswordRules::default();
        for (password, broken) in [
            ("", vec![Broken::Blank]),
            ("7 bytes", vec![Broken::TooShort(8)]),
            ("8 bytes!", vec![]),
            ("äääääää", vec![Broken::TooShort(8)]),
            ("ääääääää", vec![]),
        ] {
            assert_eq!(rules.broken_by(password), broken, "{password}");
        }
        assert_eq!(rules.broken_by(&"x".repeat(256)), []);
        assert_eq!(rules.broken_by(&"x".repeat(257)), [Broken::TooLong(256)]);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let rules = PasswordRules {
            min_length: 10,
            require_number: true,
            require_mixed_case: true,
            require_non_alpha: true,
            ..PasswordRules::default()
        };
        for (password, broken) in [
            (
                "password",
                vec![
                    Broken::TooShort(10),
                    Broken::RequireNumber,
                    Broken::SingleCase,
                    Broken::OnlyAlpha,
                ],
            ),
            (
                "passwordpassword",
                vec![Broken::RequireNumber, Broken::SingleCase, Broken::OnlyAlpha],
            ),
            (
                "PassWordPassWord",
                vec![Broken::RequireNumber, Broken::OnlyAlpha],
            ),
            ("PassWord-PassWord", vec![Broken::RequireNumber]),
            ("PASSWORD-PASSW0RD", vec![Broken::SingleCase]),
            ("PassW0rdPassW0rd", vec![]),
        ] {
            assert_eq!(rules.broken_by(password), broken, "{password}");
        }
    }
}
