//! Sessions that ended before their tokens did.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::model::moment::Moment;
use crate::model::token::SessionKey;

/// Readers of different sessions rarely meet.
const SHARDS: usize = 16;
/// Forgotten with each new one: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;

/// Sessions by their marks: 128 bits of two keyed hashes, so that memory holds no session's name and a
/// provider cannot aim at another one's.
#[derive(Debug)]
pub(super) struct Revocations {
    hashers: [RandomState; 2],
    shards: [RwLock<Shard>; SHARDS],
    per_shard: usize,
    /// All shards together; a request in a gateway nobody signed out of touches nothing else.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    ends: HashMap<u128, Moment>,
    /// The same, the soonest to end first.
    order: BTreeSet<(Moment, u128)>,
}

impl Revocations {
    /// Room for `capacity` sessions; beyond it those that end soonest are forgotten.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            shards: std::array::from_fn(|_| RwLock::default()),
            per_shard: capacity.div_ceil(SHARDS).max(1),
            count: AtomicUsize::new(0),
        }
    }

    pub(super) fn add(&self, provider: &str, session: &SessionKey, until: Moment, now: Moment) {
        if until <= now {
            return;
        }
        let mark = self.mark(provider, session);
        let Some(shard) = self.shard(mark) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let before = shard.ends.len();
        shard.forget_ended(now, SWEPT_AT_ONCE);
        shard.add(mark, until);
        while shard.ends.len() > self.per_shard {
            shard.forget_first();
        }
        self.recount(before, shard.ends.len());
    }

    pub(super) fn contains(&self, provider: &str, session: &SessionKey, now: Moment) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mark = self.mark(provider, session);
        self.shard(mark).is_some_and(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.ends.get(&mark).is_some_and(|end| now < *end)
        })
    }

    pub(super) fn sweep(&self, now: Moment) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.ends.len();
            shard.forget_ended(now, usize::MAX);
            self.recount(before, shard.ends.len());
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

    fn mark(&self, provider: &str, session: &SessionKey) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| hasher.hash_one((provider, session)));
        u128::from(high) << 64 | u128::from(low)
    }

    fn shard(&self, mark: u128) -> Option<&RwLock<Shard>> {
        let [first, ..] = mark.to_le_bytes();
        self.shards.get(usize::from(first) % SHARDS)
    }
}

impl Shard {
    fn add(&mut self, mark: u128, until: Moment) {
        let end = self.ends.entry(mark).or_insert(until);
        self.order.remove(&(*end, mark));
        *end = until.max(*end);
        self.order.insert((*end, mark));
    }

    fn forget_ended(&mut self, now: Moment, at_most: usize) {
        for _ in 0..at_most {
            if self.order.first().is_none_or(|(end, _)| now < *end) {
                return;
            }
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, mark)) = self.order.pop_first() {
            self.ends.remove(&mark);
        }
    }
}
