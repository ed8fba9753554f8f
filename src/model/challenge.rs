//! The steps that may follow a password: what a client carries from one to the next, sealed.
//!
//! A challenge is the provider's id with what the first step chose, bound to one site and one step,
//! good for minutes and for one success. Whoever has it has proved a password; nobody but the
//! gateway can read or make one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::api_request::TokenDelivery;
use super::credential::{NONCE_BYTES, SealingKeys};
use super::login::{FactorKind, OfferedMethod, PendingStep};
use super::return_path::ReturnPath;
use super::secret::Secret;
use super::timestamp::Timestamp;

/// A step that may follow a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginStep {
    /// A code of an app, a message, or a recovery code.
    TwoFactor,
    /// A new password.
    NewPassword,
}

impl LoginStep {
    /// How long the provider waits for it: FusionAuth's defaults.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::TwoFactor => Duration::from_secs(5 * 60),
            Self::NewPassword => Duration::from_secs(10 * 60),
        }
    }

    /// Part of what a seal is bound to.
    const fn as_str(self) -> &'static str {
        match self {
            Self::TwoFactor => "two-factor",
            Self::NewPassword => "password",
        }
    }
}

impl PendingStep {
    /// The step that ends the waiting.
    #[must_use]
    pub const fn step(&self) -> LoginStep {
        match self {
            Self::SecondFactor { .. } => LoginStep::TwoFactor,
            Self::NewPassword { .. } => LoginStep::NewPassword,
        }
    }
}

/// What was chosen when the password was typed, and holds for the steps that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOptions {
    /// What the person calls themselves, byte for byte as typed: attempts count for it.
    pub login_id: String,
    /// Whether the cookies shall outlive the browser.
    pub remember: bool,
    /// Where the tokens are wanted.
    pub token_delivery: TokenDelivery,
    /// Where to go afterwards.
    pub return_to: Option<ReturnPath>,
}

/// A sign-in that waits for its next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Tells it from every other, so that it is good for one success.
    pub id: String,
    /// What the provider waits for, with the provider's own ids.
    pub pending_step: PendingStep,
    /// When it is over.
    pub expires: Timestamp,
    /// What was chosen with the password.
    pub options: LoginOptions,
    /// The provider's word for why a password must be changed.
    pub change_reason: Option<String>,
}

/// The next step as a client may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Which.
    pub step: LoginStep,
    /// The sealed challenge.
    pub challenge: Secret,
    /// The ways to prove it is oneself, in the provider's order; none for a new password.
    pub methods: Vec<MethodChoice>,
    /// The provider's word for why a password must be changed.
    pub change_reason: Option<String>,
}

/// One way to prove that it is oneself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodChoice {
    /// Which kind.
    pub kind: FactorKind,
    /// Where a code is sent, masked.
    pub label: Option<String>,
    /// The provider's id of it, sealed: the client's word for this choice.
    pub choice: Secret,
}

impl MethodChoice {
    /// Whether a code is sent for it on demand.
    #[must_use]
    pub const fn sends_code(&self) -> bool {
        match self.kind {
            FactorKind::Authenticator => false,
            FactorKind::Email | FactorKind::Sms => true,
        }
    }
}

/// The fields of a step's form, as posted; those of the other steps are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepForm {
    /// The sealed challenge.
    pub challenge: Secret,
    /// The code, as typed.
    pub code: Secret,
    /// "Do not ask again on this device".
    pub trust_device: bool,
    /// The sealed choice of a way to be sent a code.
    pub choice: Secret,
    /// The new password, byte for byte as typed.
    pub password: Secret,
    /// The form's proof that it was served to this browser.
    pub csrf: String,
    /// What the visitor wanted to send when their session had ended, sealed.
    pub preserved_post: Option<Arc<str>>,
}

/// What a person answers to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepSubmission {
    /// The code of a second factor, or a recovery code.
    Code {
        /// Without the blanks that people type along.
        code: Secret,
        /// Whether the device shall not be asked again for a while.
        trust_device: bool,
    },
    /// A new password, byte for byte as typed.
    Password(Secret),
}

/// A challenge that came back and was opened, with what its step's form shows again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChallenge {
    /// What was in it.
    pub challenge: Challenge,
    /// The same step, as the client knows it.
    pub next_step: NextStep,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    i: String,
    p: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    m: Vec<(String, String, Option<String>)>,
    e: u64,
    l: String,
    r: bool,
    b: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    g: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<String>,
}

