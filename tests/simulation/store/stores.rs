//! The four stores of one gateway, on the shared server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use vestibule::config::settings::Rate;
use vestibule::model::timestamp::Timestamp;
use vestibule::store::{
    Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, MemoryPendingRevocations, PendingId,
    PendingRevocation, PendingRevocationStore, Reservation, ReserveError, Revocation, RevocationId,
    RevocationListener, RevocationStore, Scope, SessionHash, SessionStore, Settlement, StoreError,
    StoredSession, Stores, Sweep, ThrottleKey, ThrottleStore,
};

use vestibule::system::Clock;

use super::super::life::Life;
use super::replica::Replica;
use super::server::{Data, Lease, Message, Server, StoredValue};

/// A waiter that is not notified tries again after this long.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The stores of the process `life` on `server`.
pub fn connect(server: &Arc<Server>, life: &Arc<Life>, clock: &Clock) -> Stores {
    let replica = Replica::new(server, life, clock);
    let saved = replica.saved.clone();
    let shared = Arc::new(SharedStore(Arc::clone(&replica)));
    Stores {
        sessions: Arc::clone(&shared) as _,
        leases: Arc::clone(&shared) as _,
        local_leases: Arc::clone(&saved.leases),
        revocations: Arc::clone(&shared) as _,
        pending_revocations: Arc::clone(&shared) as _,
        saved,
        throttles: shared,
        connection: replica,
        scope: Scope::Replicas,
    }
}

#[derive(Debug)]
struct SharedStore(Arc<Replica>);

impl SharedStore {
    /// The pending revocations on the server, where it answers.
    async fn pending_revocations(&self) -> Result<Arc<MemoryPendingRevocations>, StoreError> {
        let pending = |data: &mut Data| (Arc::clone(&data.pending_revocations), None);
        self.0.run(pending).await
    }
}

impl Sweep for SharedStore {
    fn sweep(&self, _now: Timestamp) {}
}

/// What `acquire.lua` does.
fn acquire(data: &mut Data, key: LeaseKey, ttl: Duration) -> Acquire {
    let known = data.leases.get(&key.0).cloned().unwrap_or_default();
    let now = data.now;
    let is_before = |end: Option<Duration>| end.is_some_and(|end| now < end);
    if is_before(known.held_until) {
        return Acquire::Contended;
    }
    if is_before(known.result_until) {
        if let Some(result) = known.result {
            return Acquire::Completed(result);
        }
    } else if is_before(known.reused_until) {
        return Acquire::Reused;
    }
    data.last_fence += 1;
    let fence = data.last_fence;
    let lease = Lease {
        fence,
        held_until: Some(now + ttl),
        checkpoint: known.checkpoint.filter(|(_, end)| now < *end),
        ..Lease::default()
    };
    let checkpoint = lease.checkpoint.clone();
    data.put_lease(key.0, lease);
    Acquire::Acquired {
        fence: Fence(fence),
        checkpoint: checkpoint.map(|(sealed, _)| sealed),
    }
}

/// The lease, where this fence holds it.
fn held(data: &Data, key: LeaseKey, fence: Fence) -> Option<Lease> {
    let lease = data.leases.get(&key.0)?;
    (lease.fence == fence.0 && lease.held_until.is_some()).then(|| lease.clone())
}

#[async_trait]
impl LeaseStore for SharedStore {
    async fn acquire(&self, key: LeaseKey, ttl: Duration) -> Result<Acquire, StoreError> {
        self.0.run(|data| (acquire(data, key, ttl), None)).await
    }

    async fn put_checkpoint(
        &self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let put = |data: &mut Data| (data.put_checkpoint(key, sealed, ttl), None);
        let put = self.0.run(put).await;
        if put.is_err() {
            self.0.publish_later();
        }
        put
    }

    async fn checkpoint(&self, key: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        let read = |data: &mut Data| {
            let lease = data.leases.get(&key.0);
            let checkpoint = lease.and_then(|lease| lease.checkpoint.clone());
            let fresh = checkpoint.filter(|(_, end)| data.now < *end);
            (fresh.map(|(sealed, _)| sealed), None)
        };
        self.0.run(read).await
    }

