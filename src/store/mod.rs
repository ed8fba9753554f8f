//! The state that outlives a request: sessions, leases, revocations and throttles.
//!
//! Each kind of state has its own trait: [`SessionStore`], [`LeaseStore`], [`RevocationStore`],
//! [`PendingRevocationStore`] and [`ThrottleStore`]. `memory` implements them for a single process,
//! `redis` for replicas that share a Redis or Valkey server. Both pass the suites in `contract`,
//! one per trait.
//!
//! The current time is an argument ([`Timestamp`]), so that a test can let years pass. Leases are
//! the exception: they must not depend on whose clock is right, and run on that of their store,
//! which in memory is the monotonic time of a [`Clock`].

#[cfg(test)]
mod contract;
mod expiry_set;
mod lease_row;
mod leases;
mod memory;
mod pending_revocations;
mod redis;
mod revocations;
mod sessions;
mod snapshot;
mod throttles;
mod wait_queue;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::settings;
use crate::model::timestamp::Timestamp;
use crate::system::Clock;

pub use lease_row::{LeaseRow, LeaseState};
pub use leases::{Acquire, Fence, LeaseKey, LeaseResult, LeaseStore};
pub use memory::{
    MemoryLeases, MemoryPendingRevocations, MemoryRevocations, MemorySessions, MemoryThrottles,
    StoredCheckpoint,
};
pub use pending_revocations::{PendingId, PendingRevocation, PendingRevocationStore};
pub use redis::inspection::{Inspection, Memory, inspect};
pub use revocations::{Revocation, RevocationId, RevocationListener, RevocationStore, TokenGroup};
pub use sessions::{SessionHash, SessionStore, StoredSession};
pub use snapshot::{RevocationChanges, SavedStores, SnapshotError};
pub use throttles::{
    Reservation, ReserveError, RetryAfter, Settlement, ThrottleKey, ThrottleKeys, ThrottleStore,
};

/// Opens the stores that the settings name. What is kept in this process for a while is measured
/// with `clock`. Connects to nothing: [`StoreConnection::run`] does.
///
/// # Errors
/// [`StoreError`] when the settings describe a server that no connection can be made to.
pub fn open(settings: &settings::Store, clock: &Clock) -> Result<Stores, StoreError> {
    match settings {
        settings::Store::Memory => Ok(Stores::in_memory(clock)),
        settings::Store::Redis(settings) => redis::open(settings, clock),
    }
}

/// One store of each kind, and the connection behind them. Clones share their state.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Server-side sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Leases that exclude everyone in [`Stores::scope`].
    pub leases: Arc<dyn LeaseStore>,
    /// Leases that exclude other requests of this process only. With [`Scope::Process`] these are
    /// [`Stores::leases`]. A process that takes the place of this one takes them over.
    pub local_leases: Arc<MemoryLeases>,
    /// Revoked sign-ins.
    pub revocations: Arc<dyn RevocationStore>,
    /// Refresh tokens that a provider has not been told to revoke yet.
    pub pending_revocations: Arc<dyn PendingRevocationStore>,
    /// What this process has to save for its next start. With [`Scope::Replicas`] only where the
    /// server did not answer.
    pub saved: SavedStores,
    /// Counts of login attempts.
    pub throttles: Arc<dyn ThrottleStore>,
    /// The connection to the server, if there is one.
    pub connection: Arc<dyn StoreConnection>,
    /// Who shares these stores.
    pub scope: Scope,
}

/// Who shares a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The requests of one process.
    Process,
    /// All replicas that are connected to the same server.
    Replicas,
}

impl Stores {
    /// Empty stores in the memory of this process. Leases run on the monotonic time of `clock`.
    #[must_use]
    pub fn in_memory(clock: &Clock) -> Self {
        let saved = SavedStores::new(clock);
        Self {
            sessions: Arc::new(MemorySessions::new()),
            local_leases: Arc::clone(&saved.leases),
            leases: Arc::clone(&saved.leases) as _,
            revocations: Arc::clone(&saved.revocations) as _,
            pending_revocations: Arc::clone(&saved.pending) as _,
            saved,
            throttles: Arc::new(MemoryThrottles::new()),
            connection: Arc::new(memory::NoConnection),
            scope: Scope::Process,
        }
    }

    /// Removes expired entries from every store, see [`Sweep::sweep`].
    pub fn sweep(&self, now: Timestamp) {
        self.sessions.sweep(now);
        self.leases.sweep(now);
        self.local_leases.sweep(now);
        self.revocations.sweep(now);
        self.pending_revocations.sweep(now);
        self.throttles.sweep(now);
    }
}

/// A store whose entries expire.
pub trait Sweep {
    /// Removes the entries in this process that have expired by `now`. Answers are correct and
    /// memory is bounded without it: a sweep only frees memory earlier.
    fn sweep(&self, now: Timestamp);

    /// How many entries this process has evicted before they expired, because the store was full.
    fn evicted(&self) -> u64 {
        0
    }
}

/// The connection between the stores and their server.
#[async_trait]
pub trait StoreConnection: Send + Sync + fmt::Debug {
    /// Connects, reconnects after failures, and receives what other replicas publish. Never
    /// returns. The stores fail with [`StoreError`] unless this runs, in one task per process.
    /// Stores without a server ignore it.
    async fn run(&self);

    /// Whether the server answers and this process knows every revocation on it.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Since when there has been no connection to the server, on the monotonic clock of this
    /// process. `None` while there is one, and where there is no server.
    fn down_since(&self) -> Option<Duration> {
        None
    }
}

/// The store does not answer. The text is for the log, never for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the store does not answer: {}", self.0)
    }
}

impl std::error::Error for StoreError {}
