//! The challenge of a pending login, and what a client submits for it: shared by the forms (`mfa`)
//! and the JSON endpoints (`api_mfa`).
//!
//! Only a challenge that opens and has not expired reaches the provider. A client gets one only
//! after a right password (threat model, R-46), so no step can be started without it.

use std::sync::Arc;

use crate::model::challenge::OpenedChallenge;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

use super::endpoint::StepEndpoint;
use super::facts::{Facts, Known, Question};

/// Why a challenge cannot be continued.
pub(super) enum ChallengeError<'a> {
    /// It has not been opened yet.
    NotOpened(Question<'a>),
    /// It has expired or was used; what it held, where it could be opened.
    Expired(Option<Arc<OpenedChallenge>>),
    /// Whether it was used is not known: the store failed.
    Unavailable(Reason),
}

/// The challenge that the client sent back.
///
/// # Errors
/// [`ChallengeError`] where it cannot be continued. The provider is not asked then.
pub(super) fn open_challenge<'a, 'f>(
    endpoint: StepEndpoint,
    challenge: &Secret,
    facts: &'f Facts,
    now: Timestamp,
) -> Result<&'f Arc<OpenedChallenge>, ChallengeError<'a>> {
    match &facts.challenge {
        Known::NotAsked => Err(ChallengeError::NotOpened(Question::OpenChallenge {
            step: endpoint.step(),
            challenge: challenge.clone(),
        })),
        Known::Found(opened) if now < opened.challenge.expires => Ok(opened),
        Known::Found(opened) => Err(ChallengeError::Expired(Some(Arc::clone(opened)))),
        Known::Absent(_) => Err(ChallengeError::Expired(None)),
        Known::Failed(reason) => Err(ChallengeError::Unavailable(*reason)),
    }
}

/// The code that a user typed, without white space around it; `None` where nothing was typed.
pub(super) fn submitted_code(typed: &Secret) -> Option<Secret> {
    let code = normalize_code(typed.expose());
    (!code.is_empty()).then(|| Secret::new(code))
}

/// The new password that a user typed, unchanged; `None` where nothing was typed.
pub(super) fn submitted_password(typed: &Secret) -> Option<Secret> {
    (!typed.expose().is_empty()).then(|| typed.clone())
}

/// Removes the spaces that apps show inside a numeric code and that are copied along. Recovery
/// codes have letters and may contain spaces of their own: of those only the ends are trimmed.
fn normalize_code(typed: &str) -> String {
    let packed: String = typed.split_whitespace().collect();
    if packed.bytes().all(|byte| byte.is_ascii_digit()) {
        packed
    } else {
        typed.trim().to_owned()
    }
}
