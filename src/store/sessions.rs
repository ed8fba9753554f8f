//! Server-side sessions of one process.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{SessionHash, StoredSession};
use crate::model::moment::Moment;

/// Requests of different sessions rarely meet.
const SHARDS: usize = 64;
/// Forgotten with each new one: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;
/// A session's end is filed by the ten seconds it falls into: one that is used many times a minute is filed anew
/// once.
const FILED_BY: u64 = 10_000;

/// Sessions within bounds: beyond them those that would end first are forgotten, and their visitors renewed into new
/// ones by their refresh cookies.
#[derive(Debug)]
pub(super) struct Sessions {
    shards: Box<[Mutex<Shard>]>,
    most: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Shard {
    by_id: HashMap<SessionHash, Row>,
    /// The soonest to end first.
    order: BTreeSet<(u64, SessionHash)>,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    session: StoredSession,
    idle_end: Moment,
    filed: u64,
}

impl Sessions {
    /// Room for `most` sessions and `most_bytes` of what they hold, all together.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most: most.div_ceil(SHARDS).max(1),
            most_bytes: most_bytes.div_ceil(SHARDS),
        }
    }

    pub(super) fn put(&self, id: SessionHash, session: StoredSession, idle: Duration, now: Moment) {
        let Some(mut shard) = self.shard(id) else { return };
        shard.forget_ended(now, SWEPT_AT_ONCE);
        shard.remove(id);
        if session.ends <= now {
            return;
        }
        shard.add(id, session, idle, now);
        while shard.by_id.len() > self.most || shard.bytes > self.most_bytes {
            shard.forget_first();
        }
    }

    pub(super) fn get(&self, id: SessionHash, idle: Duration, now: Moment) -> Option<StoredSession> {
        let mut shard = self.shard(id)?;
        if shard.by_id.get(&id)?.is_over(now) {
            shard.remove(id);
            return None;
        }
        shard.touch(id, idle, now)
    }

    pub(super) fn end(&self, id: SessionHash) {
        if let Some(mut shard) = self.shard(id) {
            shard.remove(id);
        }
    }

    pub(super) fn sweep(&self, now: Moment) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).forget_ended(now, usize::MAX);
        }
    }

    /// How many are kept, those that are over but not yet swept included.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).by_id.len()).sum()
    }

    fn shard(&self, id: SessionHash) -> Option<MutexGuard<'_, Shard>> {
        let [first, ..] = id.0;
        let shard = self.shards.get(usize::from(first) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Row {
    fn is_over(&self, now: Moment) -> bool {
        self.idle_end <= now || self.session.ends <= now
    }
}

impl Shard {
    fn add(&mut self, id: SessionHash, session: StoredSession, idle: Duration, now: Moment) {
        let idle_end = now.plus(idle).min(session.ends);
        let filed = idle_end.millis() / FILED_BY;
        self.bytes += session.sealed.len();
        self.order.insert((filed, id));
        self.by_id.insert(id, Row { session, idle_end, filed });
    }

    fn touch(&mut self, id: SessionHash, idle: Duration, now: Moment) -> Option<StoredSession> {
        let row = self.by_id.get_mut(&id)?;
        // Never sooner than before: a reload to a shorter life counts from the next request on.
        row.idle_end = now.plus(idle).min(row.session.ends);
        let filed = row.idle_end.millis() / FILED_BY;
        if filed != row.filed {
            self.order.remove(&(row.filed, id));
            self.order.insert((filed, id));
            row.filed = filed;
        }
        Some(row.session.clone())
    }

    fn remove(&mut self, id: SessionHash) {
        if let Some(row) = self.by_id.remove(&id) {
            self.order.remove(&(row.filed, id));
            self.bytes -= row.session.sealed.len();
        }
    }

    fn forget_ended(&mut self, now: Moment, at_most: usize) {
        for _ in 0..at_most {
            if self.order.first().is_none_or(|(filed, _)| now.millis() / FILED_BY <= *filed) {
                return;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.order.first().copied() {
            self.remove(id);
        }
    }
}
