//! Whether an upstream gets requests: what its health checks and the requests to it say.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use crate::system;
use crate::telemetry::labels::UpstreamHealth;

/// How many checks in a row must fail before an upstream counts as down. One lost check says
/// little.
const CHECKS_DOWN: u32 = 3;
/// How many checks in a row must pass before it counts as up again.
const CHECKS_UP: u32 = 2;
/// How many requests in a row must fail before an upstream is ejected.
const FAILURES: u32 = 5;
/// How long an upstream stays ejected. The first request after that decides.
const EJECTED: Duration = Duration::from_secs(10);

/// What is known of one upstream. Reading it takes no lock and, unless the upstream was ejected, no
/// clock.
pub(super) struct Availability {
    /// What the checks say.
    is_healthy: AtomicBool,
    /// Whether there was a check. The first one decides alone.
    was_checked: AtomicBool,
    /// How many checks in a row said the contrary.
    contrary_checks: AtomicU32,
    /// How many requests in a row failed.
    failures: AtomicU32,
    /// Until when it is ejected, in milliseconds since `created`; 0 for never.
    ejected_until: AtomicU64,
    created: Instant,
}

impl Availability {
    /// Available until something says otherwise.
    pub(super) fn new() -> Self {
        Self {
            is_healthy: AtomicBool::new(true),
            was_checked: AtomicBool::new(false),
            contrary_checks: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            created: system::stopwatch(),
        }
    }

    /// Whether the checks say so.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_healthy.load(Relaxed)
    }

    /// Whether too many requests failed a moment ago.
    pub(super) fn is_ejected(&self) -> bool {
        let until = self.ejected_until.load(Relaxed);
        until != 0 && self.millis() < until
    }

    /// Whether it gets requests.
    pub(super) fn is_available(&self) -> bool {
        self.is_healthy() && !self.is_ejected()
    }

    /// Takes the result of a check, and returns whether the upstream is up or down now where that
    /// changes. Only one check at a time runs.
    pub(super) fn checked(&self, result: UpstreamHealth) -> Option<UpstreamHealth> {
        let passed = result == UpstreamHealth::Up;
        let is_first = !self.was_checked.swap(true, Relaxed);
        if passed == self.is_healthy() {
            self.contrary_checks.store(0, Relaxed);
            return None;
        }
        let contrary = self.contrary_checks.fetch_add(1, Relaxed) + 1;
        let needed = if passed { CHECKS_UP } else { CHECKS_DOWN };
        if !is_first && contrary < needed {
            return None;
        }
        self.contrary_checks.store(0, Relaxed);
        self.is_healthy.store(passed, Relaxed);
        Some(result)
    }

    /// Forgets what checks said: nothing will check it any more.
    pub(super) fn forget_checks(&self) {
        self.is_healthy.store(true, Relaxed);
        self.was_checked.store(false, Relaxed);
        self.contrary_checks.store(0, Relaxed);
    }

    /// Takes the failure of a request, and returns whether that is one too many.
    pub(super) fn failed(&self) -> bool {
        let before = self.failures.fetch_add(1, Relaxed);
        before.saturating_add(1) >= FAILURES
    }

    /// Takes the success of a request, and returns whether the upstream had failed too often
    /// before.
    pub(super) fn succeeded(&self) -> bool {
        if self.failures.load(Relaxed) == 0 {
            return false;
        }
        self.ejected_until.store(0, Relaxed);
        self.failures.swap(0, Relaxed) >= FAILURES
    }

    /// Ejects the upstream, and returns whether it was not ejected before.
    pub(super) fn eject(&self) -> bool {
        let now = self.millis();
        let until = now + u64::try_from(EJECTED.as_millis()).unwrap_or(u64::MAX);
        self.ejected_until.swap(until, Relaxed) <= now
    }

    fn millis(&self) -> u64 {
        let elapsed = system::stopwatch().saturating_duration_since(self.created);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use UpstreamHealth::{Down, Up};

    #[tokio::test]
    async fn three_failed_checks_are_down_and_two_passed_ones_are_up() {
        let upstream = Availability::new();
        let script = [
            (Up, None),
            (Down, None),
            (Down, None),
            // A check that passes begins the count anew.
            (Up, None),
            (Down, None),
            (Down, None),
            (Down, Some(Down)),
            (Down, None),
            (Up, None),
            (Down, None),
            (Up, None),
            (Up, Some(Up)),
            (Down, None),
        ];
        for (step, (result, change)) in script.into_iter().enumerate() {
            assert_eq!(upstream.checked(result), change, "step {step}");
        }
        assert!(upstream.is_available());
    }

    #[tokio::test]
    async fn the_first_check_decides_alone() {
        let upstream = Availability::new();
        assert!(upstream.is_available());
        assert_eq!(upstream.checked(Down), Some(Down));
        assert!(!upstream.is_available());
        upstream.forget_checks();
        assert!(upstream.is_available());
        assert_eq!(upstream.checked(Down), Some(Down));
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_eject_for_ten_seconds() {
        let upstream = Availability::new();
        let fail = |times: u32| (0..times).filter(|_| upstream.failed()).count();
        assert_eq!(fail(4), 0);
        // A success begins the count anew.
        assert!(!upstream.succeeded());
        assert_eq!(fail(4), 0);
        assert!(upstream.failed());
        assert!(upstream.eject());
        assert!(!upstream.eject());
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(upstream.is_ejected() && !upstream.is_available());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(upstream.is_available());
        // The next request decides.
        assert!(upstream.failed());
        assert!(upstream.eject());
        assert!(!upstream.is_available());
        tokio::time::advance(EJECTED).await;
        assert!(upstream.succeeded());
        assert!(!upstream.failed());
    }
}
