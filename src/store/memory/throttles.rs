//! Login attempts of one process, counted in a sliding-window log.
//!
//! A log of attempts is exact: a token bucket lets nearly twice the limit through in some windows.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::super::throttles::{BACKOFF_RESET_AFTER, wait_after};
use super::super::{
    Reservation, ReserveError, RetryAfter, Settlement, StoreError, Sweep, ThrottleKey,
    ThrottleStore,
};
use crate::config::settings::Rate;
use crate::model::timestamp::Timestamp;

/// The most accounts and addresses that are counted at the same time.
const MAX_KEYS: usize = 100_000;
/// Expired windows removed per reservation: two for one, so that they cannot accumulate.
const SWEPT_PER_RESERVE: usize = 2;

/// Attempts within a limit of keys. Beyond it expired windows are evicted first, then those with
/// the fewest attempts and waits: a flood of made-up accounts evicts itself, not the window of an
/// account under attack.
#[derive(Debug)]
pub struct MemoryThrottles {
    /// One lock for all keys. It is held for microseconds, and each attempt costs the provider a
    /// password hash.
    log: Mutex<SlidingWindowLog>,
}

#[derive(Debug)]
struct SlidingWindowLog {
    windows: HashMap<ThrottleKey, Window>,
    /// All keys, the first to expire first.
    by_expiry: BTreeSet<(Timestamp, ThrottleKey)>,
    /// All keys, the lightest first; of equal ones the first to expire.
    by_weight: BTreeSet<(usize, Timestamp, ThrottleKey)>,
    capacity: usize,
    next_attempt: u64,
}

/// The attempts of one key.
#[derive(Debug)]
struct Window {
    /// The oldest first; at most `Rate::attempts`.
    attempts: VecDeque<Attempt>,
    /// When nothing needs to be remembered of this key.
    expires_at: Timestamp,
    /// How often the window was full, without a success in between.
    waits: u32,
    /// When `waits` returns to zero.
    backoff_resets_at: Timestamp,
}

#[derive(Debug)]
struct Attempt {
    at: Timestamp,
    id: u64,
}

impl Default for MemoryThrottles {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryThrottles {
    /// An empty store for 100,000 accounts and addresses.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(MAX_KEYS)
    }

    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            log: Mutex::new(SlidingWindowLog {
                windows: HashMap::new(),
                by_expiry: BTreeSet::new(),
                by_weight: BTreeSet::new(),
                capacity: capacity.max(1),
                next_attempt: 0,
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let log = self.log();
        assert_eq!(log.windows.len(), log.by_expiry.len());
        assert_eq!(log.windows.len(), log.by_weight.len());
        log.windows.len()
    }

    fn log(&self) -> MutexGuard<'_, SlidingWindowLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ThrottleStore for MemoryThrottles {
    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        let mut log = self.log();
        log.evict_expired(now, SWEPT_PER_RESERVE);
        if rate.attempts == 0 {
            return Err(ReserveError::Throttled(RetryAfter::from(rate.per)));
        }
        let mut window = log.take(key).unwrap_or_else(|| Window::new(now));
        if let Some(end) = window.wait_end(rate) {
            if now < end {
                log.put(key, window);
                let wait = RetryAfter::from(now.until(end));
                return Err(ReserveError::Throttled(wait));
            }
            window.waits += 1;
            window.backoff_resets_at = end.plus(BACKOFF_RESET_AFTER);
        }
        window.slide(rate, now);
        let attempt = log.next_attempt;
        log.next_attempt = attempt.wrapping_add(1);
        window.add(
            Attempt {
                at: now,
                id: attempt,
            },
            rate,
        );
        log.make_room();
        log.put(key, window);
        Ok(Reservation { key, attempt })
    }

    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError> {
        let mut log = self.log();
        match how {
            Settlement::Failed => {}
            Settlement::Succeeded => {
                log.take(reservation.key);
            }
            Settlement::Released => {
                if let Some(mut window) = log.take(reservation.key) {
                    window
                        .attempts
                        .retain(|attempt| attempt.id != reservation.attempt);
                    log.put(reservation.key, window);
                }
            }
        }
        Ok(())
    }
}

impl Sweep for MemoryThrottles {
    fn sweep(&self, now: Timestamp) {
        self.log().evict_expired(now, usize::MAX);
    }
}

impl SlidingWindowLog {
    fn evict_expired(&mut self, now: Timestamp, at_most: usize) {
        for _ in 0..at_most {
            match self.by_expiry.first() {
                Some((expiry, key)) if *expiry <= now => {
                    let key = *key;
                    self.take(key);
                }
                Some(_) | None => return,
            }
        }
    }

    /// Evicts the lightest windows until there is room for one more.
    fn make_room(&mut self) {
        while self.windows.len() >= self.capacity {
            let Some((_, _, key)) = self.by_weight.first().copied() else {
                return;
            };
            self.take(key);
        }
    }

    fn take(&mut self, key: ThrottleKey) -> Option<Window> {
        let window = self.windows.remove(&key)?;
        self.by_expiry.remove(&(window.expires_at, key));
        self.by_weight
            .remove(&(window.weight(), window.expires_at, key));
        Some(window)
    }

    /// Stores a window that is not empty.
    fn put(&mut self, key: ThrottleKey, window: Window) {
        if window.weight() == 0 {
            return;
        }
        self.by_expiry.insert((window.expires_at, key));
        self.by_weight
            .insert((window.weight(), window.expires_at, key));
        self.windows.insert(key, window);
    }
}

impl Window {
    const fn new(now: Timestamp) -> Self {
        Self {
            attempts: VecDeque::new(),
            expires_at: now,
            waits: 0,
            backoff_resets_at: now,
        }
    }

    /// The end of the wait that began when the window became full; `None` while it is not full.
    fn wait_end(&self, rate: Rate) -> Option<Timestamp> {
        let limit = usize::try_from(rate.attempts).unwrap_or(usize::MAX);
        // Normally the oldest attempt. After a reload to a lower limit, the one whose end brings
        // the window below the limit.
        let attempt = self.attempts.get(self.attempts.len().checked_sub(limit)?)?;
        Some(attempt.at.plus(wait_after(rate, self.waits)))
    }

    /// Drops the attempts that are `rate.per` old, and the backoff when its time is over.
    fn slide(&mut self, rate: Rate, now: Timestamp) {
        while self
            .attempts
            .front()
            .is_some_and(|attempt| attempt.at.plus(rate.per) <= now)
        {
            self.attempts.pop_front();
        }
        if self.backoff_resets_at <= now {
            self.waits = 0;
        }
    }

    fn add(&mut self, attempt: Attempt, rate: Rate) {
        let at = attempt.at;
        self.attempts.push_back(attempt);
        let expires_at = self
            .wait_end(rate)
            .map_or(at.plus(rate.per), |end| end.plus(BACKOFF_RESET_AFTER));
        self.expires_at = self.expires_at.max(expires_at).max(self.backoff_resets_at);
    }

    /// Where there is no room for all windows, heavier ones are kept longer.
    fn weight(&self) -> usize {
        self.attempts.len() + usize::try_from(self.waits).unwrap_or_default()
    }
}
