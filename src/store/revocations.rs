//! Sessions that ended before their tokens did.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::digest::{Context, SHA256};

use super::ends::Ends;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// Readers of different sessions rarely meet.
const SHARDS: usize = 16;
/// Forgotten with each new one: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;

/// Sessions by their marks.
#[derive(Debug)]
pub(super) struct Revocations {
    shards: [RwLock<Ends<RevocationId>>; SHARDS],
    per_shard: usize,
    /// All shards together; a request in a gateway nobody signed out of touches nothing else.
    count: AtomicUsize,
}

/// A session of a provider, the same on all replicas: 128 bits of a SHA-256, so that no store holds
/// a session's name and a provider cannot aim at another one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RevocationId(pub(super) [u8; 16]);

impl RevocationId {
    pub(super) fn of(provider: &str, session: &RevocationKey) -> Self {
        let mut hash = Context::new(&SHA256);
        // The length first: no two pairs run together to the same bytes.
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

impl Revocations {
    /// Room for `capacity` sessions; beyond it those that end soonest are forgotten.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            per_shard: capacity.div_ceil(SHARDS).max(1),
            count: AtomicUsize::new(0),
        }
    }

    /// Remembers `mark` until `until`, or longer where that was said before. `now` is `None` where
    /// nobody says what time it is: then nothing is forgotten for its age.
    pub(super) fn add(&self, mark: RevocationId, until: Timestamp, now: Option<Timestamp>) {
        if now.is_some_and(|now| until <= now) {
            return;
        }
        let Some(shard) = self.shard(mark) else {
            return;
        };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let before = shard.len();
        for _ in 0..SWEPT_AT_ONCE {
            now.and_then(|now| shard.take_ended(now));
        }
        let end = shard.of(&mark).map_or(until, |end| end.max(until));
        shard.set(mark, end);
        while shard.len() > self.per_shard {
            shard.take_first();
        }
        self.recount(before, shard.len());
    }

    pub(super) fn contains(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool {
        // The mark is made only where there is anything to compare it with.
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mark = RevocationId::of(provider, session);
        self.shard(mark).is_some_and(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.of(&mark).is_some_and(|end| now < end)
        })
    }

    /// Everything that is remembered.
    pub(super) fn all(&self) -> Vec<(RevocationId, Timestamp)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.read().unwrap_or_else(PoisonError::into_inner).iter());
        }
        all
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            while shard.take_ended(now).is_some() {}
            self.recount(before, shard.len());
        }
    }

    /// How many are remembered, those that are over but not yet swept included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Called under the shard's lock: a reader that sees the new count finds the entry.
    fn recount(&self, before: usize, after: usize) {
        if after >= before {
            self.count.fetch_add(after - before, Ordering::AcqRel);
        } else {
            self.count.fetch_sub(before - after, Ordering::AcqRel);
        }
    }

    fn shard(&self, mark: RevocationId) -> Option<&RwLock<Ends<RevocationId>>> {
        let [first, ..] = mark.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}
