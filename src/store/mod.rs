//! Where revocations and throttles rest.
//!
//! One trait, one contract suite (`contract.rs`, for tests) that every store passes. Time comes in as a
//! [`Moment`], so that a suite can make years pass.

#[cfg(test)]
mod contract;
pub mod memory;
mod revocations;
pub mod throttle;

use std::fmt;

use async_trait::async_trait;

use crate::config::settings::Rate;
use crate::model::moment::Moment;
use crate::model::token::SessionKey;

pub use memory::MemoryStore;
pub use throttle::{Reservation, RetryAfter, Settlement, ThrottleKey, ThrottleKeys};

/// What must outlive a request.
///
/// Methods that a store beyond the network would have to ask for are `async`; the question every request asks,
/// [`Store::is_revoked`], is answered from memory.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Refuses the tokens of `session` at `provider` until `until`, the `exp` of the longest-lived of them. Said
    /// twice, the later end holds.
    ///
    /// # Errors
    /// When the store cannot promise it.
    async fn revoke(&self, provider: &str, session: &SessionKey, until: Moment, now: Moment) -> Result<(), StoreError>;

    /// Whether the tokens of `session` at `provider` are refused.
    fn is_revoked(&self, provider: &str, session: &SessionKey, now: Moment) -> bool;

    /// Takes a place for an attempt that is about to be made. The place is held from now on, so that attempts in
    /// flight count; it is given back only by [`Store::settle`], and an attempt nobody settles has failed.
    ///
    /// # Errors
    /// [`NoPlace::Throttled`] when `rate.attempts` places were taken within `rate.per`, [`NoPlace::Store`] when the
    /// store does not answer.
    async fn reserve(&self, key: ThrottleKey, rate: Rate, now: Moment) -> Result<Reservation, NoPlace>;

    /// Tells what became of an attempt.
    ///
    /// # Errors
    /// When the store does not answer: the place stays taken.
    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError>;

    /// Forgets what is over. Never needed for right answers or bounded memory: it gives memory back early.
    fn sweep(&self, now: Moment);

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// Why an attempt got no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
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
