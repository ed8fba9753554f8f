//! Revocations in the memory of one process. With Redis, each replica also keeps a copy of all
//! revocations here.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::expiry_set::ExpirySet;
use super::super::revocations::{Revocation, RevocationId, removable_at};
use super::super::{RevocationListener, RevocationStore, StoreError, Sweep};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// The most revocations.
pub(in crate::store) const MAX_REVOCATIONS: usize = 1_000_000;
/// Readers of different sign-ins rarely meet in one shard.
const SHARDS: usize = 16;
/// Expired entries removed per new revocation: two for one, so that they cannot accumulate.
const SWEPT_PER_ADD: usize = 2;

/// Revocations within a limit. Beyond it those that expire first are evicted.
#[derive(Debug)]
pub struct MemoryRevocations {
    shards: [RwLock<ExpirySet<RevocationId>>; SHARDS],
    per_shard: usize,
    /// Revocations in all shards. As long as there are none, a request reads nothing else.
    count: AtomicUsize,
    listener: OnceLock<Arc<dyn RevocationListener>>,
    /// The processes before and after this one get every new revocation.
    followers: RwLock<Vec<mpsc::UnboundedSender<Revocation>>>,
    /// Revocations that were evicted before they expired.
    evicted: AtomicU64,
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
            count: AtomicUsize::new(0),
            listener: OnceLock::new(),
            followers: RwLock::default(),
            evicted: AtomicU64::new(0),
        }
    }

    /// Adds a revocation, or extends one that is known, and tells the listener. `now` is `None` where
    /// the caller does not know the time: then no entry is removed.
    pub fn add(&self, revocation: Revocation, now: Option<Timestamp>) {
        let Revocation { id, until } = revocation;
        if now.is_some_and(|now| until <= now) {
            return;
        }
        let Some(shard) = self.shard(id) else {
            return;
        };
        {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            if shard.get(&id).is_some_and(|known| until <= known) {
                return;
            }
            let before = shard.len();
            for _ in 0..SWEPT_PER_ADD {
                now.and_then(|now| shard.pop_expired(removable_at(now)));
            }
            shard.set(id, until);
            while shard.len() > self.per_shard {
                shard.pop_first();
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            self.update_count(before, shard.len());
        }
        if let Some(listener) = self.listener.get() {
            listener.revoked(id);
        }
        let followers = self.followers.read();
        for follower in &*followers.unwrap_or_else(PoisonError::into_inner) {
            // One that is gone misses nothing.
            let _ = follower.send(Revocation { id, until });
        }
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
            all.extend(shard.iter().map(|(id, until)| Revocation { id, until }));
        }
        all
    }

    /// The number of revocations, expired ones included until they are swept.
    #[cfg(test)]
    pub(in crate::store) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Must be called under the shard's lock: a reader that sees the new count then finds the
    /// entry.
    fn update_count(&self, before: usize, after: usize) {
        if after >= before {
            self.count.fetch_add(after - before, Ordering::AcqRel);
        } else {
            self.count.fetch_sub(before - after, Ordering::AcqRel);
        }
    }

    fn shard(&self, id: RevocationId) -> Option<&RwLock<ExpirySet<RevocationId>>> {
        let [first, ..] = id.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}

#[async_trait]
impl RevocationStore for MemoryRevocations {
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = RevocationId::of(provider, session);
        self.add(Revocation { id, until }, Some(now));
        Ok(())
    }

    fn listen(&self, listener: Arc<dyn RevocationListener>) {
        // The first one stays.
        let _ = self.listener.set(listener);
    }

    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool {
        // Computes the hash only where there is something to compare it with.
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let id = RevocationId::of(provider, session);
        self.shard(id).is_some_and(|shard| {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            shard.get(&id).is_some_and(|until| now < until)
        })
    }
}

impl Sweep for MemoryRevocations {
    fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            while shard.pop_expired(removable_at(now)).is_some() {}
            self.update_count(before, shard.len());
        }
    }

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}
