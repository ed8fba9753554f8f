//! Detection of redirect loops: how often a visitor was redirected to the sign-in from one address
//! lately.
//!
//! Each process counts for itself. A loop is quicker than a load balancer moves a client to another
//! replica, and a replica that missed some redirects breaks the loop a little later.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::redirect_loop::{LoopIdentity, MAX_REDIRECTS};
use crate::model::timestamp::Timestamp;

use super::request_context::RequestContext;

/// How long after the first redirect further ones count as the same loop.
pub const WINDOW: Duration = Duration::from_secs(10);
/// How many pairs of a visitor and an address are counted, at about 100 bytes each. Beyond them the
/// oldest are forgotten.
const MAX_ENTRIES: usize = 10_000;

/// The redirects of all visitors of this process.
pub struct RedirectCounter {
    hasher: RandomState,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// By the hash of visitor and address.
    by_key: HashMap<u64, Entry>,
    /// The keys by the time of their first redirect.
    oldest: VecDeque<(Timestamp, u64)>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The time of the first redirect.
    since: Timestamp,
    redirects: u32,
}

impl RedirectCounter {
    /// A counter that has counted nothing.
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            entries: Mutex::default(),
        }
    }

    /// Counts another redirect of a visitor from `target`, and returns how many there were within
    /// [`WINDOW`], this one included. A visitor without cookies is identified by the client address
    /// and `user_agent`.
    #[must_use]
    pub fn count(
        &self,
        context: RequestContext<'_>,
        identity: LoopIdentity<'_>,
        target: &str,
        user_agent: Option<&[u8]>,
    ) -> u32 {
        let client = (identity == LoopIdentity::Client).then_some((context.client, user_agent));
        let site = &context.site_runtime.site.name;
        self.increment((site, identity, client, target), context.now)
    }

    /// Counts another redirect under `key`. After [`MAX_REDIRECTS`] the count starts again.
    fn increment(&self, key: impl Hash, now: Timestamp) -> u32 {
        let key = self.hasher.hash_one(key);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.forget_old(now);
        let mut entry = entries.by_key.get(&key).copied().unwrap_or(Entry {
            since: now,
            redirects: 0,
        });
        entry.redirects += 1;
        if entry.redirects == 1 {
            entries.oldest.push_back((now, key));
        }
        if entry.redirects >= MAX_REDIRECTS {
            entries.by_key.remove(&key);
        } else {
            entries.by_key.insert(key, entry);
        }
        entry.redirects
    }
}

impl Entries {
    fn forget_old(&mut self, now: Timestamp) {
        while let Some((since, key)) = self.oldest.front().copied() {
            if since.plus(WINDOW) > now && self.oldest.len() < MAX_ENTRIES {
                return;
            }
            self.oldest.pop_front();
            // The count may have started again since.
            if self
                .by_key
                .get(&key)
                .is_some_and(|entry| entry.since == since)
            {
                self.by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn three_redirects_within_ten_seconds_are_a_loop() {
        let counter = RedirectCounter::new();
        let at = |millis: u64| {
            counter.increment(("ann", "/orders"), NOW.plus(Duration::from_millis(millis)))
        };
        assert_eq!([at(0), at(4_000), at(9_999)], [1, 2, 3]);
        assert_eq!(
            [at(10_000), at(19_999)],
            [1, 2],
            "after the last the count starts again"
        );
        assert_eq!(at(20_000), 1, "the first is ten seconds old");
        assert_eq!(counter.increment(("ann", "/posts"), NOW), 1);
        assert_eq!(counter.increment(("bob", "/orders"), NOW), 1);
    }

    #[test]
    fn memory_stays_bounded_under_many_visitors() {
        let counter = RedirectCounter::new();
        for number in 0..100_000_u32 {
            counter.increment(number, NOW);
            counter.increment(number, NOW);
        }
        let entries = counter.entries.lock().unwrap();
        assert!(
            entries.by_key.len() <= MAX_ENTRIES && entries.oldest.len() <= MAX_ENTRIES,
            "{}",
            entries.oldest.len()
        );
    }
}
