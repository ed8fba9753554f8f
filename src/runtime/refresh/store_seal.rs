//! What the store keeps of a refresh, sealed: its outcome for later requests, and as a checkpoint
//! the provider's tokens as long as they are not issued.
//!
//! A seal is bound to the site, the kind of client, the refresh token and the use: whoever can
//! write to the store cannot hand the result of one refresh to another. The end of the use is
//! sealed with it, so that nobody can prolong the reuse window. The store ends it by its own clock;
//! the sealed end only bounds that, with an allowance for clocks that differ.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{CompletedRefresh, TokenPair};
use crate::store::LeaseKey;
use crate::system;

use super::lock::CLOCK_ALLOWANCE;
use super::outcome::RefreshOutcome;

/// The tokens that a refresh issued to the client: what this process, its successor and other replicas
/// hand out again. Others verify the access token before they do.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(super) struct StoredTokens {
    pub access: String,
    /// Sealed already; `None` where the client keeps the refresh token that it has.
    pub refresh: Option<String>,
    /// The id of the session that was created.
    pub session: Option<String>,
}

impl StoredTokens {
    fn of(renewed: &CompletedRefresh) -> Self {
        let CompletedRefresh { tokens, access, .. } = renewed;
        Self {
            access: access.to_string(),
            refresh: tokens.refresh.as_deref().map(str::to_owned),
            session: (tokens.kind == CredentialKind::Session).then(|| tokens.token.to_string()),
        }
    }
}

/// Seals and opens what the store keeps of the refreshes with one refresh token.
pub(super) struct StoreSeal<'a> {
    pub sealing: &'a SealingKeys,
    pub site: &'a str,
    pub kind: CredentialKind,
    pub key: LeaseKey,
}

/// The provider's tokens, and when they were stored, in Unix milliseconds.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    access: String,
    refresh: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    since: u64,
}

/// Tokens of the provider that were kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeptPair {
    pub pair: TokenPair,
    /// When they were stored.
    pub since: Timestamp,
}

/// What is sealed: a body, and until when it is used, in Unix milliseconds of whoever sealed it.
#[derive(Serialize, Deserialize)]
struct Bounded<T> {
    until: u64,
    body: T,
}

