//! The store of leases: who may do something that must happen once, and its result.
//!
//! A lease guards the refresh of a token, a pending login step and a preserved POST. Its holder
//! completes it with a sealed result. Later callers with the same key get that result for a while
//! and are refused as [`Acquire::Reused`] after that. A holder may store a checkpoint before it is
//! done: what the work has yielded already, for whoever acquires the lease after it.
//!
//! A lease runs on the clock of its store and never on that of a caller: the clocks of replicas
//! differ, and any of them may be set. So callers pass durations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{StoreError, Sweep};

/// Leases by their keys. A lease has one holder at a time.
#[async_trait]
pub trait LeaseStore: Sweep + Send + Sync + fmt::Debug {
    /// Tries to become the holder of a lease. The lease expires after `ttl` unless it is extended.
    /// Does not wait.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer: someone else may hold the lease.
    async fn acquire(&self, key: LeaseKey, ttl: Duration) -> Result<Acquire, StoreError>;

    /// Extends a lease: it expires `ttl` from now. `false` when the lease was lost: someone else
    /// may hold it now.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the lease was extended.
    async fn extend(&self, key: LeaseKey, fence: Fence, ttl: Duration) -> Result<bool, StoreError>;

    /// Stores a checkpoint for `ttl`, in place of an earlier one: whoever acquires the lease next
    /// gets it. A caller that has lost the lease meanwhile may store one too, because what it has
    /// got is worth no less. `false`, and nothing is stored, when the lease was completed.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the checkpoint was stored.
    async fn put_checkpoint(
        &self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        ttl: Duration,
    ) -> Result<bool, StoreError>;

    /// The checkpoint of a lease, whoever holds it.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    async fn checkpoint(&self, key: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// Ends a lease with its result, drops its checkpoint, and wakes everyone who waits for it.
    /// `false`, and nothing is stored, when the lease was lost and someone else has acquired it
    /// since.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the result was stored.
    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
    ) -> Result<bool, StoreError>;

    /// Ends a lease without a result, so that someone else can acquire it. Its checkpoint stays.
    /// Wakes everyone who waits for it. Does nothing when the lease was lost.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer: the lease expires by itself.
    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError>;

    /// Waits until the lease may have been completed or released, but no longer than `at_most`. May
    /// return early: the caller tries to acquire the lease again.
    async fn wait_for_change(&self, key: LeaseKey, at_most: Duration);
}

/// A SHA-256 that names what is leased, for example a refresh token of a site. The token cannot be
/// recovered from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey(pub [u8; 32]);

impl fmt::Debug for LeaseKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LeaseKey")
    }
}

/// A fencing token: it identifies one holder of a lease and grows with each new holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// The outcome of [`LeaseStore::acquire`].
#[derive(Clone, PartialEq, Eq)]
pub enum Acquire {
    /// The caller holds the lease.
    Acquired {
        /// Identifies the caller as its holder.
        fence: Fence,
        /// What an earlier holder has left, sealed.
        checkpoint: Option<Arc<[u8]>>,
    },
    /// Someone else holds the lease: wait and try again.
    Contended,
    /// The lease was completed with this sealed result.
    Completed(Arc<[u8]>),
    /// The lease was completed, and its result has expired. The caller presents what can be used
    /// once, for example a copy of a refresh token that was replaced.
    Reused,
}

impl fmt::Debug for Acquire {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired { fence, checkpoint } => {
                let with = if checkpoint.is_some() {
                    ", checkpoint"
                } else {
                    ""
                };
                write!(out, "Acquired({fence:?}{with})")
            }
            Self::Contended => out.write_str("Contended"),
            Self::Completed(_) => out.write_str("Completed"),
            Self::Reused => out.write_str("Reused"),
        }
    }
}

/// What a lease is completed with.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseResult {
    /// The result, sealed.
    pub sealed: Arc<[u8]>,
    /// How long [`LeaseStore::acquire`] answers with the result.
    pub ttl: Duration,
    /// How long it answers with [`Acquire::Reused`] after that. `None` where reuse is allowed, for
    /// example because the refresh token was not replaced: then the lease can be acquired again.
    pub reuse_ttl: Option<Duration>,
}

impl fmt::Debug for LeaseResult {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "LeaseResult(ttl: {:?}, reuse_ttl: {:?})",
            self.ttl, self.reuse_ttl
        )
    }
}
