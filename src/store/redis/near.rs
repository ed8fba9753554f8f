//! Sessions this replica has read within the last second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::super::{SessionHash, StoredSession};
use crate::model::timestamp::Timestamp;

/// How long an answer is good.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Sessions and bytes that are kept.
const ROOM: (usize, u64) = (50_000, 64 * 1024 * 1024);
/// What an entry takes beside the session's bytes.
const OVERHEAD: u64 = 160;
const EPOCHS: usize = 256;

pub(super) struct Near {
    cache: Cache<SessionHash, Entry, Weight>,
    /// Grow whenever a session of that first byte is forgotten, so that an answer under way then is
    /// not kept.
    epochs: Box<[AtomicU64]>,
}

/// Kept from before a question until its answer is there.
#[derive(Clone, Copy)]
pub(super) struct Epoch(u64);

#[derive(Clone)]
struct Entry {
    session: StoredSession,
    read: Timestamp,
}

#[derive(Clone)]
struct Weight;

impl Weighter<SessionHash, Entry> for Weight {
    fn weight(&self, _: &SessionHash, entry: &Entry) -> u64 {
        OVERHEAD + entry.session.sealed.len() as u64
    }
}

impl Near {
    pub(super) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(ROOM.0, ROOM.1, Weight),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Option<StoredSession> {
        let Entry { session, read } = self.cache.get(&id)?;
        let fresh = read <= now && now < read.plus(FRESH_FOR.min(idle)).min(session.ends);
        fresh.then_some(session)
    }

    /// Before the question.
    pub(super) fn epoch(&self, id: SessionHash) -> Epoch {
        Epoch(
            self.epoch_of(id)
                .map_or(0, |epoch| epoch.load(Ordering::SeqCst)),
        )
    }

    /// Keeps what was read at `read`, unless the session was ended since `before`.
    pub(super) fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        read: Timestamp,
        before: Epoch,
    ) {
        self.cache.insert(id, Entry { session, read });
        // Put in first and looked at then: an end that comes in between finds it, or is seen.
        if self.epoch(id).0 != before.0 {
            self.cache.remove(&id);
        }
    }

    pub(super) fn forget(&self, id: SessionHash) {
        if let Some(epoch) = self.epoch_of(id) {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
        self.cache.remove(&id);
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.cache.retain(|_, entry| now < entry.session.ends);
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    fn epoch_of(&self, id: SessionHash) -> Option<&AtomicU64> {
        let [first, ..] = id.0;
        self.epochs.get(usize::from(first) % EPOCHS)
    }
}

impl std::fmt::Debug for Near {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Near({})", self.len())
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
            ends: NOW.plus(IDLE),
        }
    }

    #[test]
    fn an_answer_is_good_for_a_second() {
        let near = Near::new();
        near.put(ID, session(1), NOW, near.epoch(ID));
        assert!(
            near.get(ID, IDLE, NOW.plus(Duration::from_millis(999)))
                .is_some()
        );
        assert!(near.get(ID, IDLE, NOW.plus(FRESH_FOR)).is_none());
        assert!(
            near.get(ID, IDLE, Timestamp::from_millis(NOW.millis() - 1))
                .is_none(),
            "clocks may go back"
        );
        assert!(
            near.get(
                ID,
                Duration::from_millis(10),
                NOW.plus(Duration::from_millis(10))
            )
            .is_none()
        );
    }

    #[test]
    fn an_answer_from_before_an_end_is_not_kept() {
        let near = Near::new();
        let before = near.epoch(ID);
        near.forget(ID);
        near.put(ID, session(1), NOW, before);
        assert!(near.get(ID, IDLE, NOW).is_none());
    }

    #[test]
    fn it_stays_in_bounds() {
        let near = Near::new();
        for number in 0..20_000_u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_le_bytes());
            near.put(
                SessionHash(id),
                session(20_000),
                NOW,
                near.epoch(SessionHash(id)),
            );
        }
        assert!(near.len() < 4_000, "{}", near.len());
        near.sweep(NOW.plus(IDLE));
        assert_eq!(near.len(), 0);
    }
}