impl Challenge {
    /// What it is as a client carries it, for one site. `nonce` is random and used once. `None`
    /// only if the cipher itself fails.
    #[must_use]
    pub fn seal(&self, keys: &SealingKeys, site: &str, nonce: [u8; NONCE_BYTES]) -> Option<Secret> {
        let (id, methods) = match &self.pending_step {
            PendingStep::SecondFactor { id, methods } => (id, methods.as_slice()),
            PendingStep::NewPassword { id } => (id, [].as_slice()),
        };
        let method = |method: &OfferedMethod| {
            (
                method.id.expose().to_owned(),
                method.kind.as_str().to_owned(),
                method.label.clone(),
            )
        };
        let inside = Sealed {
            i: self.id.clone(),
            p: id.expose().to_owned(),
            m: methods.iter().map(method).collect(),
            e: self.expires.millis(),
            l: self.options.login_id.clone(),
            r: self.options.remember,
            b: self.options.token_delivery == TokenDelivery::Body,
            g: self.options.return_to.as_ref().map(ToString::to_string),
            c: self.change_reason.clone(),
        };
        let body = serde_json::to_vec(&inside).ok()?;
        let sealed = keys.seal_bytes(&purpose(site, self.pending_step.step()), body, nonce)?;
        Some(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens what [`Challenge::seal`] made for the same site and step; everything else is `None`.
    /// Whether it is over by now, or spent, is not looked at.
    #[must_use]
    pub fn open(keys: &SealingKeys, site: &str, step: LoginStep, text: &str) -> Option<Self> {
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&keys.open_bytes(&purpose(site, step), &whole)?).ok()?;
        let id = Secret::new(inside.p);
        let awaited = match step {
            LoginStep::NewPassword => PendingStep::NewPassword { id },
            LoginStep::TwoFactor => {
                let method = |(id, kind, label): (String, String, Option<String>)| {
                    let kind = KINDS.into_iter().find(|known| known.as_str() == kind)?;
                    Some(OfferedMethod {
                        id: Secret::new(id),
                        kind,
                        label,
                    })
                };
                PendingStep::SecondFactor {
                    id,
                    methods: inside.m.into_iter().map(method).collect::<Option<_>>()?,
                }
            }
        };
        Some(Self {
            id: inside.i,
            pending_step: awaited,
            expires: Timestamp::from_millis(inside.e),
            options: LoginOptions {
                login_id: inside.l,
                remember: inside.r,
                token_delivery: if inside.b {
                    TokenDelivery::Body
                } else {
                    TokenDelivery::Cookie
                },
                return_to: inside.g.as_deref().and_then(ReturnPath::parse),
            },
            change_reason: inside.c,
        })
    }

    /// The ways that were offered.
    #[must_use]
    pub fn methods(&self) -> &[OfferedMethod] {
        match &self.pending_step {
            PendingStep::SecondFactor { methods, .. } => methods,
            PendingStep::NewPassword { .. } => &[],
        }
    }

    /// The client's word for one of these ways, good with this challenge only. `nonce` and `None`
    /// as for [`Challenge::seal`].
    #[must_use]
    pub fn seal_choice(
        &self,
        keys: &SealingKeys,
        site: &str,
        method: &OfferedMethod,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Secret> {
        let sealed = keys.seal_bytes(
            &self.choice_purpose(site),
            method.id.expose().as_bytes().to_vec(),
            nonce,
        )?;
        Some(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// The position of the way that `text` chooses, where this challenge offers it.
    #[must_use]
    pub fn open_choice(&self, keys: &SealingKeys, site: &str, text: &str) -> Option<usize> {
        let id = keys.open_bytes(
            &self.choice_purpose(site),
            &URL_SAFE_NO_PAD.decode(text).ok()?,
        )?;
        self.methods()
            .iter()
            .position(|method| method.id.expose().as_bytes() == id)
    }

    fn choice_purpose(&self, site: &str) -> String {
        format!("vestibule choice\0{}\0{site}", self.id)
    }
}

const KINDS: [FactorKind; 3] = [
    FactorKind::Authenticator,
    FactorKind::Email,
    FactorKind::Sms,
];

fn purpose(site: &str, step: LoginStep) -> String {
    format!("vestibule challenge\0{}\0{site}", step.as_str())
}

impl fmt::Display for LoginStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> SealingKeys {
        SealingKeys::new(&[[1; 32]]).unwrap()
    }

    fn two_factor(id: &str) -> Challenge {
        let method = |id: &str, kind, label: Option<&str>| OfferedMethod {
            id: Secret::new(id),
            kind,
            label: label.map(str::to_owned),
        };
        Challenge {
            id: id.into(),
            pending_step: PendingStep::SecondFactor {
                id: Secret::new("the-providers-id"),
                methods: vec![
                    method("TOTP", FactorKind::Authenticator, None),
                    method("m-2", FactorKind::Email, Some("s•••@example.com")),
                    method("m-3", FactorKind::Sms, Some("•••12")),
                ],
            },
            expires: Timestamp::from_secs(1_700_000_300),
            options: LoginOptions {
                login_id: " Ann ".into(),
                remember: true,
                token_delivery: TokenDelivery::Body,
                return_to: ReturnPath::parse("/cart#x"),
            },
            change_reason: None,
        }
    }

    fn new_password() -> Challenge {
        let awaited = PendingStep::NewPassword {
            id: Secret::new("the-providers-id"),
        };
        Challenge {
            pending_step: awaited,
            change_reason: Some("Expired".into()),
            ..two_factor("c1")
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        for challenge in [two_factor("c1"), new_password()] {
            let sealed = challenge.seal(&ring(), "store", [9; 12]).unwrap();
            let step = challenge.pending_step.step();
            assert_eq!(
                Challenge::open(&ring(), "store", step, sealed.expose()),
                Some(challenge)
            );
        }
    }

    #[test]
    fn it_opens_at_its_own_site_and_step_only() {
        let sealed = two_factor("c1").seal(&ring(), "store", [9; 12]).unwrap();
        assert_eq!(
            Challenge::open(&ring(), "forum", LoginStep::TwoFactor, sealed.expose()),
            None
        );
        assert_eq!(
            Challenge::open(&ring(), "store", LoginStep::NewPassword, sealed.expose()),
            None
        );
        let other = SealingKeys::new(&[[2; 32]]).unwrap();
        assert_eq!(
            Challenge::open(&other, "store", LoginStep::TwoFactor, sealed.expose()),
            None
        );
        let sealed = sealed.expose();
        for at in 0..sealed.len() {
            let mut changed = sealed.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                Challenge::open(&ring(), "store", LoginStep::TwoFactor, &changed),
                None,
                "byte {at}"
            );
        }
        for junk in ["", "AAAA", "not base64!", &"A".repeat(9000)] {
            assert_eq!(
                Challenge::open(&ring(), "store", LoginStep::TwoFactor, junk),
                None
            );
        }
    }

    #[test]
    fn a_choice_is_good_with_its_own_challenge_only() {
        let (mine, other) = (two_factor("c1"), two_factor("c2"));
        let PendingStep::SecondFactor { methods, .. } = &mine.pending_step else {
            panic!()
        };
        for (at, method) in methods.iter().enumerate() {
            let choice = mine.seal_choice(&ring(), "store", method, [7; 12]).unwrap();
            assert_eq!(
                mine.open_choice(&ring(), "store", choice.expose()),
                Some(at)
            );
            assert_eq!(mine.open_choice(&ring(), "forum", choice.expose()), None);
            assert_eq!(other.open_choice(&ring(), "store", choice.expose()), None);
            assert_eq!(
                new_password().open_choice(&ring(), "store", choice.expose()),
                None
            );
        }
        assert_eq!(mine.open_choice(&ring(), "store", "m-2"), None);
    }

    #[test]
    fn nothing_of_the_providers_can_be_read_or_printed() {
        let challenge = two_factor("c1");
        let sealed = challenge.seal(&ring(), "store", [9; 12]).unwrap();
        let clear = URL_SAFE_NO_PAD.decode(sealed.expose()).unwrap();
        let holds = |what: &str| {
            clear
                .windows(what.len())
                .any(|part| part == what.as_bytes())
        };
        assert!(!holds("the-providers-id") && !holds("Ann") && !holds("TOTP"));
        assert!(!format!("{challenge:?} {sealed:?}").contains("the-providers-id"));
    }
}
