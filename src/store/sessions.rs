//! Server-side sessions of one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{SessionHash, StoredSession};
use crate::model::timestamp::Timestamp;

/// Requests of different sessions rarely meet. Not a power of two: a million sessions fill these
/// tables to four fifths, where 64 of them would have doubled just before.
const SHARDS: usize = 75;
/// Looked at with each new one: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;
/// A session is filed by the ten seconds its end falls into.
const FILED_BY: u64 = 10_000;
/// Filings of sessions that were signed out wait for their time; beyond this many and as many as
/// there are sessions, they are thrown away earlier.
const STALE_FILINGS: usize = 256;

/// Sessions within bounds: beyond them those that would end first are forgotten, and their visitors
/// renewed into new ones by their refresh cookies.
#[derive(Debug)]
pub(super) struct Sessions {
    shards: Box<[Mutex<Shard>]>,
    most: usize,
    most_bytes: usize,
    /// Of all shards together.
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// Half of a session's hash: 128 bits tell any number of sessions apart and cannot be aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id([u8; 16]);

/// An id is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

#[derive(Debug, Default)]
struct Shard {
    by_id: HashMap<Id, Row, BuildHasherDefault<AsItIs>>,
    /// Ids by the end they had when they were filed. One whose end has moved on is filed anew when
    /// its old place comes up, so that using a session moves nothing.
    filings: BTreeMap<u32, VecDeque<Id>>,
    filed: usize,
}

#[derive(Debug)]
struct Row {
    sealed: Arc<[u8]>,
    ends: Timestamp,
    idle_end: Timestamp,
    /// Where in the filings it stands; a filing elsewhere is of an earlier session of this id.
    filed: u32,
}

impl Sessions {
    /// Room for `most` sessions and `most_bytes` of what they hold, all together.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most: most.max(1),
            most_bytes,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) {
        let (Some(mut shard), id) = (self.shard(id), Id::from(id)) else {
            return;
        };
        for _ in 0..SWEPT_AT_ONCE {
            if shard
                .soonest()
                .is_none_or(|soonest| now <= latest_of(soonest))
            {
                break;
            }
            self.look_at_first(&mut shard, now);
        }
        self.remove(&mut shard, id);
        let idle_end = now.plus(idle).min(session.ends);
        if idle_end <= now {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(session.sealed.len(), Ordering::Relaxed);
        let filed = filing_of(idle_end);
        shard.by_id.insert(
            id,
            Row {
                sealed: session.sealed,
                ends: session.ends,
                idle_end,
                filed,
            },
        );
        shard.file(filed, id);
        while self.is_overfull() && self.forget_first(&mut shard) {}
    }

    pub(super) fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Option<StoredSession> {
        let (mut shard, id) = (self.shard(id)?, Id::from(id));
        let row = shard.by_id.get_mut(&id)?;
        if row.idle_end <= now {
            self.remove(&mut shard, id);
            return None;
        }
        // May be sooner than before: a reload to a shorter life counts from the next request on.
        row.idle_end = now.plus(idle).min(row.ends);
        Some(StoredSession {
            sealed: Arc::clone(&row.sealed),
            ends: row.ends,
        })
    }

    pub(super) fn end(&self, id: SessionHash) {
        if let Some(mut shard) = self.shard(id) {
            self.remove(&mut shard, Id::from(id));
        }
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            while shard
                .soonest()
                .is_some_and(|soonest| latest_of(soonest) < now)
            {
                self.look_at_first(&mut shard, now);
            }
        }
    }

    /// How many are kept, those that are over but not yet swept included.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn filings(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().filed)
            .sum()
    }

    fn shard(&self, id: SessionHash) -> Option<MutexGuard<'_, Shard>> {
        // Bytes that are no part of the [`Id`].
        let [.., low, high] = id.0;
        let shard = self
            .shards
            .get(usize::from(u16::from_le_bytes([low, high])) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_overfull(&self) -> bool {
        self.len() > self.most || self.bytes.load(Ordering::Relaxed) > self.most_bytes
    }

    fn remove(&self, shard: &mut Shard, id: Id) {
        if let Some(row) = shard.by_id.remove(&id) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(row.sealed.len(), Ordering::Relaxed);
            shard.throw_stale_filings_away();
        }
    }

    /// Takes the first filing out: the session is over, or filed anew, or no longer there.
    fn look_at_first(&self, shard: &mut Shard, now: Timestamp) {
        let Some((filed, id)) = shard.take_first() else {
            return;
        };
        let Some(row) = shard.by_id.get_mut(&id).filter(|row| row.filed == filed) else {
            return;
        };
        if row.idle_end <= now {
            self.remove(shard, id);
        } else {
            shard.file_anew(id);
        }
    }

    /// Forgets the session that would end first; `false` when there is none.
    fn forget_first(&self, shard: &mut Shard) -> bool {
        while let Some((filed, id)) = shard.take_first() {
            let Some(row) = shard.by_id.get(&id).filter(|row| row.filed == filed) else {
                continue;
            };
            if filing_of(row.idle_end) <= filed {
                self.remove(shard, id);
                return true;
            }
            shard.file_anew(id);
        }
        false
    }
}

impl Shard {
    fn soonest(&self) -> Option<u32> {
        self.filings.first_key_value().map(|(filed, _)| *filed)
    }

    fn file(&mut self, filed: u32, id: Id) {
        self.filings.entry(filed).or_default().push_back(id);
        self.filed += 1;
    }

    fn file_anew(&mut self, id: Id) {
        if let Some(row) = self.by_id.get_mut(&id) {
            let filed = filing_of(row.idle_end);
            row.filed = filed;
            self.file(filed, id);
        }
    }

    fn take_first(&mut self) -> Option<(u32, Id)> {
        let mut first = self.filings.first_entry()?;
        let filed = *first.key();
        let id = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        self.filed -= usize::from(id.is_some());
        id.map(|id| (filed, id))
    }

    /// Whoever signs in and out all day must not fill the filings.
    fn throw_stale_filings_away(&mut self) {
        if self.filed < 2 * self.by_id.len() + STALE_FILINGS {
            return;
        }
        self.filings.clear();
        self.filed = 0;
        for (id, row) in &self.by_id {
            self.filings.entry(row.filed).or_default().push_back(*id);
            self.filed += 1;
        }
    }
}

fn filing_of(end: Timestamp) -> u32 {
    u32::try_from(end.millis() / FILED_BY).unwrap_or(u32::MAX)
}

/// The last moment that is filed there.
fn latest_of(filed: u32) -> Timestamp {
    Timestamp::from_millis(u64::from(filed).saturating_add(1) * FILED_BY - 1)
}

impl From<SessionHash> for Id {
    fn from(hash: SessionHash) -> Self {
        Self(hash.0.first_chunk().copied().unwrap_or_default())
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_le_bytes(
            self.0.first_chunk().copied().unwrap_or_default(),
        ));
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
