//! `two_factor` of a user: what is asked for after the password.

use serde::Deserialize;
use toml::Spanned;

use super::{Diagnostics, is_email, printable};
use crate::embedded::two_factor::TwoFactor;
use crate::embedded::users::totp_code;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// A telephone number is no longer than this, signs and blanks included.
const LONGEST_NUMBER: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TwoFactorEntry {
    totp: Option<Spanned<String>>,
    email: Option<Spanned<String>>,
    sms: Option<Spanned<String>>,
    #[serde(default)]
    recovery_codes: Vec<Spanned<String>>,
}

/// Whether there is a place for messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    Delivered,
    Nowhere,
}

impl TwoFactorEntry {
    /// As it counts, after noting what is wrong; `None` where there is no way to get a code.
    pub(super) fn checked(self, messages: Messages, faults: &mut Diagnostics) -> Option<TwoFactor> {
        if let Some(totp) = self
            .totp
            .as_ref()
            .filter(|totp| totp_code(totp.get_ref(), Timestamp::from_secs(0)).is_none())
        {
            faults.note(
                &totp.span(),
                "no base32 secret of at least 128 bits (26 letters)",
            );
        }
        if let Some(email) = self
            .email
            .as_ref()
            .filter(|email| !is_email(email.get_ref()))
        {
            faults.note(&email.span(), "no e-mail address");
        }
        if let Some(sms) = self.sms.as_ref().filter(|sms| !is_telephone(sms.get_ref())) {
            faults.note(&sms.span(), "no telephone number like \"+1 555 555 5512\"");
        }
        for sent in [&self.email, &self.sms]
            .into_iter()
            .flatten()
            .filter(|_| messages == Messages::Nowhere)
        {
            let hint = "add `outbox = \"outbox\"` at the top of the file: the directory that messages are put into";
            faults.note(
                &sent.span(),
                format!("codes cannot be sent: there is no outbox; {hint}"),
            );
        }
        for code in self
            .recovery_codes
            .iter()
            .filter(|code| code.get_ref().trim().len() < 10)
        {
            faults.note(&code.span(), "a recovery code has at least 10 characters");
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
    let signs = text
        .chars()
        .all(|letter| letter.is_ascii_digit() || "+-() ".contains(letter));
    printable(text) && signs && digits >= 4 && text.len() <= LONGEST_NUMBER
}
