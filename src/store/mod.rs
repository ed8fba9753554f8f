//! Where sessions, shared renewals, revocations and throttles rest.
//!
//! One trait, one contract suite (`contract.rs`, for tests) that every store passes. Time comes in
//! as a [`Timestamp`], so that a suite can make years pass.

#[cfg(test)]
mod contract;
mod ends;
mod landings;
pub mod memory;
pub mod redis;
mod revocations;
mod sessions;
pub mod throttle;
mod waiting;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::settings::{self, Rate};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

pub use memory::MemoryStore;
pub use redis::RedisStore;
pub use throttle::{Reservation, RetryAfter, Settlement, ThrottleKey, ThrottleKeys};

/// The store that replicas share, where `wanted` asks for one. Connects to nothing yet: that is
/// [`Store::keep`]'s to do.
///
/// # Errors
/// When there is no way to connect as it is wanted.
pub fn shared(wanted: &settings::Store) -> Result<Option<Arc<dyn Store>>, StoreError> {
    Ok(match wanted {
        settings::Store::Memory => None,
        settings::Store::Redis(wanted) => Some(Arc::new(RedisStore::new(wanted)?)),
    })
}

/// What must outlive a request.
///
/// Methods that a store beyond the network would have to ask for are `async`; the question every
/// request asks, [`Store::is_revoked`], is answered from memory.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Refuses the tokens of `session` at `provider` until `until`, the `exp` of the longest-lived
    /// of them. Said twice, the later end holds.
    ///
    /// # Errors
    /// When the store cannot promise it.
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Whether the tokens of `session` at `provider` are refused.
    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool;

    /// Takes a place for an attempt that is about to be made. The place is held from now on, so
    /// that attempts in flight count; it is given back only by [`Store::settle`], and an attempt
    /// nobody settles has failed.
    ///
    /// # Errors
    /// [`ReserveError::Throttled`] when `rate.attempts` places were taken within `rate.per`: until
    /// the first of them is that old, and where waits grow, each further time twice as long, see
    /// [`throttle`]. [`ReserveError::Store`] when the store does not answer.
    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError>;

    /// Tells what became of an attempt.
    ///
    /// # Errors
    /// When the store does not answer: the place stays taken.
    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError>;

    /// Keeps `session` under the hash of its id; it lives for `idle` from `now` on unless it is
    /// used, and never past its own end. A store may forget it earlier when it is full.
    ///
    /// # Errors
    /// When the store cannot promise it.
    async fn put_session(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The session of this id, whose life goes on for `idle` from `now`, never past its end. `None`
    /// when it is over or never was. A store beyond the network may answer from what it read less
    /// than a second ago; the life then goes on from that earlier reading.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn session(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError>;

    /// Ends a session: no reader gets it any more, on other replicas within a second. Ending what
    /// is over is a success.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn end_session(&self, id: SessionHash) -> Result<(), StoreError>;

    /// How many sessions are alive, as far as this process knows, for a metric: beyond the network
    /// those that were lately used here.
    fn sessions(&self) -> usize;

    /// Asks to be the one that renews a refresh token: one holder at a time, over all that share
    /// the store. The lease ends `span` after `now` unless it is extended.
    ///
    /// # Errors
    /// When the store does not answer: nobody knows whether somebody else renews.
    async fn lease(
        &self,
        key: LeaseKey,
        span: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError>;

    /// Keeps a lease until `span` after `now`; `false` when it was lost: somebody else may renew by
    /// now.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        span: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a lease with its result, for everybody who comes with the old token until the landing's
    /// end, and wakes those who wait. `false`, and nothing is kept, when the lease was lost and
    /// somebody else holds or landed it.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn land(
        &self,
        key: LeaseKey,
        fence: Fence,
        landing: LeaseResult,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a lease back without a result; somebody else may try.
    ///
    /// # Errors
    /// When the store does not answer: the lease runs out by itself.
    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError>;

    /// Backoff until the lease of `key` may have ended, for `at_most` this long. May return early.
    async fn landing(&self, key: LeaseKey, at_most: Duration);

    /// Forgets what is over. Never needed for right answers or bounded memory: it gives memory back
    /// early.
    fn sweep(&self, now: Timestamp);

    /// Keeps in touch with what is beyond the network, for ever: connects, connects again, hears
    /// what other replicas say. Without it such a store does not answer. A store that has nothing
    /// beyond the network waits.
    async fn keep(&self);

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// What a session is kept under: the SHA-256 of its id, so that who reads the store cannot present
/// anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHash(pub [u8; 32]);

/// A session as the store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// What it holds, sealed: nothing a store or its operator can read.
    pub sealed: Arc<[u8]>,
    /// When it is over however much it is used.
    pub ends: Timestamp,
}

/// One refresh token of one site, beyond recognition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey(pub [u8; 32]);

/// Tells one holder of a lease from the next: grows with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// How somebody who wants to renew may go on.
#[derive(Clone, PartialEq, Eq)]
pub enum Acquire {
    /// It is theirs to renew.
    Acquired(Fence),
    /// Somebody else renews: wait and ask again.
    Contended,
    /// It was done: the sealed result.
    Completed(Arc<[u8]>),
    /// It was done, the token was replaced, and the time for late comers is over: who presents it
    /// has a copy.
    Reused,
}

/// The result of a renewal.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseResult {
    /// The result, sealed.
    pub sealed: Arc<[u8]>,
    /// Until when whoever comes with the old token gets it.
    pub until: Timestamp,
    /// Until when after that the old token is known as [`Acquire::Reused`]; `None` where it was not
    /// replaced.
    pub spent_until: Option<Timestamp>,
}

/// Why an attempt got no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// All are taken.
    Throttled(RetryAfter),
    /// Nobody knows.
    Store(StoreError),
}

/// The store does not answer. The words are for the log, never for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the store does not answer: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

impl fmt::Debug for SessionHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SessionHash")
    }
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StoredSession(ends: {:?})", self.ends)
    }
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LeaseKey")
    }
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

impl fmt::Debug for LeaseResult {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "LeaseResult(until: {:?}, spent_until: {:?})",
            self.until, self.spent_until
        )
    }
}
