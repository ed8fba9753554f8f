//! Who renews a refresh token: asked here first, then of the replicas that share the store. While
//! the store is away each replica decides for itself, and whoever watches is told.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::model::timestamp::Timestamp;
use crate::store::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, Scope, StoreError, Stores};
use crate::system::Clock;
use crate::telemetry::audit;

/// How long a holder is believed to be at work without a word. One that dies costs the others this
/// long.
pub(super) const SPAN: Duration = Duration::from_secs(3);

/// The leases of this process and, where replicas share a store, of all of them.
pub(super) struct Leases {
    /// Results rest here too: a store that goes away takes none of them along.
    near: Arc<dyn LeaseStore>,
    shared: Option<Arc<dyn LeaseStore>>,
}

/// How somebody who wants to renew may go on.
pub(super) enum Turn {
    /// It is theirs to renew.
    Ours(Held),
    /// Somebody else renews.
    Busy,
    /// It was done: the sealed result.
    Done(Arc<[u8]>),
    /// It was done long ago.
    Spent,
}

/// A lease, near and shared.
pub(super) struct Held {
    key: LeaseKey,
    near: Fence,
    /// `None` where the store was away: then this is a lease among the requests of this replica
    /// only.
    shared: Option<Fence>,
}

impl Leases {
    pub(super) fn new(stores: &Stores) -> Self {
        Self {
            near: Arc::clone(&stores.local_leases),
            shared: (stores.scope == Scope::Replicas).then(|| Arc::clone(&stores.leases)),
        }
    }

    pub(super) async fn take(&self, key: LeaseKey, now: Timestamp) -> Turn {
        let near = match self.near.acquire(key, SPAN, now).await {
            Ok(Acquire::Acquired(fence)) => fence,
            Ok(Acquire::Contended) | Err(_) => return Turn::Busy,
            Ok(Acquire::Completed(sealed)) => return Turn::Done(sealed),
            Ok(Acquire::Reused) => return Turn::Spent,
        };
        let Some(store) = &self.shared else {
            return Turn::Ours(Held {
                key,
                near,
                shared: None,
            });
        };
        let turn = match store.acquire(key, SPAN, now).await {
            Ok(Acquire::Acquired(fence)) => {
                return Turn::Ours(Held {
                    key,
                    near,
                    shared: Some(fence),
                });
            }
            Err(error) => {
                degraded(&error);
                return Turn::Ours(Held {
                    key,
                    near,
                    shared: None,
                });
            }
            Ok(Acquire::Contended) => Turn::Busy,
            Ok(Acquire::Completed(sealed)) => Turn::Done(sealed),
            Ok(Acquire::Reused) => Turn::Spent,
        };
        told(self.near.release(key, near).await);
        turn
    }

    /// Whether a lease excludes every other replica.
    pub(super) fn is_everybodys(&self, held: &Held) -> bool {
        self.shared.is_none() || held.shared.is_some()
    }

    /// Does `work`, and says meanwhile that the holder is at it.
    pub(super) async fn during<T>(
        &self,
        held: &Held,
        clock: &Clock,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(SPAN / 3, work.as_mut()).await {
                Ok(done) => return done,
                Err(_) => self.extend(held, clock.now()).await,
            }
        }
    }

    async fn extend(&self, held: &Held, now: Timestamp) {
        told(
            self.near
                .extend(held.key, held.near, SPAN, now)
                .await
                .map(|_| ()),
        );
        if let (Some(store), Some(fence)) = (&self.shared, held.shared) {
            // A lease that was lost meanwhile: the call is on its way all the same, and its result
            // is good.
            told(store.extend(held.key, fence, SPAN, now).await.map(|_| ()));
        }
    }

    /// Ends a lease with its result.
    pub(super) async fn land(&self, held: Held, landing: LeaseResult, now: Timestamp) {
        if let (Some(store), Some(fence)) = (&self.shared, held.shared) {
            told(
                store
                    .complete(held.key, fence, landing.clone(), now)
                    .await
                    .map(|_| ()),
            );
        }
        told(
            self.near
                .complete(held.key, held.near, landing, now)
                .await
                .map(|_| ()),
        );
    }

    /// Gives a lease back without a result.
    pub(super) async fn release(&self, held: Held) {
        if let (Some(store), Some(fence)) = (&self.shared, held.shared) {
            told(store.release(held.key, fence).await);
        }
        told(self.near.release(held.key, held.near).await);
    }

    /// Backoff until it may be worth asking again, for `at_most` this long.
    pub(super) async fn changed(&self, key: LeaseKey, at_most: Duration) {
        match &self.shared {
            Some(store) => store.wait_for_change(key, at_most).await,
            None => self.near.wait_for_change(key, at_most).await,
        }
    }
}

fn told(result: Result<(), StoreError>) {
    if let Err(error) = result {
        degraded(&error);
    }
}

/// Other replicas may renew the same token meanwhile.
fn degraded(error: &StoreError) {
    audit::store_failed(&error.0);
}
