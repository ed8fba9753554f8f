//! The store of leases: who may do something that must happen once, and its result.
//!
//! A lease guards the refresh of a token, a pending login step and a preserved POST. Its holder
//! completes it with a sealed result. Later callers with the same key get that result for a while
//! and are refused as [`Acquire::Reused`] after that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{StoreError, Sweep};
use crate::model::timestamp::Timestamp;

/// Leases by their keys. A lease has one holder at a time.
#[async_trait]
pub trait LeaseStore: Sweep + Send + Sync + fmt::Debug {
    /// Tries to become the holder of a lease. The lease expires `ttl` after `now` unless it is
    /// extended. Does not wait.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer: someone else may hold the lease.
    async fn acquire(
        &self,
        key: LeaseKey,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError>;

    /// Extends a lease until `ttl` after `now`. `false` when the lease was lost: someone else may
    /// hold it now.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the lease was extended.
    async fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a lease with its result and wakes everyone who waits for it. `false`, and nothing is
    /// stored, when the lease was lost and someone else has acquired it since.
    ///
    /// # Errors
    /// [`StoreError`] when it is unknown whether the result was stored.
    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a lease without a result, so that someone else can acquire it. Wakes everyone who waits
    /// for it. Does nothing when the lease was lost.
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
    Acquired(Fence),
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
            Self::Acquired(fence) => write!(out, "Acquired({fence:?})"),
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
    /// Until when [`LeaseStore::acquire`] answers with the result.
    pub expires_at: Timestamp,
    /// Until when it answers with [`Acquire::Reused`] after that. `None` where reuse is allowed, for
    /// example because the refresh token was not replaced: then the lease can be acquired again.
    pub reused_until: Option<Timestamp>,
}

impl fmt::Debug for LeaseResult {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "LeaseResult(expires_at: {:?}, reused_until: {:?})",
            self.expires_at, self.reused_until
        )
    }
}
