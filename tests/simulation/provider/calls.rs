//! The calls of the gateways to the provider, and the rules about them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::super::life::Life;
use super::super::schedule::Endpoint;

/// A call that is under way.
#[derive(Debug)]
pub struct Call {
    pub endpoint: Endpoint,
    /// The refresh token in it; empty for none.
    pub token: String,
    pub caller: Arc<Life>,
    /// Whether it has taken effect.
    pub effective: bool,
}

/// All calls.
#[derive(Debug, Default)]
pub struct Calls {
    pub open: BTreeMap<u64, Call>,
    last: u64,
    /// When calls failed, by process and refresh token.
    failed: BTreeMap<(u64, String), Duration>,
    key_fetches: BTreeMap<u64, VecDeque<Duration>>,
}

/// The least time between a call that failed and the next one with the same token.
const BACK_OFF: Duration = Duration::from_millis(900);
/// The most fetches of keys by one process within [`KEY_FETCH_WINDOW`].
const MAX_KEY_FETCHES: usize = 12;
const KEY_FETCH_WINDOW: Duration = Duration::from_secs(10);

impl Calls {
    /// Adds a call, and returns its number.
    pub fn begin(&mut self, call: Call) -> u64 {
        self.last += 1;
        self.open.insert(self.last, call);
        self.last
    }

    /// The processes whose calls with this token are under way at `endpoint`.
    pub fn under_way(&self, endpoint: Endpoint, token: &str) -> Vec<Arc<Life>> {
        let calls = self.open.values();
        calls
            .filter(|call| call.endpoint == endpoint && call.token == token)
            .map(|call| Arc::clone(&call.caller))
            .collect()
    }

    /// Notes that a call of this process failed.
    pub fn fail(&mut self, process: u64, token: &str, now: Duration) {
        self.failed.insert((process, token.to_owned()), now);
    }

    /// Whether a call of this process with this token failed a moment ago.
    pub fn is_too_soon(&self, process: u64, token: &str, now: Duration) -> bool {
        self.failed
            .get(&(process, token.to_owned()))
            .is_some_and(|failed| now < *failed + BACK_OFF)
    }

    /// Counts a fetch of keys. Returns whether there are too many.
    pub fn fetches_keys_too_often(&mut self, process: u64, now: Duration) -> bool {
        let fetches = self.key_fetches.entry(process).or_default();
        fetches.push_back(now);
        while fetches
            .front()
            .is_some_and(|first| *first + KEY_FETCH_WINDOW < now)
        {
            fetches.pop_front();
        }
        fetches.len() > MAX_KEY_FETCHES
    }
}
