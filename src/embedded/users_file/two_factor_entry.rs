//! The table `two_factor` of a user: the second factor.

use serde::Deserialize;
use toml::Spanned;

use super::users_file_error::ProblemList;
use super::{is_email, is_printable};
use crate::embedded::totp::totp_code;
use crate::embedded::two_factor::TwoFactor;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// The maximum length of a telephone number in bytes, with signs and blanks.
const MAX_TELEPHONE_LENGTH: usize = 32;

/// The minimum length of a recovery code in bytes.
const MIN_RECOVERY_CODE_LENGTH: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TwoFactorEntry {
    totp: Option<Spanned<String>>,
    email: Option<Spanned<String>>,
    sms: Option<Spanned<String>>,
    #[serde(default)]
    recovery_codes: Vec<Spanned<String>>,
}

/// Whether codes can be sent by message, which needs an outbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    Available,
    Unavailable,
}

impl TwoFactorEntry {
    /// The second factor, or `None` if it has no method to get a code. What else is wrong with it
    /// is added to `problems`.
    pub(super) fn validate(
        self,
        messages: Messages,
        problems: &mut ProblemList,
    ) -> Option<TwoFactor> {
        if let Some(totp) = self
            .totp
            .as_ref()
            .filter(|totp| totp_code(totp.get_ref(), Timestamp::from_secs(0)).is_none())
        {
            problems.add(
                &totp.span(),
                "not a base32 secret of at least 128 bits (26 letters)",
            );
        }
        if let Some(email) = self
            .email
            .as_ref()
            .filter(|email| !is_email(email.get_ref()))
        {
            problems.add(&email.span(), "not an e-mail address");
        }
        if let Some(sms) = self.sms.as_ref().filter(|sms| !is_telephone(sms.get_ref())) {
            problems.add(
                &sms.span(),
                "not a telephone number like \"+1 555 555 5512\"",
            );
        }
        if messages == Messages::Unavailable {
            for address in [&self.email, &self.sms].into_iter().flatten() {
                problems.add(
                    &address.span(),
                    "codes cannot be sent: there is no outbox; add `outbox = \"outbox\"` at the top \
                     of the file, the directory for messages",
                );
            }
        }
        for code in &self.recovery_codes {
            if code.get_ref().trim().len() < MIN_RECOVERY_CODE_LENGTH {
                problems.add(
                    &code.span(),
                    format!("a recovery code has at least {MIN_RECOVERY_CODE_LENGTH} characters"),
                );
            }
        }
        if self.totp.is_none() && self.email.is_none() && self.sms.is_none() {
            return None;
        }
        Some(TwoFactor {
            totp: self.totp.map(|totp| Secret::new(totp.into_inner())),
            email: self.email.map(Spanned::into_inner),
            sms: self.sms.map(Spanned::into_inner),
            recovery_codes: self
                .recovery_codes
                .into_iter()
                .map(|code| Secret::new(code.into_inner()))
                .collect(),
        })
    }
}

fn is_telephone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let has_only_digits_and_signs = text
        .chars()
        .all(|character| character.is_ascii_digit() || "+-() ".contains(character));
    is_printable(text)
        && has_only_digits_and_signs
        && digits >= 4
        && text.len() <= MAX_TELEPHONE_LENGTH
}
