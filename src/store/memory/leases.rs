//! Leases and their results in the memory of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::super::expiry_set::ExpirySet;
use super::super::wait_queue::WaitQueue;
use super::super::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// Entries checked for expiry per acquired lease: two for one, so that expired entries cannot
/// accumulate.
const SWEPT_PER_ACQUIRE: usize = 2;

/// How much a [`MemoryLeases`] holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Leases that are held, and completed ones whose results have not expired.
    pub(super) leases: usize,
    /// Bytes of the results.
    pub(super) bytes: usize,
    /// Keys that are answered with [`Acquire::Reused`].
    pub(super) reused: usize,
}

const LIMITS: Limits = Limits {
    leases: 200_000,
    bytes: 256 * 1024 * 1024,
    reused: 1_000_000,
};

/// Leases within limits. Beyond them the leases and results that would expire first are evicted.
#[derive(Debug)]
pub struct MemoryLeases {
    table: Mutex<Table>,
    limits: Limits,
    wait_queue: WaitQueue,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<LeaseKey, Entry>,
    /// When each of `entries` expires.
    expiry: ExpirySet<LeaseKey>,
    /// Bytes of all results.
    bytes: usize,
    /// Completed leases whose results have expired, by the first half of their keys.
    reused: ExpirySet<[u8; 16]>,
    last_fence: u64,
    /// Entries that were evicted before they expired.
    evicted: u64,
}

#[derive(Debug)]
enum Entry {
    Held(Fence),
    Completed {
        sealed: Arc<[u8]>,
        reused_until: Option<Timestamp>,
    },
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLeases {
    /// An empty store for 200,000 leases with results of up to 256 MiB in all, and a million keys
    /// that are known as reused, for which it takes 70 MB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    pub(super) fn with_limits(limits: Limits) -> Self {
        Self {
            table: Mutex::default(),
            limits,
            wait_queue: WaitQueue::new(),
        }
    }

    /// What is held now, to be compared with the limits.
    #[cfg(test)]
    pub(super) fn usage(&self) -> Limits {
        let table = self.table();
        assert_eq!(table.entries.len(), table.expiry.len());
        Limits {
            leases: table.entries.len(),
            bytes: table.bytes,
            reused: table.reused.len(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn acquire(
        &self,
        key: LeaseKey,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError> {
        let mut table = self.table();
        for _ in 0..SWEPT_PER_ACQUIRE {
            table.expire_first(now, self.limits);
            table.reused.pop_expired(now);
        }
        if table.expiry.get(&key).is_some_and(|expiry| expiry <= now) {
            table.expire(key, now, self.limits);
        }
        match table.entries.get(&key) {
            Some(Entry::Held(_)) => return Ok(Acquire::Contended),
            Some(Entry::Completed { sealed, .. }) => {
                return Ok(Acquire::Completed(Arc::clone(sealed)));
            }
            None => {}
        }
        let reused_until = table.reused.get(&half(key));
        if reused_until.is_some_and(|until| now < until) {
            return Ok(Acquire::Reused);
        }
        table.last_fence += 1;
        let fence = Fence(table.last_fence);
        table.put(key, Entry::Held(fence), now.plus(ttl));
        table.evict(self.limits);
        Ok(Acquire::Acquired(fence))
    }

    async fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut table = self.table();
        let is_held = table.is_held(key, fence);
        if is_held {
            table.expiry.set(key, now.plus(ttl));
        }
        Ok(is_held)
    }

    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        {
            let mut table = self.table();
            if !table.is_held(key, fence) {
                return Ok(false);
            }
            let completed = Entry::Completed {
                sealed: result.sealed,
                reused_until: result.reused_until,
            };
            table.put(key, completed, result.expires_at);
            table.evict(self.limits);
        }
        self.wait_queue.notify(key);
        Ok(true)
    }

    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        {
            let mut table = self.table();
            if table.is_held(key, fence) {
                table.remove(key);
            }
        }
        self.wait_queue.notify(key);
        Ok(())
    }

    async fn wait_for_change(&self, key: LeaseKey, at_most: Duration) {
        let is_held = || matches!(self.table().entries.get(&key), Some(Entry::Held(_)));
        self.wait_queue.wait(key, is_held, at_most).await;
    }
}

impl Sweep for MemoryLeases {
    fn sweep(&self, now: Timestamp) {
        let mut table = self.table();
        while table.expire_first(now, self.limits) {}
        while table.reused.pop_expired(now).is_some() {}
    }

    fn evicted(&self) -> u64 {
        self.table().evicted
    }
}

impl Table {
    fn is_held(&self, key: LeaseKey, by: Fence) -> bool {
        matches!(self.entries.get(&key), Some(Entry::Held(fence)) if *fence == by)
    }

    fn put(&mut self, key: LeaseKey, entry: Entry, expiry: Timestamp) {
        self.remove(key);
        self.bytes += entry.bytes();
        self.entries.insert(key, entry);
        self.expiry.set(key, expiry);
    }

    fn remove(&mut self, key: LeaseKey) -> Option<Entry> {
        self.expiry.remove(&key);
        let entry = self.entries.remove(&key)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Removes an entry that has expired. A held lease becomes free; a completed one is known as
    /// reused from now on.
    fn expire(&mut self, key: LeaseKey, now: Timestamp, limits: Limits) {
        let Some(Entry::Completed {
            reused_until: Some(until),
            ..
        }) = self.remove(key)
        else {
            return;
        };
        if now < until {
            self.reused.set(half(key), until);
            while self.reused.len() > limits.reused {
                self.reused.pop_first();
                self.evicted += 1;
            }
        }
    }

    /// Removes the entry that expires first, if it has expired; else returns `false`.
    fn expire_first(&mut self, now: Timestamp, limits: Limits) -> bool {
        let first = self.expiry.first_expired(now);
        if let Some(key) = first {
            self.expire(key, now, limits);
        }
        first.is_some()
    }

    /// Evicts entries until the limits hold. An evicted key is not reported as reused: a client
    /// that presents it within the reuse window is no attacker.
    fn evict(&mut self, limits: Limits) {
        while self.entries.len() > limits.leases.max(1) || self.bytes > limits.bytes {
            let Some(key) = self.expiry.first() else {
                return;
            };
            self.remove(key);
            self.evicted += 1;
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Held(_) => 0,
            Self::Completed { sealed, .. } => sealed.len(),
        }
    }
}

/// The first half of a key. 128 bits of a SHA-256 are unique.
fn half(key: LeaseKey) -> [u8; 16] {
    key.0.first_chunk().copied().unwrap_or_default()
}
