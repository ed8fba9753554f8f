//! Server-side sessions in the memory of one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::super::{SessionHash, SessionStore, StoreError, StoredSession, Sweep};
use crate::model::timestamp::Timestamp;

/// The most sessions, and the most bytes of their records.
const MAX_SESSIONS: usize = 1_000_000;
const MAX_BYTES: usize = 1024 * 1024 * 1024;
/// Requests of different sessions rarely meet in one shard. Not a power of two: a million sessions
/// fill these hash tables to four fifths, whereas 64 tables would have doubled just before.
const SHARDS: usize = 75;
/// Entries checked for expiry per stored session: two for one, so that expired entries cannot
/// accumulate.
const SWEPT_PER_PUT: usize = 2;
/// Sessions that expire within the same ten seconds share an expiry bucket.
const BUCKET_MILLIS: u64 = 10_000;
/// The ids of deleted sessions stay in the expiry buckets until their bucket comes up. The buckets
/// are rebuilt when they hold twice as many ids as there are sessions, plus this many.
const MAX_STALE_ENTRIES: usize = 256;

/// Sessions within limits. Beyond them the sessions that would expire first are evicted; their
/// visitors get new sessions with their refresh cookies.
#[derive(Debug)]
pub struct MemorySessions {
    shards: Box<[Mutex<Shard>]>,
    max_sessions: usize,
    max_bytes: usize,
    /// Sessions in all shards.
    count: AtomicUsize,
    /// Bytes of their records.
    bytes: AtomicUsize,
    /// Sessions that were evicted before they expired.
    evicted: AtomicU64,
}

/// The first half of a session's hash. 128 bits of a SHA-256 are unique and cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id([u8; 16]);

/// Hashes an [`Id`] to its first bytes: an id is a hash already.
#[derive(Debug, Default)]
struct IdentityHasher(u64);

#[derive(Debug, Default)]
struct Shard {
    by_id: HashMap<Id, Row, BuildHasherDefault<IdentityHasher>>,
    /// Ids by the expiry time they had when they were added. Using a session moves nothing here: an
    /// id whose session lives longer by now moves on when its bucket comes up.
    buckets: BTreeMap<u32, VecDeque<Id>>,
    /// Ids in all buckets.
    bucket_entries: usize,
}

#[derive(Debug)]
struct Row {
    sealed: Arc<[u8]>,
    expires_at: Timestamp,
    idle_until: Timestamp,
    /// The bucket that holds this session's id. The same id in another bucket is left over from an
    /// earlier session.
    bucket: u32,
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

impl MemorySessions {
    /// An empty store for a million sessions with records of up to 1 GiB in all.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(MAX_SESSIONS, MAX_BYTES)
    }

    pub(super) fn with_limits(max_sessions: usize, max_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            max_sessions: max_sessions.max(1),
            max_bytes,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    #[cfg(test)]
    pub(super) fn bucket_entries(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().unwrap().bucket_entries)
            .sum()
    }

    fn shard(&self, id: SessionHash) -> Option<MutexGuard<'_, Shard>> {
        // These bytes are not part of the [`Id`].
        let [.., low, high] = id.0;
        let shard = self
            .shards
            .get(usize::from(u16::from_le_bytes([low, high])) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_over_limit(&self) -> bool {
        self.count() > self.max_sessions || self.bytes.load(Ordering::Relaxed) > self.max_bytes
    }

    fn insert(&self, shard: &mut Shard, id: Id, row: Row) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(row.sealed.len(), Ordering::Relaxed);
        shard.add_to_bucket(row.bucket, id);
        shard.by_id.insert(id, row);
    }

