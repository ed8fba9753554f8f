//! Random numbers that need not be secret.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of random numbers, seeded by the operating system.
#[derive(Debug)]
pub(super) struct Random {
    seed: RandomState,
    count: AtomicU64,
}

impl Random {
    pub(super) fn new() -> Self {
        Self {
            seed: RandomState::new(),
            count: AtomicU64::new(0),
        }
    }

    /// A number that no replica gets twice, except by a chance of one in 2^64.
    pub(super) fn next_id(&self) -> u64 {
        self.seed
            .hash_one(self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// A random duration between half of `span` and one and a half, so that replicas do not act at
    /// the same moment.
    pub(super) fn jitter(&self, span: Duration) -> Duration {
        let thousandths = u32::try_from(self.next_id() % 1_000).unwrap_or_default();
        span / 2 + span * thousandths / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let random = Random::new();
        let span = Duration::from_secs(10);
        let (mut least, mut most) = (span, span);
        for _ in 0..10_000 {
            let jitter = random.jitter(span);
            assert!(jitter >= span / 2 && jitter < span * 3 / 2, "{jitter:?}");
            (least, most) = (least.min(jitter), most.max(jitter));
        }
        // By a chance of less than one in 10^22 not even a fiftieth of either end.
        assert!(least < Duration::from_millis(5_050) && most > Duration::from_millis(14_940));
    }
}
