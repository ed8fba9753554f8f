//! The policy for new passwords.

/// FusionAuth's default, in characters.
const DEFAULT_MIN_LENGTH: usize = 8;
/// FusionAuth's default, in characters.
const DEFAULT_MAX_LENGTH: usize = 256;

/// The policy for new passwords. It does not apply to passwords in the users file, of which only
/// the hashes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The minimum length in characters.
    pub min_length: usize,
    /// The maximum length in characters.
    pub max_length: usize,
    /// Whether a password must have a digit.
    pub require_number: bool,
    /// Whether a password must have upper-case and lower-case letters.
    pub require_mixed_case: bool,
    /// Whether a password must have a character that is not a letter.
    pub require_non_alpha: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_length: DEFAULT_MIN_LENGTH,
            max_length: DEFAULT_MAX_LENGTH,
            require_number: false,
            require_mixed_case: false,
            require_non_alpha: false,
        }
    }
}

/// A rule of the policy that a password violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyViolation {
    /// The password is empty or left out.
    Blank,
    /// It has fewer characters than this minimum.
    TooShort(usize),
    /// It has more characters than this maximum.
    TooLong(usize),
    /// It has no digit, which the policy requires.
    RequireNumber,
    /// It does not have both upper-case and lower-case letters.
    SingleCase,
    /// It has only letters, which the policy forbids.
    OnlyAlpha,
    /// It is the current password.
    PreviouslyUsed,
}

impl PasswordPolicy {
    /// All violations of the policy by `password`. [`PolicyViolation::PreviouslyUsed`] is not among
    /// them, because earlier passwords are not known here.
    #[must_use]
    pub fn violations(&self, password: &str) -> Vec<PolicyViolation> {
        let length = password.chars().count();
        if length == 0 {
            return vec![PolicyViolation::Blank];
        }
        let has_mixed_case =
            password.chars().any(char::is_uppercase) && password.chars().any(char::is_lowercase);
        let rules = [
            (
                length < self.min_length,
                PolicyViolation::TooShort(self.min_length),
            ),
            (
                length > self.max_length,
                PolicyViolation::TooLong(self.max_length),
            ),
            (
                self.require_number && !password.chars().any(char::is_numeric),
                PolicyViolation::RequireNumber,
            ),
            (
                self.require_mixed_case && !has_mixed_case,
                PolicyViolation::SingleCase,
            ),
            (
                self.require_non_alpha && password.chars().all(char::is_alphabetic),
                PolicyViolation::OnlyAlpha,
            ),
        ];
        rules
            .into_iter()
            .filter(|(is_violated, _)| *is_violated)
            .map(|(_, violation)| violation)
            .collect()
    }
}

impl PolicyViolation {
    /// FusionAuth's error code, without the field name.
    #[must_use]
    pub const fn code(self) -> &'static str {
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

    /// The error message of the API.
    #[must_use]
    pub fn message(self) -> String {
        match self {
            Self::Blank => "You must specify the [password] property.".to_owned(),
            Self::TooShort(min) => {
                format!("The [password] property must have at least {min} characters.")
            }
            Self::TooLong(max) => {
                format!("The [password] property must have at most {max} characters.")
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
    fn the_default_policy_is_about_length_alone() {
        let policy = PasswordPolicy::default();
        for (password, violations) in [
            ("", vec![PolicyViolation::Blank]),
            ("7 bytes", vec![PolicyViolation::TooShort(8)]),
            ("8 bytes!", vec![]),
            ("äääääää", vec![PolicyViolation::TooShort(8)]),
            ("ääääääää", vec![]),
        ] {
            assert_eq!(policy.violations(password), violations, "{password}");
        }
        assert_eq!(policy.violations(&"x".repeat(256)), []);
        assert_eq!(
            policy.violations(&"x".repeat(257)),
            [PolicyViolation::TooLong(256)]
        );
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let policy = PasswordPolicy {
            min_length: 10,
            require_number: true,
            require_mixed_case: true,
            require_non_alpha: true,
            ..PasswordPolicy::default()
        };
        for (password, violations) in [
            (
                "password",
                vec![
                    PolicyViolation::TooShort(10),
                    PolicyViolation::RequireNumber,
                    PolicyViolation::SingleCase,
                    PolicyViolation::OnlyAlpha,
                ],
            ),
            (
                "passwordpassword",
                vec![
                    PolicyViolation::RequireNumber,
                    PolicyViolation::SingleCase,
                    PolicyViolation::OnlyAlpha,
                ],
            ),
            (
                "PassWordPassWord",
                vec![PolicyViolation::RequireNumber, PolicyViolation::OnlyAlpha],
            ),
            ("PassWord-PassWord", vec![PolicyViolation::RequireNumber]),
            ("PASSWORD-PASSW0RD", vec![PolicyViolation::SingleCase]),
            ("PassW0rdPassW0rd", vec![]),
        ] {
            assert_eq!(policy.violations(password), violations, "{password}");
        }
    }
}
