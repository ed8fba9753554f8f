//! The second factor of a user: a code that is asked for after the password, and the methods to get
//! one.

use crate::model::login_step::FactorKind;
use crate::model::masking;
use crate::model::secret::Secret;

/// The second factor of a user. It has at least one method: `totp`, `email` or `sms`.
#[derive(Clone, Debug, Default)]
pub struct TwoFactor {
    /// The secret that the authenticator app shares: base32, at least 128 bits.
    pub totp: Option<Secret>,
    /// The e-mail address that codes are sent to.
    pub email: Option<String>,
    /// The telephone number that codes are sent to.
    pub sms: Option<String>,
    /// Codes for a user who has lost the device. Each works once.
    pub recovery_codes: Vec<Secret>,
}

/// A method to get a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoFactorMethod<'a> {
    /// The method's id in the API.
    pub id: &'static str,
    /// The kind of method: app, e-mail or SMS.
    pub kind: FactorKind,
    /// Where codes are sent; empty for the authenticator app.
    pub address: &'a str,
}

impl TwoFactor {
    /// All methods, the authenticator app first.
    pub fn methods(&self) -> impl Iterator<Item = TwoFactorMethod<'_>> {
        let app = self.totp.as_ref().map(|_| TwoFactorMethod {
            id: "TOTP",
            kind: FactorKind::Authenticator,
            address: "",
        });
        let email = self.email.as_ref().map(|address| TwoFactorMethod {
            id: "EMAIL",
            kind: FactorKind::Email,
            address,
        });
        let sms = self.sms.as_ref().map(|address| TwoFactorMethod {
            id: "SMS",
            kind: FactorKind::Sms,
            address,
        });
        [app, email, sms].into_iter().flatten()
    }
}

impl TwoFactorMethod<'_> {
    /// Whether codes are sent by message; the authenticator app makes them itself.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        match self.kind {
            FactorKind::Authenticator => false,
            FactorKind::Email | FactorKind::Sms => true,
        }
    }

    /// The address with most characters hidden, for a client that has proved only the password.
    /// `None` for the authenticator app.
    #[must_use]
    pub fn masked(&self) -> Option<String> {
        match self.kind {
            FactorKind::Authenticator => None,
            FactorKind::Email => masking::email(self.address),
            FactorKind::Sms => masking::telephone(self.address),
        }
    }
}
