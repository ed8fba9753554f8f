//! Refresh tokens that their providers are told to revoke, one call at a time for each, and again
//! until the provider has answered.
//!
//! What was not told yet is in the store of pending revocations: where replicas share it, any of
//! them carries it out; else it is saved for the next start (`saved_state`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::provider::http_client::MAX_REVOCATIONS;
use crate::store::{
    Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, MemoryPendingRevocations, PendingId,
    PendingRevocation, PendingRevocationStore, Scope, Stores,
};
use crate::system::{self, Clock};
use crate::telemetry::audit;
use crate::telemetry::labels::CallResult;

use super::provider_call::result_of;
use super::provider_client::ProviderClient;
use super::revocation_schedule::{Attempt, Begin, Schedule};
use super::saved_state::SavedState;

/// How long a provider is told again: as long as a refresh token may live.
const KEEP_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often the store is asked for what others left.
const POLL: Duration = Duration::from_secs(1);
/// How many are taken from the store at a time.
const BATCH: usize = 64;
/// How many are taken from the store when the gateway stops.
const LAST_BATCH: usize = 256;
/// How long other replicas are told that the work was done.
const DONE_FOR: Duration = Duration::from_secs(60);
/// What a lease lives beside the time limit of the call.
const LEASE_SLACK: Duration = Duration::from_secs(5);
/// How long the last attempts may take when the gateway stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Refresh tokens to be revoked at their providers. It outlives every configuration.
pub(super) struct RevocationQueue {
    store: Arc<dyn PendingRevocationStore>,
    /// Takes what the server does not take; `None` where the store is in this process.
    fallback: Option<Arc<MemoryPendingRevocations>>,
    leases: Arc<dyn LeaseStore>,
    clock: Clock,
    schedule: Mutex<Schedule>,
    /// Something is to be done.
    wake: Notify,
    saved_state: Arc<SavedState>,
    calls: Arc<Semaphore>,
}

/// What an attempt needs of the configuration in force.
pub(super) struct QueueContext {
    pub providers: Vec<Arc<ProviderClient>>,
    pub sealing: Arc<SealingKeys>,
}

/// What is sealed. The short names must not change.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The realm of the provider.
    p: String,
    /// The refresh token.
    r: String,
    /// The user, for the audit log.
    u: String,
}

impl RevocationQueue {
    /// A queue of what `stores` hold.
    pub fn new(stores: &Stores, clock: Clock, saved_state: Arc<SavedState>) -> Self {
        let fallback = Arc::clone(&stores.saved.pending);
        Self {
            store: Arc::clone(&stores.pending_revocations),
            fallback: (stores.scope == Scope::Replicas).then_some(fallback),
            leases: Arc::clone(&stores.leases),
            clock,
            schedule: Mutex::default(),
            wake: Notify::new(),
            saved_state,
            calls: Arc::new(Semaphore::new(MAX_REVOCATIONS)),
        }
    }

    /// Has the provider told to revoke a refresh token, and returns once the store knows that it is to
    /// be told. Does nothing where it was told.
    pub async fn push(
        &self,
        sealing: &SealingKeys,
        provider: &ProviderClient,
        refresh: &Secret,
        user: &str,
    ) {
        let id = pending_id(provider.realm(), refresh);
        if self.schedule().is_told(id) {
            return;
        }
        let body = serde_json::to_vec(&Sealed {
            p: provider.realm().to_owned(),
            r: refresh.expose().to_owned(),
            u: user.to_owned(),
        });
        let sealed = body
            .ok()
            .and_then(|body| sealing.seal(&purpose(id), body, system::random()));
        let Some(sealed) = sealed else {
            tracing::error!("a refresh token could not be sealed: the provider is not told");
            return;
        };
        let pending = PendingRevocation {
            id,
            sealed: sealed.into(),
        };
        if self.schedule().add_fresh(pending.clone()) {
            self.wake.notify_one();
        }
        // Also where another request has added it: that one may not have stored it yet.
        self.keep(pending).await;
    }

    /// Stores a pending revocation, in this process where the store does not answer.
    async fn keep(&self, pending: PendingRevocation) {
        let now = self.clock.now();
        if let Err(error) = self.store.put(pending.clone(), KEEP_FOR, now).await {
            audit::store_failed(&error.0);
            if let Some(fallback) = &self.fallback {
                // The memory of this process does not fail.
                let _ = fallback.put(pending.clone(), KEEP_FOR, now).await;
            }
            self.saved_state.server_failed();
        } else {
            self.saved_state.changed();
        }
        if self.schedule().is_told(pending.id) {
            // The call was faster.
            self.remove(pending.id).await;
        }
    }

    async fn remove(&self, id: PendingId) {
        if let Err(error) = self.store.remove(id).await {
            audit::store_failed(&error.0);
        }
        if let Some(fallback) = &self.fallback {
            let _ = fallback.remove(id).await;
        }
        self.saved_state.changed();
    }

