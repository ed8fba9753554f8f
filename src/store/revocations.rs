//! The store of revocations: sign-ins that were ended before their tokens expired.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};

use super::{StoreError, Sweep};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// How long a revocation is kept after its end. A clock that was set forward by mistake is set back,
/// and the tokens that had expired by it are valid again.
const KEPT_AFTER_END: Duration = Duration::from_secs(3600);

/// The revocations that ended by this time are not needed any more at `now`.
pub(super) fn removable_at(now: Timestamp) -> Timestamp {
    now.minus(KEPT_AFTER_END)
}

/// Revoked sign-ins.
#[async_trait]
pub trait RevocationStore: Sweep + Send + Sync + fmt::Debug {
    /// Revokes the tokens of `session` at `provider` until `until`, the `exp` of the longest-lived
    /// of them. Of two revocations the later `until` counts.
    ///
    /// # Errors
    /// [`StoreError`] when other replicas do not know of it yet. This process refuses the tokens all
    /// the same.
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Registers who hears of each revocation as soon as this process learns of it, from whatever
    /// replica. The first listener stays.
    fn listen(&self, listener: Arc<dyn RevocationListener>);

    /// Whether the tokens of `session` at `provider` are revoked. Every request asks this, so it is
    /// answered from memory.
    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool;
}

/// Hears of revocations.
pub trait RevocationListener: Send + Sync + fmt::Debug {
    /// The sign-in was revoked, here or on another replica, or its revocation was extended. Called
    /// after [`RevocationStore::is_revoked`] says so, and must not block.
    fn revoked(&self, id: RevocationId);
}

/// A revoked sign-in and the end of its revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The sign-in.
    pub id: RevocationId,
    /// The end.
    pub until: Timestamp,
}

/// Identifies a sign-in at a provider: the first 16 bytes of a SHA-256, the same on all replicas.
/// It reveals no session name, and a provider cannot choose one that matches a sign-in of another
/// provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(pub(super) [u8; 16]);

impl RevocationId {
    /// The id of the sign-in `session` at `provider`.
    #[must_use]
    pub fn of(provider: &str, session: &RevocationKey) -> Self {
        let mut hash = Context::new(&SHA256);
        // The length comes first, so that no two pairs give the same bytes.
        hash.update(&(provider.len() as u64).to_le_bytes());
        hash.update(provider.as_bytes());
        hash.update(session.0.as_bytes());
        Self(
            hash.finish()
                .as_ref()
                .first_chunk()
                .copied()
                .unwrap_or_default(),
        )
    }
}
