//! Refreshes that failed a moment ago: the same refresh token is not tried again at once, so that a
//! provider in trouble is not asked by every request, and no request waits for it more than once.

use std::time::Duration;

use quick_cache::sync::Cache;

use crate::model::reason::Reason;
use crate::store::LeaseKey;

/// How long a refresh token is not tried after its first failure. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// How long after the end of its pause a failure counts for the next one.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// The most refresh tokens whose failures are known. Beyond them any is forgotten.
const MAX_TOKENS: usize = 100_000;

/// The failures of refresh tokens, by their leases. Times are those of a monotonic clock.
pub(in crate::runtime) struct RefreshBackoff {
    failures: Cache<LeaseKey, Failure>,
}

#[derive(Clone, Copy)]
struct Failure {
    reason: Reason,
    pause: Duration,
    until: Duration,
}

impl RefreshBackoff {
    /// Why the last refresh of this token failed, while it is not to be tried again.
    pub fn pending(&self, key: LeaseKey, now: Duration) -> Option<Reason> {
        let failure = self.failures.get(&key)?;
        (now < failure.until).then_some(failure.reason)
    }

    /// Records a failure that ended `now`.
    pub fn failed(&self, key: LeaseKey, reason: Reason, now: Duration) {
        let earlier = self.failures.get(&key);
        let pause = earlier
            .filter(|failure| now < failure.until + FORGET_AFTER)
            .map_or(FIRST_PAUSE, |failure| (failure.pause * 2).min(MAX_PAUSE));
        let failure = Failure {
            reason,
            pause,
            until: now + pause,
        };
        self.failures.insert(key, failure);
    }

    /// Forgets the failures of a token that was refreshed or refused.
    pub fn decided(&self, key: LeaseKey) {
        self.failures.remove(&key);
    }
}

impl Default for RefreshBackoff {
    fn default() -> Self {
        Self {
            failures: Cache::new(MAX_TOKENS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: LeaseKey = LeaseKey([7; 32]);
    const REASON: Reason = Reason::ProviderUnavailable;

    #[test]
    fn pauses_double_up_to_fifteen_seconds() {
        let backoff = RefreshBackoff::default();
        let mut now = Duration::from_secs(1_000);
        assert_eq!(backoff.pending(KEY, now), None);
        for pause in [1, 2, 4, 8, 15, 15].map(Duration::from_secs) {
            backoff.failed(KEY, REASON, now);
            now += pause;
            let shortly_before = now.saturating_sub(Duration::from_millis(1));
            let pending = backoff.pending(KEY, shortly_before);
            assert_eq!(pending, Some(REASON), "{pause:?}");
            assert_eq!(backoff.pending(KEY, now), None, "{pause:?}");
        }
        assert_eq!(
            backoff.pending(LeaseKey([8; 32]), now),
            None,
            "of one token"
        );
    }

    #[test]
    fn a_success_and_a_minute_forget_earlier_failures() {
        let backoff = RefreshBackoff::default();
        let second = Duration::from_secs(1);
        let mut now = second * 1_000;
        for _ in 0..5 {
            backoff.failed(KEY, REASON, now);
        }
        backoff.decided(KEY);
        assert_eq!(backoff.pending(KEY, now), None);
        backoff.failed(KEY, REASON, now);
        assert_eq!(backoff.pending(KEY, now + second), None);
        backoff.failed(KEY, REASON, now + second);
        now += second * 3 + FORGET_AFTER;
        backoff.failed(KEY, REASON, now);
        assert_eq!(backoff.pending(KEY, now + second), None);
    }

    #[test]
    fn a_million_tokens_stay_in_bounds() {
        let backoff = RefreshBackoff::default();
        for number in 0_u32..1_000_000 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            backoff.failed(LeaseKey(key), REASON, Duration::ZERO);
        }
        assert!(backoff.failures.len() <= MAX_TOKENS);
    }
}
