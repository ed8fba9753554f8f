//! The near cache: sessions that this replica has read within the last second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::super::{SessionHash, StoredSession};
use crate::model::timestamp::Timestamp;

/// How long a session is served from the cache.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// About how many sessions the cache holds.
const CAPACITY: usize = 50_000;
/// The most bytes the cache holds.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The bytes of an entry beside the session's record.
const OVERHEAD: u64 = 160;
/// Sessions share this many epoch counters.
const EPOCHS: usize = 256;

pub(super) struct NearCache {
    cache: Cache<SessionHash, Entry, Weight>,
    /// Counters by the first byte of a session's hash. One grows whenever a session is forgotten,
    /// so that a reply that was on its way then is not cached.
    epochs: Box<[AtomicU64]>,
}

/// The value of a session's epoch counter before it was read from the server.
#[derive(Clone, Copy)]
pub(super) struct Epoch(u64);

#[derive(Clone)]
struct Entry {
    session: StoredSession,
    read_at: Timestamp,
}

#[derive(Clone)]
struct Weight;

impl Weighter<SessionHash, Entry> for Weight {
    fn weight(&self, _: &SessionHash, entry: &Entry) -> u64 {
        OVERHEAD + entry.session.sealed.len() as u64
    }
}

impl NearCache {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(CAPACITY, MAX_BYTES, Weight),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Option<StoredSession> {
        let Entry { session, read_at } = self.cache.get(&id)?;
        let stale_at = read_at.plus(FRESH_FOR.min(idle)).min(session.expires_at);
        (read_at <= now && now < stale_at).then_some(session)
    }

    /// The epoch to pass to [`NearCache::put`], taken before the session is read from the server.
    pub(super) fn epoch(&self, id: SessionHash) -> Epoch {
        Epoch(
            self.epoch_of(id)
                .map_or(0, |epoch| epoch.load(Ordering::SeqCst)),
        )
    }

    /// Caches a session that was read at `read_at`, unless it was forgotten since `before`.
    pub(super) fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        read_at: Timestamp,
        before: Epoch,
    ) {
        self.cache.insert(id, Entry { session, read_at });
        // Inserts before it compares: `forget` in between either finds the entry or is noticed
        // here.
        if self.epoch(id).0 != before.0 {
            self.cache.remove(&id);
        }
    }

    /// Removes a session, also one whose reply is on its way.
    pub(super) fn forget(&self, id: SessionHash) {
        if let Some(epoch) = self.epoch_of(id) {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
        self.cache.remove(&id);
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.cache.retain(|_, entry| now < entry.session.expires_at);
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    fn epoch_of(&self, id: SessionHash) -> Option<&AtomicU64> {
        let [first, ..] = id.0;
        self.epochs.get(usize::from(first) % EPOCHS)
    }
}

impl std::fmt::Debug for NearCache {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "NearCache({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionHash = SessionHash([7; 32]);
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const IDLE: Duration = Duration::from_secs(60);

    fn session(bytes: usize) -> StoredSession {
        StoredSession {
            sealed: vec![0; bytes].into(),
            expires_at: NOW.plus(IDLE),
        }
    }

    #[test]
    fn a_session_is_cached_for_a_second() {
        let cache = NearCache::new();
        cache.put(ID, session(1), NOW, cache.epoch(ID));
        assert!(
            cache
                .get(ID, IDLE, NOW.plus(Duration::from_millis(999)))
                .is_some()
        );
        assert!(cache.get(ID, IDLE, NOW.plus(FRESH_FOR)).is_none());
        assert!(
            cache
                .get(ID, IDLE, Timestamp::from_millis(NOW.millis() - 1))
                .is_none(),
            "clocks may go back"
        );
        assert!(
            cache
                .get(
                    ID,
                    Duration::from_millis(10),
                    NOW.plus(Duration::from_millis(10))
                )
                .is_none()
        );
    }

    #[test]
    fn a_reply_from_before_an_end_is_not_cached() {
        let cache = NearCache::new();
        let before = cache.epoch(ID);
        cache.forget(ID);
        cache.put(ID, session(1), NOW, before);
        assert!(cache.get(ID, IDLE, NOW).is_none());
    }

    #[test]
    fn the_cache_stays_within_its_limits() {
        let cache = NearCache::new();
        for number in 0..20_000_u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_le_bytes());
            cache.put(
                SessionHash(id),
                session(20_000),
                NOW,
                cache.epoch(SessionHash(id)),
            );
        }
        assert!(cache.len() < 4_000, "{}", cache.len());
        cache.sweep(NOW.plus(IDLE));
        assert_eq!(cache.len(), 0);
    }
}
