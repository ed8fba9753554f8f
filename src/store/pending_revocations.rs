//! The store of pending revocations: refresh tokens that a provider has not been told to revoke
//! yet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// Pending revocations by their ids.
#[async_trait]
pub trait PendingRevocationStore: Sweep + Send + Sync + fmt::Debug {
    /// Keeps a revocation until `keep` after `now`, replacing one with the same id. A full store
    /// evicts others.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the revocation was stored.
    async fn put(
        &self,
        pending: PendingRevocation,
        keep: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Removes a revocation. Removing one that does not exist succeeds.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the revocation was removed.
    async fn remove(&self, id: PendingId) -> Result<(), StoreError>;

    /// Some of the revocations that are kept at `now`, at most `count`. Whoever asks again and
    /// again is given each of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    async fn some(
        &self,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<PendingRevocation>, StoreError>;
}

/// A hash that names a refresh token of a provider: the first half of a SHA-256. The token cannot
/// be recovered from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingId(pub [u8; 16]);

impl fmt::Debug for PendingId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PendingId")
    }
}

/// A refresh token that its provider has not been told to revoke yet.
#[derive(Clone, PartialEq, Eq)]
pub struct PendingRevocation {
    /// Its id.
    pub id: PendingId,
    /// The token and its provider, sealed.
    pub sealed: Arc<[u8]>,
}

impl fmt::Debug for PendingRevocation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PendingRevocation")
    }
}
