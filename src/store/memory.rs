//! The store of one process: gone when it ends, which signs nobody out but forgets who was.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::landings::Landings;
use super::revocations::Revocations;
use super::sessions::Sessions;
use super::throttle::{Places, Reservation, Settlement, ThrottleKey};
use super::{Fence, Landing, Lease, NoPlace, RenewalKey, SessionHash, Store, StoreError, StoredSession};
use crate::config::settings::Rate;
use crate::model::moment::Moment;
use crate::model::token::SessionKey;

/// Sessions remembered as revoked.
const REVOCATIONS: usize = 1_000_000;
/// Accounts and addresses counted at the same time.
const NAMES: usize = 100_000;

/// Server-side sessions, and bytes of what they hold.
const SESSIONS: (usize, usize) = (1_000_000, 1024 * 1024 * 1024);
/// Refresh tokens that are being renewed or were lately.
const LANDINGS: usize = 200_000;

/// Keeps everything in memory, within bounds: a million sessions and a million revocations, two hundred thousand
/// renewals, a hundred thousand throttled names.
#[derive(Debug)]
pub struct MemoryStore {
    pub(super) revocations: Revocations,
    sessions: Sessions,
    landings: Landings,
    /// One lock for all: it is held for microseconds, around attempts that cost the provider a password hash.
    places: Mutex<Places>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_room(REVOCATIONS, NAMES)
    }

    pub(super) fn with_room(revocations: usize, names: usize) -> Self {
        Self {
            revocations: Revocations::new(revocations),
            sessions: Sessions::new(SESSIONS.0, SESSIONS.1),
            landings: Landings::new(LANDINGS),
            places: Mutex::new(Places::new(names)),
        }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
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
    async fn revoke(&self, provider: &str, session: &SessionKey, until: Moment, now: Moment) -> Result<(), StoreError> {
        self.revocations.add(provider, session, until, now);
        Ok(())
    }

    fn is_revoked(&self, provider: &str, session: &SessionKey, now: Moment) -> bool {
        self.revocations.contains(provider, session, now)
    }

    async fn reserve(&self, key: ThrottleKey, rate: Rate, now: Moment) -> Result<Reservation, NoPlace> {
        self.places().reserve(key, rate, now).map_err(NoPlace::Throttled)
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
        now: Moment,
    ) -> Result<(), StoreError> {
        self.sessions.put(id, session, idle, now);
        Ok(())
    }

    async fn session(&self, id: SessionHash, idle: Duration, now: Moment) -> Result<Option<StoredSession>, StoreError> {
        Ok(self.sessions.get(id, idle, now))
    }

    async fn end_session(&self, id: SessionHash) -> Result<(), StoreError> {
        self.sessions.end(id);
        Ok(())
    }

    fn sessions(&self) -> usize {
        self.sessions.len()
    }

    async fn lease(&self, key: RenewalKey, span: Duration, now: Moment) -> Result<Lease, StoreError> {
        Ok(self.landings.lease(key, span, now))
    }

    async fn extend(&self, key: RenewalKey, fence: Fence, span: Duration, now: Moment) -> Result<bool, StoreError> {
        Ok(self.landings.extend(key, fence, span, now))
    }

    async fn land(&self, key: RenewalKey, fence: Fence, landing: Landing, _: Moment) -> Result<bool, StoreError> {
        Ok(self.landings.land(key, fence, landing))
    }

    async fn release(&self, key: RenewalKey, fence: Fence) -> Result<(), StoreError> {
        self.landings.release(key, fence);
        Ok(())
    }

    async fn landing(&self, _: RenewalKey, at_most: Duration) {
        self.landings.landing(at_most).await;
    }

    fn sweep(&self, now: Moment) {
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
mod tests {
    use std::time::Duration;

    use super::super::contract::{self, block_on};
    use super::super::throttle::ThrottleKeys;
    use super::*;

    const NOW: Moment = Moment::from_secs(1_700_000_000);
    const RATE: Rate = Rate { attempts: 5, per: Duration::from_secs(60) };

    #[test]
    fn keeps_the_contract() {
        block_on(contract::holds(MemoryStore::new));
    }

    #[test]
    fn no_window_holds_more_than_the_limit() {
        contract::no_window_holds_more_than_the_limit(MemoryStore::new);
    }

    #[test]
    fn a_success_always_frees() {
        contract::a_success_always_frees(MemoryStore::new);
    }

    #[test]
    fn a_million_names_stay_in_bounds_and_do_not_free_the_one_under_attack() {
        let keys = ThrottleKeys::new([7; 32]);
        let mut places = Places::new(1_000);
        let victim = keys.account("main", "ann");
        for _ in 0..5 {
            let _ = places.reserve(victim, RATE, NOW).unwrap();
        }
        for number in 0..1_000_000_u32 {
            let address = std::net::Ipv4Addr::from(number).into();
            let _ = places.reserve(keys.address(address), RATE, NOW).unwrap();
        }
        assert_eq!(places.len(), 1_000);
        assert!(places.reserve(victim, RATE, NOW).is_err());
        let later = NOW.plus(Duration::from_secs(60));
        for number in 0..600_u32 {
            let _ = places.reserve(keys.address(std::net::Ipv4Addr::from(number).into()), RATE, later).unwrap();
        }
        assert_eq!(places.len(), 600, "what is over goes as new ones come");
        places.sweep(later.plus(RATE.per));
        assert_eq!(places.len(), 0);
    }

    #[test]
    fn revocations_stay_in_bounds_and_the_soonest_to_end_go_first() {
        let store = MemoryStore::with_room(1_600, 1);
        let session = |number: u64| SessionKey(number.to_string());
        for number in 0..100_000 {
            let end = NOW.plus(Duration::from_secs(1 + number));
            store.revocations.add("main", &session(number), end, NOW);
        }
        assert_eq!(store.revocations.len(), 1_600);
        assert!((99_000..100_000).all(|number| store.is_revoked("main", &session(number), NOW)));
        assert!(!(0..1_000).any(|number| store.is_revoked("main", &session(number), NOW)));
        store.sweep(NOW.plus(Duration::from_secs(100_001)));
        assert_eq!(store.revocations.len(), 0);
    }

    #[test]
    fn what_is_over_goes_without_a_sweep() {
        let store = MemoryStore::new();
        for number in 0..10_000_u64 {
            let now = NOW.plus(Duration::from_secs(number));
            let end = now.plus(Duration::from_secs(10));
            store.revocations.add("main", &SessionKey(number.to_string()), end, now);
        }
        assert!(store.revocations.len() < 500, "{}", store.revocations.len());
    }
}
