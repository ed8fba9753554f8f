//! Leases and their results in the memory of one process, on its monotonic clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::super::lease_row::{LeaseRow, LeaseState};
use super::super::wait_queue::WaitQueue;
use super::super::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, StoreError, Sweep};
use super::checkpoints::{CheckpointLimits, StoredCheckpoint};
use super::lease_table::{Entry, Limits, Table};
use crate::model::timestamp::Timestamp;
use crate::system::Clock;

/// Entries checked for expiry per acquired lease: two for one, so that expired entries cannot
/// accumulate.
const SWEPT_PER_ACQUIRE: usize = 2;

const LIMITS: Limits = Limits {
    leases: 200_000,
    bytes: 256 * 1024 * 1024,
    reused: 1_000_000,
    checkpoints: CheckpointLimits {
        count: 100_000,
        bytes: 128 * 1024 * 1024,
    },
};

/// Leases within limits. Beyond them the leases and results that would expire first are evicted.
#[derive(Debug)]
pub struct MemoryLeases {
    clock: Clock,
    table: Mutex<Table>,
    limits: Limits,
    wait_queue: WaitQueue,
}

impl MemoryLeases {
    /// An empty store on the monotonic time of `clock`, for 200,000 leases with results of up to
    /// 256 MiB in all, 100,000 checkpoints of up to 128 MiB in all, and a million keys that are
    /// known as reused, for which it takes 70 MB.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::with_limits(LIMITS, clock)
    }

    pub(super) fn with_limits(limits: Limits, clock: Clock) -> Self {
        Self {
            clock,
            table: Mutex::default(),
            limits,
            wait_queue: WaitQueue::new(),
        }
    }

    /// All checkpoints, in no order.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<StoredCheckpoint> {
        let now = self.clock.monotonic();
        self.table().checkpoints.all(now)
    }

    /// Adds a checkpoint that another store held.
    pub(in crate::store) fn add_checkpoint(&self, checkpoint: StoredCheckpoint) {
        let StoredCheckpoint { key, sealed, ttl } = checkpoint;
        let until = self.clock.monotonic().saturating_add(ttl);
        let mut table = self.table();
        table
            .checkpoints
            .put(key, sealed, until, self.limits.checkpoints);
    }

    /// Removes the checkpoint of a lease.
    pub fn remove_checkpoint(&self, key: LeaseKey) {
        self.table().checkpoints.remove(key);
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
            checkpoints: table.checkpoints.usage(),
        }
    }

    /// Everything that has not expired, then every change, until the receiver is dropped.
    pub fn follow(&self) -> (Vec<LeaseRow>, mpsc::UnboundedReceiver<LeaseRow>) {
        let now = self.clock.monotonic();
        let (follower, changes) = mpsc::unbounded_channel();
        let mut table = self.table();
        table.followers.push(follower);
        (table.rows(now), changes)
    }

    /// Takes over what another process knows of a lease. A lease that this process holds stays its
    /// own.
    pub fn adopt(&self, row: LeaseRow) {
        let now = self.clock.monotonic();
        let key = row.key;
        self.table().adopt(row, now, self.limits);
        self.wait_queue.notify(key);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn acquire(&self, key: LeaseKey, ttl: Duration) -> Result<Acquire, StoreError> {
        let now = self.clock.monotonic();
        let mut table = self.table();
        for _ in 0..SWEPT_PER_ACQUIRE {
            table.expire_first(now, self.limits);
            table.reused.pop_expired(now);
            table.checkpoints.expire_first(now);
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
        if table.is_reused(key, now) {
            return Ok(Acquire::Reused);
        }
        table.last_fence += 1;
        let fence = Fence(table.last_fence);
        table.put(key, Entry::Held(fence), now.saturating_add(ttl));
        table.evict(self.limits);
        table.tell(key, LeaseState::Held, ttl);
        let checkpoint = table.checkpoints.get(key, now);
        Ok(Acquire::Acquired { fence, checkpoint })
    }

    async fn extend(&self, key: LeaseKey, fence: Fence, ttl: Duration) -> Result<bool, StoreError> {
        let until = self.clock.monotonic().saturating_add(ttl);
        let mut table = self.table();
        let is_held = table.is_held(key, fence);
        if is_held {
            table.expiry.set(key, until);
            table.tell(key, LeaseState::Held, ttl);
        }
        Ok(is_held)
    }

    async fn put_checkpoint(
        &self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.clock.monotonic();
        let mut table = self.table();
        let is_completed = matches!(table.entries.get(&key), Some(Entry::Completed { .. }));
        if is_completed || table.is_reused(key, now) {
            return Ok(false);
        }
        let until = now.saturating_add(ttl);
        table.tell(key, LeaseState::Checkpoint(Arc::clone(&sealed)), ttl);
        table
            .checkpoints
            .put(key, sealed, until, self.limits.checkpoints);
        Ok(true)
    }

    async fn checkpoint(&self, key: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        let now = self.clock.monotonic();
        Ok(self.table().checkpoints.get(key, now))
    }

    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
    ) -> Result<bool, StoreError> {
        let expiry = self.clock.monotonic().saturating_add(result.ttl);
        {
            let mut table = self.table();
            if !table.is_held(key, fence) {
                return Ok(false);
            }
            let told = LeaseState::Completed {
                sealed: Arc::clone(&result.sealed),
                reuse_ttl: result.reuse_ttl,
            };
            table.tell(key, told, result.ttl);
            let completed = Entry::Completed {
                sealed: result.sealed,
                reused_until: result.reuse_ttl.map(|ttl| expiry.saturating_add(ttl)),
            };
            table.put(key, completed, expiry);
            table.checkpoints.remove(key);
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
                table.tell(key, LeaseState::Released, Duration::ZERO);
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
    fn sweep(&self, _wall_clock: Timestamp) {
        let now = self.clock.monotonic();
        let mut table = self.table();
        while table.expire_first(now, self.limits) {}
        while table.reused.pop_expired(now).is_some() {}
        while table.checkpoints.expire_first(now) {}
    }

    fn evicted(&self) -> u64 {
        self.table().evicted
    }
}