    fn remove(&self, shard: &mut Shard, id: Id) {
        if let Some(row) = shard.by_id.remove(&id) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(row.sealed.len(), Ordering::Relaxed);
            shard.drop_stale_entries();
        }
    }

    /// Takes the first id out of the buckets. Removes its session if that has expired, else puts
    /// the id into the bucket of the session's present expiry time.
    fn check_first(&self, shard: &mut Shard, now: Timestamp) {
        let Some((bucket, id)) = shard.pop_first() else {
            return;
        };
        let Some(row) = shard.by_id.get_mut(&id).filter(|row| row.bucket == bucket) else {
            return;
        };
        if row.idle_until <= now {
            self.remove(shard, id);
        } else {
            shard.move_to_bucket(id);
        }
    }

    /// Evicts the session that would expire first; `false` when the shard is empty.
    fn evict_first(&self, shard: &mut Shard) -> bool {
        while let Some((bucket, id)) = shard.pop_first() {
            let Some(row) = shard.by_id.get(&id).filter(|row| row.bucket == bucket) else {
                continue;
            };
            if bucket_of(row.idle_until) <= bucket {
                self.remove(shard, id);
                self.evicted.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            shard.move_to_bucket(id);
        }
        false
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (Some(mut shard), id) = (self.shard(id), Id::from(id)) else {
            return Ok(());
        };
        for _ in 0..SWEPT_PER_PUT {
            if shard
                .first_bucket()
                .is_none_or(|bucket| now <= end_of(bucket))
            {
                break;
            }
            self.check_first(&mut shard, now);
        }
        self.remove(&mut shard, id);
        let idle_until = now.plus(idle).min(session.expires_at);
        if idle_until <= now {
            return Ok(());
        }
        let row = Row {
            sealed: session.sealed,
            expires_at: session.expires_at,
            idle_until,
            bucket: bucket_of(idle_until),
        };
        self.insert(&mut shard, id, row);
        while self.is_over_limit() && self.evict_first(&mut shard) {}
        Ok(())
    }

    async fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        let (Some(mut shard), id) = (self.shard(id), Id::from(id)) else {
            return Ok(None);
        };
        let Some(row) = shard.by_id.get_mut(&id) else {
            return Ok(None);
        };
        if row.idle_until <= now {
            self.remove(&mut shard, id);
            return Ok(None);
        }
        // May be earlier than before: a shorter idle time after a reload counts from the next
        // request.
        row.idle_until = now.plus(idle).min(row.expires_at);
        Ok(Some(StoredSession {
            sealed: Arc::clone(&row.sealed),
            expires_at: row.expires_at,
        }))
    }

    async fn delete(&self, id: SessionHash) -> Result<(), StoreError> {
        if let Some(mut shard) = self.shard(id) {
            self.remove(&mut shard, Id::from(id));
        }
        Ok(())
    }

    /// Counts expired sessions too until they are swept.
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Sweep for MemorySessions {
    fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            while shard
                .first_bucket()
                .is_some_and(|bucket| end_of(bucket) < now)
            {
                self.check_first(&mut shard, now);
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl Shard {
    fn first_bucket(&self) -> Option<u32> {
        self.buckets.first_key_value().map(|(bucket, _)| *bucket)
    }

    fn add_to_bucket(&mut self, bucket: u32, id: Id) {
        self.buckets.entry(bucket).or_default().push_back(id);
        self.bucket_entries += 1;
    }

    /// Adds an id that is in no bucket to the one of its session's present expiry time.
    fn move_to_bucket(&mut self, id: Id) {
        if let Some(row) = self.by_id.get_mut(&id) {
            let bucket = bucket_of(row.idle_until);
            row.bucket = bucket;
            self.add_to_bucket(bucket, id);
        }
    }

    /// Removes an id from the first bucket.
    fn pop_first(&mut self) -> Option<(u32, Id)> {
        let mut first = self.buckets.first_entry()?;
        let bucket = *first.key();
        let id = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        self.bucket_entries -= usize::from(id.is_some());
        id.map(|id| (bucket, id))
    }

    /// Rebuilds the buckets when most of their ids belong to deleted sessions. Clients that sign in
    /// and out all day must not fill the memory.
    fn drop_stale_entries(&mut self) {
        if self.bucket_entries < 2 * self.by_id.len() + MAX_STALE_ENTRIES {
            return;
        }
        self.buckets.clear();
        self.bucket_entries = 0;
        for (id, row) in &self.by_id {
            self.buckets.entry(row.bucket).or_default().push_back(*id);
            self.bucket_entries += 1;
        }
    }
}

/// The bucket of sessions that expire at `expiry`.
fn bucket_of(expiry: Timestamp) -> u32 {
    u32::try_from(expiry.millis() / BUCKET_MILLIS).unwrap_or(u32::MAX)
}

/// The latest expiry time in `bucket`.
fn end_of(bucket: u32) -> Timestamp {
    Timestamp::from_millis(u64::from(bucket).saturating_add(1) * BUCKET_MILLIS - 1)
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

impl Hasher for IdentityHasher {
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
