//! The store of server-side sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// Sessions by the hash of their id. A session lives while it is used, and never past its
/// [`StoredSession::expires_at`].
#[async_trait]
pub trait SessionStore: Sweep + Send + Sync + fmt::Debug {
    /// Stores `session`, replacing one with the same id. Unless it is read, it expires `idle`
    /// after `now`. A full store may evict it earlier.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the session was stored.
    async fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Reads a session and lets it live for another `idle` from `now`. `None` when it has expired
    /// or never existed. A store on a server may return what it read within the last second; the
    /// session's life then counts from that read.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    async fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError>;

    /// Deletes a session. No reader gets it any more; on other replicas that takes up to a second.
    /// Deleting a session that does not exist succeeds.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the session was deleted.
    async fn delete(&self, id: SessionHash) -> Result<(), StoreError>;

    /// The number of sessions in this process, for a metric. A store on a server counts those that
    /// this process has used lately.
    fn count(&self) -> usize;
}

/// The SHA-256 of a session id. Stores know sessions by it, so that someone who reads a store
/// learns no id to present.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

impl fmt::Debug for SessionHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SessionHash")
    }
}

/// A session as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's record, sealed: neither the store nor its operator can read it.
    pub sealed: Arc<[u8]>,
    /// When the session ends, however much it is used.
    pub expires_at: Timestamp,
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StoredSession(expires_at: {:?})", self.expires_at)
    }
}
