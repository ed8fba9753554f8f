//! Detection of redirect loops: how many redirects to the sign-in a visitor got in a row from one
//! address.
//!
//! Each process counts for itself. A loop is quicker than a load balancer moves a client to another
//! replica, and a replica that missed some redirects breaks the loop a little later.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quick_cache::unsync::Cache;

use crate::model::redirect_loop::{LoopIdentity, MAX_REDIRECTS};
use crate::model::timestamp::Timestamp;

use super::request_context::RequestContext;

/// How many pairs of a visitor and an address are counted, at about 100 bytes each. Beyond them
/// others are forgotten, the longest unused first.
const MAX_ENTRIES: usize = 10_000;

/// The redirects of all visitors of this process.
pub struct RedirectCounter {
    hasher: RandomState,
    /// By the hash of visitor and address.
    counts: Mutex<Cache<u64, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    /// The time of the last redirect.
    last: Timestamp,
    redirects: u32,
}

/// A redirect that is counted.
#[derive(Clone, Copy)]
pub struct CountedRedirect<'a> {
    /// Who was redirected. A visitor without cookies is identified by the client address and
    /// `user_agent`.
    pub identity: LoopIdentity<'a>,
    /// Path and query that the visitor was redirected from.
    pub target: &'a str,
    /// The value of `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// How long after the redirect before it this one counts with it.
    pub within: Duration,
}

impl RedirectCounter {
    /// A counter that has counted nothing.
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            counts: Mutex::new(Cache::new(MAX_ENTRIES)),
        }
    }

    /// Counts another redirect, and returns how many there were in a row, this one included.
    #[must_use]
    pub fn count(&self, context: RequestContext<'_>, redirect: CountedRedirect<'_>) -> u32 {
        let CountedRedirect {
            identity,
            target,
            user_agent,
            within,
        } = redirect;
        let client = (identity == LoopIdentity::Client).then_some((context.client, user_agent));
        let site = &context.site_runtime.site.name;
        self.increment((site, identity, client, target), within, context.now)
    }

    /// Counts another redirect under `key`. After [`MAX_REDIRECTS`] the count starts again.
    fn increment(&self, key: impl Hash, within: Duration, now: Timestamp) -> u32 {
        let key = self.hasher.hash_one(key);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counts
            .get(&key)
            .filter(|count| count.last.until(now) < within)
            .map_or(0, |count| count.redirects);
        let redirects = before + 1;
        if redirects >= MAX_REDIRECTS {
            counts.remove(&key);
        } else {
            counts.insert(
                key,
                Count {
                    last: now,
                    redirects,
                },
            );
        }
        redirects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const WITHIN: Duration = Duration::from_millis(1500);

    #[test]
    fn redirects_count_while_each_follows_soon_upon_the_last() {
        let counter = RedirectCounter::new();
        let at = |millis: u64| {
            let now = NOW.plus(Duration::from_millis(millis));
            counter.increment(("ann", "/orders"), WITHIN, now)
        };
        assert_eq!([at(0), at(1_400), at(2_800)], [1, 2, 3]);
        assert_eq!(at(2_900), 1, "after the last the count starts again");
        for click in 1..=6 {
            assert_eq!(at(10_000 + click * 2_000), 1, "two seconds apart");
        }
        assert_eq!(counter.increment(("ann", "/posts"), WITHIN, NOW), 1);
        assert_eq!(counter.increment(("bob", "/orders"), WITHIN, NOW), 1);
    }

    #[test]
    fn memory_stays_bounded_under_many_visitors() {
        let counter = RedirectCounter::new();
        for number in 0..100_000_u32 {
            counter.increment(number, WITHIN, NOW);
            counter.increment(number, WITHIN, NOW);
        }
        let held = counter.counts.lock().unwrap().len();
        assert!(held <= MAX_ENTRIES, "{held}");
    }
}
