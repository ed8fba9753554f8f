//! The lock on one refresh token, or on anything else that one request at a time may do: a lease in
//! this process, and one in the store that replicas share.
//!
//! While the shared store does not answer, each replica decides for itself, and the audit log says
//! so.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{self, Fence, LeaseKey, LeaseResult, LeaseStore, Scope, StoreError, Stores};
use crate::telemetry::audit;

/// How long a lease lives without a heartbeat of its holder: what a holder that died costs the
/// others.
pub const LEASE_TTL: Duration = Duration::from_secs(3);

/// How much longer than by the clock of the replica that set it an end is taken to be: the clocks of
/// replicas differ.
pub const CLOCK_ALLOWANCE: Duration = Duration::from_secs(5 * 60);

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
    pub fn new(stores: &Stores) -> Self {
        Self {
            local: Arc::clone(&stores.local_leases) as _,
            shared: (stores.scope == Scope::Replicas).then(|| Arc::clone(&stores.leases)),
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
        let answer = match store.acquire(key, LEASE_TTL).await {
            Ok(store::Acquire::Acquired { fence, checkpoint }) => {
                return held(Some(fence), checkpoint.or(kept_here));
            }
            Err(error) => {
                audit::store_failed(&error.0);
                return held(None, kept_here);
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
    pub async fn put_checkpoint(&self, key: LeaseKey, sealed: Arc<[u8]>, ttl: Duration) {
        let here = self.local.put_checkpoint(key, Arc::clone(&sealed), ttl);
        audit_error(here.await);
        if let Some(store) = &self.shared {
            audit_error(store.put_checkpoint(key, sealed, ttl).await);
        }
    }

    /// The checkpoint of a lease, whoever holds it. `None` also where the store does not answer.
    pub async fn checkpoint(&self, key: LeaseKey) -> Option<Arc<[u8]>> {
        if let Some(store) = &self.shared {
            match store.checkpoint(key).await {
                Ok(None) => {}
                Ok(found) => return found,
                Err(error) => audit::store_failed(&error.0),
            }
        }
        self.local.checkpoint(key).await.ok().flatten()
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
mod tests {
    use std::future::pending;

    use async_trait::async_trait;

    use super::*;
    use crate::model::timestamp::Timestamp;
    use crate::store::{MemoryLeases, Sweep};
    use crate::system::Clock;

    const KEY: LeaseKey = LeaseKey([7; 32]);

    /// The leases of a replica that shares `store`.
    fn replica(clock: &Clock, store: Arc<dyn LeaseStore>) -> Leases {
        Leases::new(&Stores {
            leases: store,
            scope: Scope::Replicas,
            ..Stores::in_memory(clock)
        })
    }

    fn acquired(answer: Acquire) -> LeaseGuard {
        match answer {
            Acquire::Acquired(guard) => guard,
            Acquire::Contended | Acquire::Completed(_) | Acquire::Reused => panic!("not free"),
        }
    }

    /// The holder fetches keys for a minute, after the provider has answered.
    #[tokio::test(start_paused = true)]
    async fn a_lease_is_held_for_as_long_as_the_work_takes() {
        let clock = Clock::new();
        let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
        let (here, there) = (replica(&clock, Arc::clone(&store)), replica(&clock, store));
        let guard = acquired(here.acquire(KEY).await);
        let work = here.with_heartbeat(&guard, async {
            for _ in 0..600 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert!(matches!(there.acquire(KEY).await, Acquire::Contended));
            }
            here.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL * 100)
                .await;
        });
        work.await;
        // It dies before it can store the result.
        drop(guard);
        tokio::time::sleep(LEASE_TTL).await;
        let guard = acquired(there.acquire(KEY).await);
        assert_eq!(guard.checkpoint(), Some(b"pair".as_slice()));
    }

    /// The shared store does not answer: what was left in this process is used.
    #[tokio::test(start_paused = true)]
    async fn a_checkpoint_outlives_a_shared_store_that_lost_it() {
        let clock = Clock::new();
        let store: Arc<dyn LeaseStore> = Arc::new(MemoryLeases::new(clock.clone()));
        let here = replica(&clock, store);
        here.put_checkpoint(KEY, b"pair".as_slice().into(), LEASE_TTL)
            .await;
        let emptied = Leases {
            shared: Some(Arc::new(MemoryLeases::new(clock))),
            ..here
        };
        let guard = acquired(emptied.acquire(KEY).await);
        assert_eq!(guard.checkpoint(), Some(b"pair".as_slice()));
        assert!(emptied.checkpoint(KEY).await.is_some());
    }

    /// Answers once, then never again.
    #[derive(Debug)]
    struct Stuck;

    impl Sweep for Stuck {
        fn sweep(&self, _: Timestamp) {}
    }

    #[async_trait]
    impl LeaseStore for Stuck {
        async fn acquire(&self, _: LeaseKey, _: Duration) -> Result<store::Acquire, StoreError> {
            Ok(store::Acquire::Acquired {
                fence: Fence(1),
                checkpoint: None,
            })
        }

        async fn extend(&self, _: LeaseKey, _: Fence, _: Duration) -> Result<bool, StoreError> {
            pending().await
        }

        async fn put_checkpoint(
            &self,
            _: LeaseKey,
            _: Arc<[u8]>,
            _: Duration,
        ) -> Result<bool, StoreError> {
            pending().await
        }

        async fn checkpoint(&self, _: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
            pending().await
        }

        async fn complete(
            &self,
            _: LeaseKey,
            _: Fence,
            _: LeaseResult,
        ) -> Result<bool, StoreError> {
            pending().await
        }

        async fn release(&self, _: LeaseKey, _: Fence) -> Result<(), StoreError> {
            pending().await
        }

        async fn wait_for_change(&self, _: LeaseKey, _: Duration) {
            pending::<()>().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_work_does_not_wait_for_a_store_that_is_stuck() {
        let clock = Clock::new();
        let leases = replica(&clock, Arc::new(Stuck));
        let guard = acquired(leases.acquire(KEY).await);
        let work = tokio::time::sleep(Duration::from_secs(5));
        leases.with_heartbeat(&guard, work).await;
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
