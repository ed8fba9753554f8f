//! The table `[password]`: the policy for new passwords.

use serde::Deserialize;
use toml::Spanned;

use super::users_file_error::ProblemList;
use crate::embedded::password_policy::PasswordPolicy;

/// The lowest `min_length` that the file can set, in characters. NIST SP 800-63B, section 5.1.1.2,
/// recommends 8.
const LOWEST_MIN_LENGTH: usize = 4;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordEntry {
    min_length: Option<Spanned<usize>>,
    #[serde(default)]
    require_number: bool,
    #[serde(default)]
    require_mixed_case: bool,
    #[serde(default)]
    require_non_alpha: bool,
}

impl PasswordEntry {
    /// The policy. What is wrong with it is added to `problems`.
    pub(super) fn validate(self, problems: &mut ProblemList) -> PasswordPolicy {
        let defaults = PasswordPolicy::default();
        let min_length = self.min_length.map_or(defaults.min_length, |value| {
            if !(LOWEST_MIN_LENGTH..=defaults.max_length).contains(value.get_ref()) {
                problems.add(
                    &value.span(),
                    format!("not from {LOWEST_MIN_LENGTH} to {}", defaults.max_length),
                );
            }
            value.into_inner()
        });
        PasswordPolicy {
            min_length,
            require_number: self.require_number,
            require_mixed_case: self.require_mixed_case,
            require_non_alpha: self.require_non_alpha,
            ..defaults
        }
    }
}
