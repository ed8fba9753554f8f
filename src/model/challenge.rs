//! Challenges: a login that waits for a further step, sealed, as the client carries it from one
//! step to the next.
//!
//! A challenge holds the provider's id of the pending login and the options of the first step. It
//! is bound to one site, one step and one browser, expires after minutes and is good for one
//! success. Only the gateway can read or make one, and it makes one only after a right password.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::api_request::TokenDelivery;
use super::login_step::{FactorKind, LoginStep, OfferedMethod, PendingStep};
use super::return_path::ReturnPath;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;

/// The options that were submitted with the password, and apply to the steps that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginOptions {
    /// The login name, byte for byte as typed. The throttle counts attempts by it.
    pub login_id: String,
    /// Whether the cookies shall outlive the browser session.
    pub remember: bool,
    /// How the tokens are delivered.
    pub token_delivery: TokenDelivery,
    /// Where to go after the login.
    pub return_to: Option<ReturnPath>,
    /// The CSRF token of the browser that posted the login form: the step can be taken in that
    /// browser alone. `None` for API clients.
    pub browser: Option<String>,
}

/// A login that waits for its next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Unique, so that the challenge is good for one success only.
    pub id: String,
    /// The step that the provider waits for.
    pub pending_step: PendingStep,
    /// When the challenge expires.
    pub expires: Timestamp,
    /// The options that were submitted with the password.
    pub options: LoginOptions,
    /// The provider's word for why the password must be changed.
    pub change_reason: Option<String>,
}

/// The pending step as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// The step that the client has to take.
    pub step: LoginStep,
    /// The sealed challenge, which the client sends back.
    pub challenge: Secret,
    /// The methods of a second factor, in the provider's order; none for a new password.
    pub methods: Vec<MethodChoice>,
    /// The provider's word for why the password must be changed.
    pub change_reason: Option<String>,
}

/// A method of a second factor, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodChoice {
    /// The kind of method.
    pub kind: FactorKind,
    /// The masked address that a code is sent to.
    pub label: Option<String>,
    /// The provider's id of the method, sealed: what the client submits to choose it.
    pub choice: Secret,
}

impl MethodChoice {
    /// Whether a code is sent on request.
    #[must_use]
    pub const fn sends_code(&self) -> bool {
        match self.kind {
            FactorKind::Authenticator => false,
            FactorKind::Email | FactorKind::Sms => true,
        }
    }
}

/// A challenge that the client sent back, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChallenge {
    /// The content of the challenge.
    pub challenge: Challenge,
    /// The same step as the client sees it, for showing it again.
    pub next_step: NextStep,
}

/// The sealed form. The short names keep it small; they must not change.
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
    /// Since version 0.2; a challenge without it is bound to no browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<String>,
}

impl Challenge {
    /// Seals the challenge for one site, in base64url. `nonce` is random and used once. `None` only
    /// if the cipher itself fails.
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
            f: self.options.browser.clone(),
        };
        let body = serde_json::to_vec(&inside).ok()?;
        let sealed = keys.seal(&seal_purpose(site, self.pending_step.step()), body, nonce)?;
        Some(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens what [`Challenge::seal`] made for the same site and step; `None` for everything else.
    /// Whether it has expired or was used is for the caller to check.
    #[must_use]
    pub fn open(keys: &SealingKeys, site: &str, step: LoginStep, text: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&keys.open(&seal_purpose(site, step), &sealed)?).ok()?;
        let id = Secret::new(inside.p);
        let pending_step = match step {
            LoginStep::NewPassword => PendingStep::NewPassword { id },
            LoginStep::TwoFactor => {
                let method = |(id, kind, label): (String, String, Option<String>)| {
                    let kind = FactorKind::ALL
                        .into_iter()
                        .find(|known| known.as_str() == kind)?;
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
            pending_step,
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
                browser: inside.f,
            },
            change_reason: inside.c,
        })
    }

    /// The methods that the provider offered; none for a new password.
    #[must_use]
    pub fn methods(&self) -> &[OfferedMethod] {
        match &self.pending_step {
            PendingStep::SecondFactor { methods, .. } => methods,
            PendingStep::NewPassword { .. } => &[],
        }
    }

    /// Seals the choice of one of the methods. It is good with this challenge only. `nonce` and
    /// `None` as for [`Challenge::seal`].
    #[must_use]
    pub fn seal_choice(
        &self,
        keys: &SealingKeys,
        site: &str,
        method: &OfferedMethod,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Secret> {
        let sealed = keys.seal(
            &self.choice_purpose(site),
            method.id.expose().as_bytes().to_vec(),
            nonce,
        )?;
        Some(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// The position of the method that the sealed choice `text` names; `None` where this challenge
    /// does not offer it.
    #[must_use]
    pub fn open_choice(&self, keys: &SealingKeys, site: &str, text: &str) -> Option<usize> {
        let id = keys.open(
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

fn seal_purpose(site: &str, step: LoginStep) -> String {
    format!("vestibule challenge\0{}\0{site}", step.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SealingKeys {
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
                browser: Some("token".into()),
            },
            change_reason: None,
        }
    }

    fn new_password() -> Challenge {
        let pending_step = PendingStep::NewPassword {
            id: Secret::new("the-providers-id"),
        };
        Challenge {
            pending_step,
            change_reason: Some("Expired".into()),
            ..two_factor("c1")
        }
    }

    #[test]
    fn a_challenge_opens_as_it_was_sealed() {
        for challenge in [two_factor("c1"), new_password()] {
            let sealed = challenge.seal(&keys(), "store", [9; 12]).unwrap();
            let step = challenge.pending_step.step();
            assert_eq!(
                Challenge::open(&keys(), "store", step, sealed.expose()),
                Some(challenge)
            );
        }
    }

    #[test]
    fn a_challenge_opens_for_its_own_site_and_step_only() {
        let sealed = two_factor("c1").seal(&keys(), "store", [9; 12]).unwrap();
        assert_eq!(
            Challenge::open(&keys(), "forum", LoginStep::TwoFactor, sealed.expose()),
            None
        );
        assert_eq!(
            Challenge::open(&keys(), "store", LoginStep::NewPassword, sealed.expose()),
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
                Challenge::open(&keys(), "store", LoginStep::TwoFactor, &changed),
                None,
                "byte {at}"
            );
        }
        for junk in ["", "AAAA", "not base64!", &"A".repeat(9000)] {
            assert_eq!(
                Challenge::open(&keys(), "store", LoginStep::TwoFactor, junk),
                None
            );
        }
    }

    #[test]
    fn a_choice_opens_with_its_own_challenge_only() {
        let (mine, other) = (two_factor("c1"), two_factor("c2"));
        let PendingStep::SecondFactor { methods, .. } = &mine.pending_step else {
            panic!()
        };
        for (at, method) in methods.iter().enumerate() {
            let choice = mine.seal_choice(&keys(), "store", method, [7; 12]).unwrap();
            assert_eq!(
                mine.open_choice(&keys(), "store", choice.expose()),
                Some(at)
            );
            assert_eq!(mine.open_choice(&keys(), "forum", choice.expose()), None);
            assert_eq!(other.open_choice(&keys(), "store", choice.expose()), None);
            assert_eq!(
                new_password().open_choice(&keys(), "store", choice.expose()),
                None
            );
        }
        assert_eq!(mine.open_choice(&keys(), "store", "m-2"), None);
    }

    #[test]
    fn the_providers_ids_can_be_neither_read_nor_printed() {
        let challenge = two_factor("c1");
        let sealed = challenge.seal(&keys(), "store", [9; 12]).unwrap();
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
