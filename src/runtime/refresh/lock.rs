//! The lock on one refresh token, or on anything else that one request at a time may do: a lease in
//! this process, and one in the store that replicas share.
//!
//! While the shared store does not answer, each replica decides for itself, and the audit log says
//! so. [`Leases::lost_for`] tells how long that has been.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{
    self, Fence, LeaseKey, LeaseResult, LeaseStore, MemoryLeases, Scope, StoreConnection,
    StoreError, Stores,
};
use crate::system::Clock;
use crate::telemetry::audit;

/// How long a lease lives without a heartbeat of its holder: what a holder that died costs the
/// others.
pub const LEASE_TTL: Duration = Duration::from_secs(3);

/// How much longer than by the clock of the replica that set it an end is taken to be: the clocks
/// of replicas differ.
pub const CLOCK_ALLOWANCE: Duration = Duration::from_secs(5 * 60);

/// The leases of this process and, where replicas share a store, of all of them.
pub struct Leases {
    /// Results are kept here too, so that they outlast a shared store that stops to answer.
    local: Arc<MemoryLeases>,
    shared: Option<Arc<dyn LeaseStore>>,
    connection: Arc<dyn StoreConnection>,
    clock: Clock,
    /// Since when the shared store has not answered, on the monotonic clock.
    lost_since: Mutex<Option<Duration>>,
}

/// The answer to an attempt to acquire a lease.
pub enum Acquire {
    /// The lease is the caller's.
    Acquired(LeaseGuard),
    /// Somebody else holds it.
    Contended,
    /// The work was done before: its sealed result.
    Completed(Arc<[u8]>),
    /// The work was done before, and the time for sharing its result is over.
    Reused,
}

/// A lease that is held. It ends with [`Leases::complete`] or [`Leases::release`], or by itself
/// after [`LEASE_TTL`].
#[must_use = "a lease that is neither completed nor released blocks others until it ends by itself"]
pub struct LeaseGuard {
    key: LeaseKey,
    local: Fence,
    /// `None` where no store is shared, or the shared store did not answer: then the lease excludes
    /// the other requests of this process only.
    shared: Option<Fence>,
    checkpoint: Option<Arc<[u8]>>,
}

impl LeaseGuard {
    /// What an earlier holder has left, sealed.
    pub fn checkpoint(&self) -> Option<&[u8]> {
        self.checkpoint.as_deref()
    }
}

impl Leases {
    /// Leases in this process and, where there is one, in the store that replicas share.
    pub fn new(stores: &Stores, clock: Clock) -> Self {
        Self {
            local: Arc::clone(&stores.local_leases) as _,
            shared: (stores.scope == Scope::Replicas).then(|| Arc::clone(&stores.leases)),
            connection: Arc::clone(&stores.connection),
            clock,
            lost_since: Mutex::new(None),
        }
    }

    /// Tries to acquire the lease on `key`, first in this process, then among the replicas.
    pub async fn acquire(&self, key: LeaseKey) -> Acquire {
        let (local, kept_here) = match self.local.acquire(key, LEASE_TTL).await {
            Ok(store::Acquire::Acquired { fence, checkpoint }) => (fence, checkpoint),
            Ok(store::Acquire::Contended) | Err(_) => return Acquire::Contended,
            Ok(store::Acquire::Completed(sealed)) => return Acquire::Completed(sealed),
            Ok(store::Acquire::Reused) => return Acquire::Reused,
        };
        let held = |shared, checkpoint| {
            Acquire::Acquired(LeaseGuard {
                key,
                local,
                shared,
                checkpoint,
            })
        };
        let Some(store) = &self.shared else {
            return held(None, kept_here);
        };
        let shared = store.acquire(key, LEASE_TTL).await;
        self.note_answer(&shared);
        let answer = match shared {
            Ok(store::Acquire::Acquired { fence, checkpoint }) => {
                return held(Some(fence), checkpoint.or(kept_here));
            }
            Err(error) => {
                audit::store_failed(&error.0);
                return held(None, kept_here);
            }
            Ok(store::Acquire::Contended) => Acquire::Contended,
            Ok(store::Acquire::Completed(sealed)) => {
                self.local.remove_checkpoint(key);
                Acquire::Completed(sealed)
            }
            Ok(store::Acquire::Reused) => {
                self.local.remove_checkpoint(key);
                Acquire::Reused
            }
        };
        audit_error(self.local.release(key, local).await);
        answer
    }