    /// Tells the providers. Never returns.
    pub async fn run(self: Arc<Self>, current: impl Fn() -> QueueContext) {
        let mut calls = JoinSet::new();
        loop {
            let context = Arc::new(current());
            for pending in self.batch(BATCH).await {
                self.start(&mut calls, &context, pending).await;
            }
            while calls.try_join_next().is_some() {}
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// The last attempts before the process ends: what could not be told so far is tried once more.
    pub async fn drain(self: &Arc<Self>, context: QueueContext) {
        let context = Arc::new(context);
        let work = async {
            self.wait_for_calls().await;
            let ours = self.schedule().forget_pauses();
            let mut calls = JoinSet::new();
            let batch = self.batch(LAST_BATCH).await;
            for pending in batch.into_iter().filter(|left| ours.contains(&left.id)) {
                self.start(&mut calls, &context, pending).await;
            }
            self.wait_for_calls().await;
        };
        // What is left is told after the next start, or by another replica.
        let _ = tokio::time::timeout(DRAIN_TIME, work).await;
    }

    /// Waits until no call is under way.
    async fn wait_for_calls(&self) {
        let all = u32::try_from(MAX_REVOCATIONS).unwrap_or(u32::MAX);
        drop(self.calls.acquire_many(all).await);
    }

    /// What was added, and some of what the store holds.
    async fn batch(&self, count: usize) -> Vec<PendingRevocation> {
        let mut batch: Vec<_> = self.schedule().fresh.drain(..).collect();
        let now = self.clock.now();
        if let Some(fallback) = &self.fallback
            && let Ok(left) = fallback.some(count, now).await
        {
            batch.extend(left);
        }
        // An error was recorded by whoever needed the store.
        if let Ok(left) = self.store.some(count, now).await {
            batch.extend(left);
        }
        batch
    }

    /// Starts an attempt as soon as there is a permit, unless one is under way or too early.
    async fn start(
        self: &Arc<Self>,
        calls: &mut JoinSet<()>,
        context: &Arc<QueueContext>,
        pending: PendingRevocation,
    ) {
        let Ok(permit) = Arc::clone(&self.calls).acquire_owned().await else {
            return;
        };
        let begin = self.schedule().begin(pending.id);
        match begin {
            Begin::First | Begin::Again => {}
            Begin::NotNow => return,
            // The store did not answer when it was to be removed.
            Begin::Told => return self.remove(pending.id).await,
        }
        let (queue, context) = (Arc::clone(self), Arc::clone(context));
        calls.spawn(async move {
            let attempt = queue.attempt(&context, &pending, begin).await;
            if matches!(attempt, Attempt::Told) {
                queue.remove(pending.id).await;
            }
            queue.schedule().end(pending.id, &attempt);
            drop(permit);
        });
    }

    async fn attempt(
        &self,
        context: &QueueContext,
        pending: &PendingRevocation,
        begin: Begin,
    ) -> Attempt {
        let body = context.sealing.open(&purpose(pending.id), &pending.sealed);
        let Some(sealed) = body.and_then(|body| serde_json::from_slice::<Sealed>(&body).ok())
        else {
            tracing::error!(
                "a pending revocation cannot be opened: it was sealed with a key that was removed"
            );
            return Attempt::Failed;
        };
        let mut providers = context.providers.iter();
        let Some(provider) = providers.find(|provider| provider.realm() == sealed.p) else {
            tracing::warn!(
                issuer = sealed.p,
                "no provider has the issuer of a pending revocation"
            );
            return Attempt::Failed;
        };
        if begin == Begin::Again && self.schedule().rests(&sealed.p) {
            return Attempt::Skipped;
        }
        let ttl = provider.settings.timeout.saturating_add(LEASE_SLACK);
        let key = lease_key(pending.id);
        let fence = match self.leases.acquire(key, ttl).await {
            Ok(Acquire::Acquired { fence, .. }) => Some(fence),
            Ok(Acquire::Contended) => return Attempt::Skipped,
            Ok(Acquire::Completed(_) | Acquire::Reused) => return Attempt::Told,
            // Another replica may do the same: to revoke a token twice does no harm.
            Err(_) => None,
        };
        let attempt = self.tell(provider, &sealed, begin).await;
        if let Some(fence) = fence {
            self.end_lease(key, fence, &attempt).await;
        }
        attempt
    }

    /// Calls the provider.
    async fn tell(&self, provider: &ProviderClient, sealed: &Sealed, begin: Begin) -> Attempt {
        let result = provider.revoke(&Secret::new(sealed.r.clone())).await;
        let label = result.as_ref().map_or_else(result_of, |()| CallResult::Ok);
        let attempt = match label {
            // A provider that refuses knows no such token.
            CallResult::Ok | CallResult::Refused => Attempt::Told,
            CallResult::Unavailable | CallResult::Misconfigured => Attempt::Failed,
        };
        if begin == Begin::First || matches!(attempt, Attempt::Told) {
            audit::revoked_at_provider(&provider.name, &sealed.u, label);
        }
        self.schedule().answered(&sealed.p, &attempt);
        attempt
    }

    async fn end_lease(&self, key: LeaseKey, fence: Fence, attempt: &Attempt) {
        let ended = if matches!(attempt, Attempt::Told) {
            let result = LeaseResult {
                sealed: Arc::default(),
                ttl: DONE_FOR,
                reuse_ttl: None,
            };
            self.leases.complete(key, fence, result).await.map(drop)
        } else {
            self.leases.release(key, fence).await
        };
        if let Err(error) = ended {
            audit::store_failed(&error.0);
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pending_id(realm: &str, refresh: &Secret) -> PendingId {
    let mut hash = Context::new(&SHA256);
    // An issuer has no NUL.
    for part in ["vestibule revocation", realm, refresh.expose()] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let hash = hash.finish();
    PendingId(hash.as_ref().first_chunk().copied().unwrap_or_default())
}

/// The purpose that the seal is bound to: one token does not stand in the place of another.
fn purpose(id: PendingId) -> String {
    format!("vestibule revocation\0{}", URL_SAFE_NO_PAD.encode(id.0))
}

fn lease_key(id: PendingId) -> LeaseKey {
    let mut hash = Context::new(&SHA256);
    hash.update(b"vestibule revocation lease\0");
    hash.update(&id.0);
    LeaseKey(hash.finish().as_ref().try_into().unwrap_or_default())
}