impl StoreSeal<'_> {
    /// Seals new tokens or a refusal, to be handed out until `until`. `None` for an outcome of which
    /// nothing is kept, or if the cipher fails.
    pub fn seal_outcome(&self, outcome: &RefreshOutcome, until: Timestamp) -> Option<Arc<[u8]>> {
        let result = match outcome {
            RefreshOutcome::Renewed { renewed, .. } => Ok(StoredTokens::of(renewed)),
            RefreshOutcome::Refused(reason) => Err(reason.as_str()),
            RefreshOutcome::Reused(_) | RefreshOutcome::Unavailable(_) => return None,
        };
        self.seal("outcome", &result, until)
    }

    /// Opens what [`StoreSeal::seal_outcome`] made for the same refresh token, unless it is over: the
    /// tokens, or the reason of the refusal. `None` for everything else.
    pub fn open_outcome(
        &self,
        sealed: &[u8],
        now: Timestamp,
    ) -> Option<Result<StoredTokens, Reason>> {
        let result: Result<StoredTokens, String> = self.open("outcome", sealed, now)?;
        Some(result.map_err(|reason| {
            if reason == Reason::Revoked.as_str() {
                Reason::Revoked
            } else {
                Reason::SignedOut
            }
        }))
    }

    /// Seals tokens that are kept from `now` until `until`. `None` only if the cipher fails.
    pub fn seal_checkpoint(
        &self,
        pair: &TokenPair,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<Arc<[u8]>> {
        let refresh = pair.refresh.as_ref();
        let checkpoint = Checkpoint {
            access: pair.access.expose().to_owned(),
            refresh: refresh.map(|refresh| refresh.expose().to_owned()),
            id_token: pair
                .id_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            expires: pair.access_expires.map(Timestamp::millis),
            since: now.millis(),
        };
        self.seal("checkpoint", &checkpoint, until)
    }

    /// Opens what [`StoreSeal::seal_checkpoint`] made for the same refresh token, unless it is
    /// over; `None` for everything else.
    pub fn open_checkpoint(&self, sealed: &[u8], now: Timestamp) -> Option<KeptPair> {
        let checkpoint: Checkpoint = self.open("checkpoint", sealed, now)?;
        Some(KeptPair {
            pair: TokenPair {
                access: Secret::new(checkpoint.access),
                refresh: checkpoint.refresh.map(Secret::new),
                id_token: checkpoint.id_token.map(Secret::new),
                access_expires: checkpoint.expires.map(Timestamp::from_millis),
            },
            since: Timestamp::from_millis(checkpoint.since),
        })
    }

    fn seal(&self, used_as: &str, body: &impl Serialize, until: Timestamp) -> Option<Arc<[u8]>> {
        let until = until.millis();
        let body = serde_json::to_vec(&Bounded { until, body }).ok()?;
        let sealed = self
            .sealing
            .seal(&self.purpose(used_as), body, system::random())?;
        Some(Arc::from(sealed))
    }

    fn open<T: DeserializeOwned>(&self, used_as: &str, sealed: &[u8], now: Timestamp) -> Option<T> {
        let body = self.sealing.open(&self.purpose(used_as), sealed)?;
        let bounded: Bounded<T> = serde_json::from_slice(&body).ok()?;
        let end = Timestamp::from_millis(bounded.until).plus(CLOCK_ALLOWANCE);
        (now < end).then_some(bounded.body)
    }

    /// The purpose that the seal is bound to.
    fn purpose(&self, used_as: &str) -> String {
        let (kind, key) = (self.kind.as_str(), URL_SAFE_NO_PAD.encode(self.key.0));
        format!("vestibule refresh {used_as}\0{kind}\0{key}\0{}", self.site)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const WINDOW: Duration = Duration::from_secs(60);

    fn seal(sealing: &SealingKeys) -> StoreSeal<'_> {
        StoreSeal {
            sealing,
            site: "store",
            kind: CredentialKind::Jwt,
            key: LeaseKey([1; 32]),
        }
    }

    #[test]
    fn nothing_opens_for_another_refresh_token_site_kind_or_use() {
        let sealing = SealingKeys::new(&[[1; 32]]).unwrap();
        let ours = seal(&sealing);
        let outcome = ours
            .seal_outcome(&RefreshOutcome::Refused(Reason::Revoked), NOW.plus(WINDOW))
            .unwrap();
        assert_eq!(ours.open_outcome(&outcome, NOW), Some(Err(Reason::Revoked)));
        assert_eq!(ours.open_checkpoint(&outcome, NOW), None);
        let pair = TokenPair::new(Secret::new("A"), Some(Secret::new("R")));
        let checkpoint = ours.seal_checkpoint(&pair, NOW, NOW.plus(WINDOW)).unwrap();
        let since = NOW;
        let kept = ours.open_checkpoint(&checkpoint, NOW);
        assert_eq!(kept, Some(KeptPair { pair, since }));
        assert_eq!(ours.open_outcome(&checkpoint, NOW), None);
        for other in [
            StoreSeal {
                key: LeaseKey([2; 32]),
                ..seal(&sealing)
            },
            StoreSeal {
                site: "forum",
                ..seal(&sealing)
            },
            StoreSeal {
                kind: CredentialKind::Session,
                ..seal(&sealing)
            },
        ] {
            assert_eq!(other.open_outcome(&outcome, NOW), None);
            assert_eq!(other.open_checkpoint(&checkpoint, NOW), None);
        }
    }

    /// Whoever can write to the store keeps an entry for as long as they like.
    #[test]
    fn nothing_outlives_its_sealed_end_by_more_than_the_allowance() {
        let sealing = SealingKeys::new(&[[1; 32]]).unwrap();
        let ours = seal(&sealing);
        let sealed = ours
            .seal_outcome(
                &RefreshOutcome::Refused(Reason::SignedOut),
                NOW.plus(WINDOW),
            )
            .unwrap();
        let end = NOW.plus(WINDOW).plus(CLOCK_ALLOWANCE);
        let last = Timestamp::from_millis(end.millis() - 1);
        assert!(ours.open_outcome(&sealed, last).is_some());
        assert!(ours.open_outcome(&sealed, end).is_none());
    }
}