    /// How long the shared store has not answered. `None` while it does, and where there is none.
    pub fn lost_for(&self) -> Option<Duration> {
        let since = (*self.lost_since())?;
        Some(self.clock.monotonic().saturating_sub(since))
    }

    fn note_answer<T>(&self, answer: &Result<T, StoreError>) {
        let mut lost_since = self.lost_since();
        if answer.is_ok() {
            *lost_since = None;
        } else if lost_since.is_none() {
            // Nobody may have asked when the connection was lost.
            let down_since = self.connection.down_since();
            *lost_since = Some(down_since.unwrap_or_else(|| self.clock.monotonic()));
        }
    }

    fn lost_since(&self) -> MutexGuard<'_, Option<Duration>> {
        self.lost_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lease excludes every other replica.
    pub fn is_distributed(&self, guard: &LeaseGuard) -> bool {
        self.shared.is_none() || guard.shared.is_some()
    }

    /// Runs `work`, and extends the lease as long as it takes. The work does not wait for a store
    /// that does not answer.
    pub async fn with_heartbeat<T>(&self, guard: &LeaseGuard, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            result = work => result,
            never = self.extend_forever(guard) => match never {},
        }
    }

    async fn extend_forever(&self, guard: &LeaseGuard) -> Infallible {
        loop {
            tokio::time::sleep(LEASE_TTL / 3).await;
            // A lease may be lost meanwhile. The work goes on all the same: a call that is on its
            // way cannot be taken back, and its result is good.
            audit_error(self.local.extend(guard.key, guard.local, LEASE_TTL).await);
            if let (Some(store), Some(fence)) = (&self.shared, guard.shared) {
                audit_error(store.extend(guard.key, fence, LEASE_TTL).await);
            }
        }
    }

    /// Stores a checkpoint for `ttl`: whoever acquires the lease next, here or on another replica,
    /// gets it.
    ///
    /// # Errors
    /// [`StoreError`] when other replicas may not get it. This process has it all the same.
    pub async fn put_checkpoint(
        &self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let here = self.local.put_checkpoint(key, Arc::clone(&sealed), ttl);
        audit_error(here.await);
        let Some(store) = &self.shared else {
            return Ok(());
        };
        let put = store.put_checkpoint(key, sealed, ttl).await.map(drop);
        put.inspect_err(|error| audit::store_failed(&error.0))
    }

    /// Stores the checkpoint of the shared store in this process, which outlasts a store that stops
    /// to answer.
    pub async fn copy_checkpoint(&self, guard: &LeaseGuard, ttl: Duration) {
        if let Some(sealed) = guard.checkpoint.clone().filter(|_| self.shared.is_some()) {
            audit_error(self.local.put_checkpoint(guard.key, sealed, ttl).await);
        }
    }

    /// The checkpoint of a lease, whoever holds it.
    ///
    /// # Errors
    /// [`StoreError`] when another replica may have stored one.
    pub async fn checkpoint(&self, key: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        let here = self.local.checkpoint(key).await?;
        let Some(store) = &self.shared else {
            return Ok(here);
        };
        match store.checkpoint(key).await {
            Ok(there) => Ok(there.or(here)),
            Err(error) => {
                audit::store_failed(&error.0);
                here.map(Some).ok_or(error)
            }
        }
    }

    /// Ends the lease with the result of the work, for everybody who comes later.
    pub async fn complete(&self, guard: LeaseGuard, result: LeaseResult) {
        if let (Some(store), Some(fence)) = (&self.shared, guard.shared) {
            audit_error(store.complete(guard.key, fence, result.clone()).await);
        }
        audit_error(self.local.complete(guard.key, guard.local, result).await);
    }

    /// Ends the lease without a result: somebody else may try. A checkpoint stays.
    pub async fn release(&self, guard: LeaseGuard) {
        if let (Some(store), Some(fence)) = (&self.shared, guard.shared) {
            audit_error(store.release(guard.key, fence).await);
        }
        audit_error(self.local.release(guard.key, guard.local).await);
    }

    /// Waits until the lease on `key` may have ended, at most this long.
    pub async fn wait_for_change(&self, key: LeaseKey, at_most: Duration) {
        match &self.shared {
            Some(store) => store.wait_for_change(key, at_most).await,
            None => self.local.wait_for_change(key, at_most).await,
        }
    }
}

/// Records that the store failed: other replicas may do the same work meanwhile.
fn audit_error<T>(result: Result<T, StoreError>) {
    if let Err(error) = result {
        audit::store_failed(&error.0);
    }
}

#[cfg(test)]
mod tests;
