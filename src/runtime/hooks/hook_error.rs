//! Why a message is not accepted, and what its sender is told.

use std::time::Duration;

use crate::model::hook::{HookAnswer, HookKind};
use crate::model::reason::Reason;
use crate::runtime::token_check::VerifyTokenError;
use crate::telemetry::labels::HookResult;

/// Why a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HookError {
    /// No provider that sends such messages has this name.
    UnknownProvider,
    /// Its media type is not that of its kind.
    MediaType,
    /// Its body is too large.
    TooLarge,
    /// Too many messages of this address were nobody's.
    Throttled,
    /// It is neither signed nor does it bring the secret, or not rightly.
    NotAuthentic(&'static str),
    /// Something in it is missing or wrong.
    Malformed(String),
    /// It came before.
    Replayed,
    /// The keys of the provider are missing.
    NoKeys,
    /// What it ends could not be stored.
    NotStored,
}

/// The answer to a message.
pub(super) fn answer(kind: HookKind, result: Result<HookResult, HookError>) -> HookAnswer {
    let refused = |status, reason, detail: &str| HookAnswer {
        kind,
        status,
        reason,
        detail: Some(detail.to_owned()),
    };
    match result {
        Ok(_) => HookAnswer::accepted(kind),
        Err(HookError::UnknownProvider) => {
            refused(404, Reason::HookRefused, "there is no such provider")
        }
        Err(HookError::MediaType) => refused(415, Reason::UnsupportedMediaType, kind.media_type()),
        Err(HookError::TooLarge) => refused(413, Reason::RequestTooLarge, "the body is too large"),
        Err(HookError::Throttled) => refused(429, Reason::Throttled, "too many were refused"),
        Err(HookError::NotAuthentic(why)) => {
            // OIDC Back-Channel Logout 1.0, section 2.8, knows no 401.
            let status = match kind {
                HookKind::Fusionauth => 401,
                HookKind::BackchannelLogout => 400,
            };
            refused(status, Reason::HookRefused, why)
        }
        Err(HookError::Malformed(why)) => refused(400, Reason::HookRefused, &why),
        Err(HookError::Replayed) => refused(400, Reason::HookRefused, "it was received before"),
        Err(HookError::NoKeys) => {
            let why = "the provider's keys are not known";
            refused(503, Reason::ProviderUnavailable, why)
        }
        Err(HookError::NotStored) => refused(503, Reason::StoreUnavailable, "it was not stored"),
    }
}

/// How long the keys of a provider are waited for. Who sends a message waits no longer, and sends it
/// again.
const KEYS_TIMEOUT: Duration = Duration::from_secs(8);

/// What the check of a signature comes to, which may have to wait for keys.
pub(super) async fn in_time<T>(
    check: impl Future<Output = Result<T, VerifyTokenError>>,
) -> Result<T, HookError> {
    match tokio::time::timeout(KEYS_TIMEOUT, check).await {
        Ok(checked) => checked.map_err(|error| not_verified(&error)),
        Err(_) => Err(HookError::NoKeys),
    }
}

/// Why a message is not accepted whose token does not verify.
fn not_verified(error: &VerifyTokenError) -> HookError {
    match error {
        // The provider sends its message again, and its key may be known by then.
        VerifyTokenError::NoKeys | VerifyTokenError::KeyNotLookedUp => HookError::NoKeys,
        VerifyTokenError::Expired(_)
        | VerifyTokenError::NotYetValid(_)
        | VerifyTokenError::NotForUs
        | VerifyTokenError::TooLarge
        | VerifyTokenError::Invalid => {
            HookError::NotAuthentic("the form, type, times or signature of the token is not right")
        }
        VerifyTokenError::UnknownKey => {
            HookError::NotAuthentic("the signature is of an unknown key")
        }
    }
}
