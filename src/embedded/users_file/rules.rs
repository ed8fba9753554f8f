//! `[password]`: what new passwords must be.

use serde::Deserialize;
use toml::Spanned;

use super::Diagnostics;
use crate::embedded::password_rules::PasswordRules;

/// Less than this is no password (NIST SP 800-63B, section 5.1.1.2, asks for 8).
const LEAST: usize = 4;

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
    pub(super) fn checked(self, faults: &mut Diagnostics) -> PasswordRules {
        let usual = PasswordRules::default();
        let min_length = self.min_length.map_or(usual.min_length, |written| {
            if !(LEAST..=usual.max_length).contains(written.get_ref()) {
                faults.note(
                    &written.span(),
                    format!("not from {LEAST} to {}", usual.max_length),
                );
            }
            written.into_inner()
        });
        PasswordRules {
            min_length,
            require_number: self.require_number,
            require_mixed_case: self.require_mixed_case,
            require_non_alpha: self.require_non_alpha,
            ..usual
        }
    }
}
