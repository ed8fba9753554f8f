//! Revocations in the memory of one process. With Redis, each replica also keeps a copy of all
//! revocations here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::expiry_set::ExpirySet;
use super::super::revocations::{Revocation, RevocationId, removable_at};
use super::super::{RevocationListener, RevocationStore, StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// The most revocations.
pub(in crate::store) const MAX_REVOCATIONS: usize = 1_000_000;
/// Readers of different sign-ins rarely meet in one shard.
const SHARDS: usize = 16;
/// Expired entries removed per new revocation: two for one, so that they cannot accumulate.
const SWEPT_PER_ADD: usize = 2;

/// Revocations within a limit. Beyond it those that expire first are evicted.
#[derive(Debug)]
pub struct MemoryRevocations {
    shards: [RwLock<Shard>; SHARDS],
    per_shard: usize,
    /// The number of revocations that were added or extended.
    generation: AtomicU64,
    listener: OnceLock<Arc<dyn RevocationListener>>,
    /// The processes before and after this one get every new revocation.
    followers: RwLock<Vec<mpsc::UnboundedSender<Revocation>>>,
    /// Revocations that were evicted before they expired.
    evicted: AtomicU64,
}

/// Some of the revocations.
#[derive(Debug, Default)]
struct Shard {
    ends: ExpirySet<RevocationId>,
    /// Of those that do not concern whatever is issued: which tokens they concern.
    issued_by: HashMap<RevocationId, Timestamp>,
}

impl Shard {
    fn get(&self, id: RevocationId) -> Option<Revocation> {
        let until = self.ends.get(&id)?;
        let issued_by = self.issued_by.get(&id).copied();
        Some(Revocation {
            id,
            issued_by: issued_by.unwrap_or(Revocation::ALL),
            until,
        })
    }

    fn set(&mut self, revocation: Revocation) {
        let Revocation {
            id,
            issued_by,
            until,
        } = revocation;
        self.ends.set(id, until);
        if issued_by == Revocation::ALL {
            self.issued_by.remove(&id);
        } else {
            self.issued_by.insert(id, issued_by);
        }
    }

    /// Removes the one that ends first.
    fn pop_first(&mut self) {
        if let Some(id) = self.ends.pop_first() {
            self.issued_by.remove(&id);
        }
    }

    /// Removes the one that ends first, if it has ended by `now`. Returns whether it has.
    fn pop_ended(&mut self, now: Timestamp) -> bool {
        let ended = self.ends.pop_expired(now);
        ended.is_some_and(|id| {
            self.issued_by.remove(&id);
            true
        })
    }
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryRevocations {
    /// An empty store for a million revocations.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(MAX_REVOCATIONS)
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            per_shard: capacity.div_ceil(SHARDS).max(1),
            generation: AtomicU64::new(0),
            listener: OnceLock::new(),
            followers: RwLock::default(),
            evicted: AtomicU64::new(0),
        }
    }

    /// Adds a revocation, or extends one that is known, and tells the listener. `now` is `None`
    /// where the caller does not know the time: then no entry is removed. Returns whether that is
    /// news.
    pub fn add(&self, revocation: Revocation, now: Option<Timestamp>) -> bool {
        let id = revocation.id;
        if now.is_some_and(|now| revocation.until <= now) {
            return false;
        }
        let Some(shard) = self.shard(id) else {
            return false;
        };
        let merged = {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let known = shard.get(id);
            let merged = known.map_or(revocation, |known| Revocation {
                id,
                issued_by: known.issued_by.max(revocation.issued_by),
                until: known.until.max(revocation.until),
            });
            if known == Some(merged) {
                return false;
            }
            for _ in 0..SWEPT_PER_ADD {
                now.map(|now| shard.pop_ended(removable_at(now)));
            }
            shard.set(merged);
            while shard.ends.len() > self.per_shard {
                shard.pop_first();
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            merged
        };
        // After the entry: who sees the new number finds it.
        self.generation.fetch_add(1, Ordering::Release);
        if let Some(listener) = self.listener.get() {
            listener.revoked(id);
        }
        let followers = self.followers.read();
        for follower in &*followers.unwrap_or_else(PoisonError::into_inner) {
            // One that is gone misses nothing.
            let _ = follower.send(merged);
        }
        true
    }

    /// Every revocation from now on, until the receiver is dropped.
    pub(in crate::store) fn follow(&self) -> mpsc::UnboundedReceiver<Revocation> {
        let (follower, revocations) = mpsc::unbounded_channel();
        let followers = self.followers.write();
        let mut followers = followers.unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| !follower.is_closed());
        followers.push(follower);
        revocations
    }

    /// All revocations, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Revocation> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.ends.iter().filter_map(|(id, _)| shard.get(id)));
        }
        all
    }

    /// The number of revocations, expired ones included until they are swept.
    #[cfg(test)]
    pub(in crate::store) fn count(&self) -> usize {
        self.all().len()
    }

    fn shard(&self, id: RevocationId) -> Option<&RwLock<Shard>> {
        let [first, ..] = id.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}

#[async_trait]
impl RevocationStore for MemoryRevocations {
    async fn revoke_all(
        &self,
        revocations: &[Revocation],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for revocation in revocations {
            self.add(*revocation, Some(now));
        }
        Ok(())
    }

    async fn mark_used(
        &self,
        id: RevocationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.add(Revocation::of_sign_in(id, until), Some(now)))
    }

    fn listen(&self, listener: Arc<dyn RevocationListener>) {
        // The first one stays.
        let _ = self.listener.set(listener);
    }

    fn issued_by(&self, id: RevocationId, now: Timestamp) -> Option<Timestamp> {
        let shard = self.shard(id)?.read();
        let revocation = shard.unwrap_or_else(PoisonError::into_inner).get(id)?;
        (now < revocation.until).then_some(revocation.issued_by)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Sweep for MemoryRevocations {
    fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            while shard.pop_ended(removable_at(now)) {}
        }
    }

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}