    async fn extend(&self, key: LeaseKey, fence: Fence, ttl: Duration) -> Result<bool, StoreError> {
        let extend = |data: &mut Data| {
            let lease = held(data, key, fence);
            let is_held = lease.is_some();
            if let Some(lease) = lease {
                let held_until = Some(data.now + ttl);
                data.put_lease(
                    key.0,
                    Lease {
                        held_until,
                        ..lease
                    },
                );
            }
            (is_held, None)
        };
        self.0.run(extend).await
    }

    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
    ) -> Result<bool, StoreError> {
        let complete = |data: &mut Data| {
            if held(data, key, fence).is_none() {
                return (false, None);
            }
            let result_until = data.now + result.ttl;
            let lease = Lease {
                fence: fence.0,
                held_until: None,
                result_until: Some(result_until),
                reused_until: result.reuse_ttl.map(|ttl| result_until + ttl),
                result: Some(result.sealed),
                checkpoint: None,
            };
            data.put_lease(key.0, lease);
            (true, Some(Message::LeaseChanged))
        };
        let completed = self.0.run(complete).await?;
        self.0.lease_changed.notify_waiters();
        Ok(completed)
    }

    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        let release = |data: &mut Data| match held(data, key, fence) {
            None => ((), None),
            Some(lease) => {
                let held_until = None;
                data.put_lease(
                    key.0,
                    Lease {
                        held_until,
                        ..lease
                    },
                );
                ((), Some(Message::LeaseChanged))
            }
        };
        self.0.run(release).await?;
        self.0.lease_changed.notify_waiters();
        Ok(())
    }

    async fn wait_for_change(&self, _key: LeaseKey, at_most: Duration) {
        let changed = self.0.lease_changed.notified();
        // A notification is a reason to look, and so is the time.
        let _ = timeout(at_most.min(RETRY_AFTER), changed).await;
        self.0.life.go_on().await;
    }
}

#[async_trait]
impl SessionStore for SharedStore {
    async fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let idle_until = now.plus(idle).min(session.expires_at);
        if idle_until <= now {
            return SessionStore::delete(self, id).await;
        }
        let sealed = Arc::clone(&session.sealed);
        let put = |data: &mut Data| {
            let value = StoredValue {
                expires_at: data.now + now.until(session.expires_at),
                idle_until: data.now + now.until(idle_until),
                sealed,
            };
            (data.put_session(id.0, Some(value)), None)
        };
        self.0.cache(id, None);
        self.0.run(put).await?;
        self.0.cache(id, Some((session, now)));
        Ok(())
    }

    async fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        if let Some(session) = self.0.cached(id, idle, now) {
            return Ok(Some(session));
        }
        let read = |data: &mut Data| {
            let value = data.sessions.get(&id.0).cloned();
            let value = value.filter(|value| data.now < value.idle_until);
            let next = value.clone().map(|value| StoredValue {
                idle_until: (data.now + idle).min(value.expires_at),
                ..value
            });
            if next.is_some() || data.sessions.contains_key(&id.0) {
                data.put_session(id.0, next);
            }
            let session = value.map(|value| StoredSession {
                sealed: value.sealed,
                expires_at: now.plus(value.expires_at.saturating_sub(data.now)),
            });
            (session, None)
        };
        let session = self.0.run(read).await?;
        self.0
            .cache(id, session.clone().map(|session| (session, now)));
        Ok(session)
    }

    async fn delete(&self, id: SessionHash) -> Result<(), StoreError> {
        self.0.cache(id, None);
        let ended = self.0.run(|data| {
            data.put_session(id.0, None);
            ((), Some(Message::SessionEnded(id)))
        });
        let ended = ended.await;
        self.0.cache(id, None);
        ended
    }

    fn count(&self) -> usize {
        self.0.cached_sessions()
    }
}

#[async_trait]
impl RevocationStore for SharedStore {
    async fn revoke_all(
        &self,
        revocations: &[Revocation],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        for revocation in revocations {
            if revocation.until <= now {
                continue;
            }
            self.0.saved.revocations.add(*revocation, Some(now));
            let published = self.0.publish(*revocation).await;
            if published.is_err() {
                self.0.publish_later();
            }
            result = result.and(published.map(drop));
        }
        result
    }

    async fn mark_used(
        &self,
        id: RevocationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mark = Revocation::of_sign_in(id, until);
        let news = self.0.publish(mark).await?;
        self.0.saved.revocations.add(mark, Some(now));
        Ok(news)
    }

    fn listen(&self, listener: Arc<dyn RevocationListener>) {
        self.0.saved.revocations.listen(listener);
    }

    fn issued_by(&self, id: RevocationId, now: Timestamp) -> Option<Timestamp> {
        self.0.saved.revocations.issued_by(id, now)
    }

    fn generation(&self) -> u64 {
        self.0.saved.revocations.generation()
    }
}

#[async_trait]
impl PendingRevocationStore for SharedStore {
    async fn put(
        &self,
        pending: PendingRevocation,
        keep: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.pending_revocations()
            .await?
            .put(pending, keep, now)
            .await
    }

    async fn remove(&self, id: PendingId) -> Result<(), StoreError> {
        self.pending_revocations().await?.remove(id).await
    }

    async fn some(
        &self,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        self.pending_revocations().await?.some(count, now).await
    }
}

#[async_trait]
impl ThrottleStore for SharedStore {
    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        let reached = self.0.run(|_| ((), None)).await;
        reached.map_err(ReserveError::Store)?;
        self.0.server.throttles.reserve(key, rate, now).await
    }

    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError> {
        self.0.run(|_| ((), None)).await?;
        self.0.server.throttles.settle(reservation, how).await
    }
}
