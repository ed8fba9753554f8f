//! The lock on one refresh token, or on anything else that one request at a time may do: a lease in
//! this process, and one in the store that replicas share.
//!
//! While the shared store does not answer, each replica decides for itself, and the audit log says
//! so.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::timestamp::Timestamp;
use crate::store::{self, Fence, LeaseKey, LeaseResult, LeaseStore, Scope, StoreError, Stores};
use crate::system::Clock;
use crate::telemetry::audit;

/// How long a lease lives without a heartbeat of its holder: what a holder that died costs the
/// others.
pub const LEASE_TTL: Duration = Duration::from_secs(3);

/// The leases of this process and, where replicas share a store, of all of them.
pub struct Leases {
    /// Results are kept here too, so that they outlast a shared store that stops to answer.
    local: Arc<dyn LeaseStore>,
    shared: Option<Arc<dyn LeaseStore>>,
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
}

impl Leases {
    /// Leases in this process and, where there is one, in the store that replicas share.
    pub fn new(stores: &Stores) -> Self {
        Self {
            local: Arc::clone(&stores.local_leases),
            shared: (stores.scope == Scope::Replicas).then(|| Arc::clone(&stores.leases)),
        }
    }

    /// Tries to acquire the lease on `key`, first in this process, then among the replicas.
    pub async fn acquire(&self, key: LeaseKey, now: Timestamp) -> Acquire {
        let local = match self.local.acquire(key, LEASE_TTL, now).await {
            Ok(store::Acquire::Acquired(fence)) => fence,
            Ok(store::Acquire::Contended) | Err(_) => return Acquire::Contended,
            Ok(store::Acquire::Completed(sealed)) => return Acquire::Completed(sealed),
            Ok(store::Acquire::Reused) => return Acquire::Reused,
        };
        let held = |shared| Acquire::Acquired(LeaseGuard { key, local, shared });
        let Some(store) = &self.shared else {
            return held(None);
        };
        let answer = match store.acquire(key, LEASE_TTL, now).await {
            Ok(store::Acquire::Acquired(fence)) => return held(Some(fence)),
            Err(error) => {
                audit::store_failed(&error.0);
                return held(None);
            }
            Ok(store::Acquire::Contended) => Acquire::Contended,
            Ok(store::Acquire::Completed(sealed)) => Acquire::Completed(sealed),
            Ok(store::Acquire::Reused) => Acquire::Reused,
        };
        audit_error(self.local.release(key, local).await);
        answer
    }

    /// Whether the lease excludes every other replica.
    pub fn is_distributed(&self, guard: &LeaseGuard) -> bool {
        self.shared.is_none() || guard.shared.is_some()
    }

    /// Runs `work`, and extends the lease as long as it takes.
    pub async fn with_heartbeat<T>(
        &self,
        guard: &LeaseGuard,
        clock: &Clock,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(LEASE_TTL / 3, work.as_mut()).await {
                Ok(result) => return result,
                Err(_) => self.extend(guard, clock.now()).await,
            }
        }
    }

    async fn extend(&self, guard: &LeaseGuard, now: Timestamp) {
        // A lease may be lost meanwhile. The work goes on all the same: a call that is on its way
        // cannot be taken back, and its result is good.
        let extended = self.local.extend(guard.key, guard.local, LEASE_TTL, now);
        audit_error(extended.await);
        if let (Some(store), Some(fence)) = (&self.shared, guard.shared) {
            audit_error(store.extend(guard.key, fence, LEASE_TTL, now).await);
        }
    }

    /// Ends the lease with the result of the work, for everybody who comes later.
    pub async fn complete(&self, guard: LeaseGuard, result: LeaseResult, now: Timestamp) {
        if let (Some(store), Some(fence)) = (&self.shared, guard.shared) {
            audit_error(store.complete(guard.key, fence, result.clone(), now).await);
        }
        audit_error(
            self.local
                .complete(guard.key, guard.local, result, now)
                .await,
        );
    }

    /// Ends the lease without a result: somebody else may try.
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
