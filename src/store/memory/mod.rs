//! The store of one process: gone when it ends, which signs nobody out but forgets who was.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::landings::{Landings, Room};
use super::revocations::{RevocationId, Revocations};
use super::sessions::Sessions;
use super::throttle::{Places, Reservation, Settlement, ThrottleKey};
use super::{
    Acquire, Fence, LeaseKey, LeaseResult, ReserveError, SessionHash, Store, StoreError,
    StoredSession,
};
use crate::config::settings::Rate;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

/// Sessions remembered as revoked.
const REVOCATIONS: usize = 1_000_000;
/// Accounts and addresses counted at the same time.
const NAMES: usize = 100_000;

/// Server-side sessions, and bytes of what they hold.
const SESSIONS: (usize, usize) = (1_000_000, 1024 * 1024 * 1024);
/// Refresh tokens that are being renewed or were lately, bytes of the results, and refresh tokens
/// known as spent.
const RENEWALS: Room = Room {
    landings: 200_000,
    bytes: 256 * 1024 * 1024,
    spent: 500_000,
};

/// Keeps everything in memory, within bounds: a million sessions and a million revocations, two
/// hundred thousand renewals, half a million spent refresh tokens, a hundred thousand throttled
/// names.
#[derive(Debug)]
pub struct MemoryStore {
    revocations: Revocations,
    sessions: Sessions,
    landings: Landings,
    /// One lock for all: it is held for microseconds, around attempts that cost the provider a
    /// password hash.
    places: Mutex<Places>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            revocations: Revocations::new(REVOCATIONS),
            sessions: Sessions::new(SESSIONS.0, SESSIONS.1),
            landings: Landings::new(RENEWALS),
            places: Mutex::new(Places::new(NAMES)),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.revocations
            .add(RevocationId::of(provider, session), until, Some(now));
        Ok(())
    }

    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool {
        self.revocations.contains(provider, session, now)
    }

    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        self.places()
            .reserve(key, rate, now)
            .map_err(ReserveError::Throttled)
    }

    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError> {
        self.places().settle(&reservation, how);
        Ok(())
    }

    async fn put_session(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.sessions.put(id, session, idle, now);
        Ok(())
    }

    async fn session(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        Ok(self.sessions.get(id, idle, now))
    }

    async fn end_session(&self, id: SessionHash) -> Result<(), StoreError> {
        self.sessions.end(id);
        Ok(())
    }

    fn sessions(&self) -> usize {
        self.sessions.len()
    }

    async fn lease(
        &self,
        key: LeaseKey,
        span: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError> {
        Ok(self.landings.lease(key, span, now))
    }

    async fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        span: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.landings.extend(key, fence, span, now))
    }

    async fn land(
        &self,
        key: LeaseKey,
        fence: Fence,
        landing: LeaseResult,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.landings.land(key, fence, landing))
    }

    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        self.landings.release(key, fence);
        Ok(())
    }

    async fn landing(&self, key: LeaseKey, at_most: Duration) {
        self.landings.landing(key, at_most).await;
    }

    async fn keep(&self) {
        std::future::pending::<()>().await;
    }

    fn sweep(&self, now: Timestamp) {
        self.revocations.sweep(now);
        self.sessions.sweep(now);
        self.landings.sweep(now);
        self.places().sweep(now);
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
