//! What is asked for after the password: a code, and where it may come from.

use crate::model::login::FactorKind;
use crate::model::masking;
use crate::model::secret::Secret;

/// What is asked for after the password. There is at least one way to get a code.
#[derive(Clone, Debug, Default)]
pub struct TwoFactor {
    /// The secret shared with the authenticator app: base32, at least 128 bits.
    pub totp: Option<Secret>,
    /// An address that codes are sent to.
    pub email: Option<String>,
    /// A telephone that codes are sent to.
    pub sms: Option<String>,
    /// Codes that work once each, for a lost phone.
    pub recovery_codes: Vec<Secret>,
}

/// One of the ways to get a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method<'a> {
    /// What the API calls it.
    pub id: &'static str,
    /// What it is.
    pub kind: FactorKind,
    /// Where a code is sent to; empty for the app.
    pub address: &'a str,
}

impl TwoFactor {
    /// Every way, the app first.
    pub fn methods(&self) -> impl Iterator<Item = Method<'_>> {
        let app = self.totp.as_ref().map(|_| Method {
            id: "TOTP",
            kind: FactorKind::Authenticator,
            address: "",
        });
        let email = self.email.as_ref().map(|address| Method {
            id: "EMAIL",
            kind: FactorKind::Email,
            address,
        });
        let sms = self.sms.as_ref().map(|address| Method {
            id: "SMS",
            kind: FactorKind::Sms,
            address,
        });
        [app, email, sms].into_iter().flatten()
    }
}

impl Method<'_> {
    /// Whether a code is sent.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        match self.kind {
            FactorKind::Authenticator => false,
            FactorKind::Email | FactorKind::Sms => true,
        }
    }

    /// The address as the screen of somebody who knows the password alone may show it.
    #[must_use]
    pub fn masked(&self) -> Option<String> {
        match self.kind {
            FactorKind::Authenticator => None,
            FactorKind::Email => masking::email(self.address),
            FactorKind::Sms => masking::telephone(self.address),
        }
    }
}
