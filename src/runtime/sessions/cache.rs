//! Opened sessions of one site.
//!
//! The store is asked on each request. The cache saves opening and parsing the record again: it
//! serves a session only where the store returned the very bytes that were opened, so that it never
//! serves a session that the store does not hold any more.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::timestamp::Timestamp;
use crate::model::token::Session;
use crate::runtime::revocation_ids::RevocationIds;
use crate::store::SessionHash;

/// The opened sessions of one site.
pub struct SessionCache(Cache<SessionHash, Entry, Weight>);

/// What the record of a session holds.
#[derive(Clone)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    pub(in crate::runtime) revocation_ids: Arc<RevocationIds>,
    /// When it ends, however much it is used.
    pub ends: Timestamp,
}

#[derive(Clone)]
struct Entry {
    sealed: Arc<[u8]>,
    opened: OpenedSession,
}

#[derive(Clone)]
struct Weight;

impl Weighter<SessionHash, Entry> for Weight {
    fn weight(&self, _: &SessionHash, entry: &Entry) -> u64 {
        // The sealed record counts three times: twice for the claims, which are about as long.
        (entry.sealed.len() as u64) * 3 + 512
    }
}

/// How many sessions one site is expected to have in use at the same time.
const EXPECTED_SESSIONS: usize = 10_000;
/// The most memory for the sessions of one site, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

impl SessionCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::with_weighter(EXPECTED_SESSIONS, MAX_BYTES, Weight))
    }

    /// The session that `sealed` holds, if it was opened before.
    pub fn get(&self, hash: SessionHash, sealed: &[u8]) -> Option<OpenedSession> {
        self.0
            .get(&hash)
            .filter(|entry| *entry.sealed == *sealed)
            .map(|entry| entry.opened)
    }

    /// Adds a session that has just been opened.
    pub fn put(&self, hash: SessionHash, sealed: Arc<[u8]>, opened: &OpenedSession) {
        let opened = opened.clone();
        self.0.insert(hash, Entry { sealed, opened });
    }
}

impl Default for SessionCache {
    fn default() -> Self {
        Self::new()
    }
}
