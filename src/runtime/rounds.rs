//! How often a visitor was sent to sign in from one address, lately. In this process only: a circle
//! is quicker than any balancer forgets, and a replica that counts fewer of its rounds ends it a
//! little later.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::redirect_loop::MAX_REDIRECTS;
use crate::model::timestamp::Timestamp;

/// Rounds count for so long.
pub const WITHIN: Duration = Duration::from_secs(10);
/// Visitors and addresses remembered, each for [`WITHIN`]; beyond them the oldest go. About 100
/// bytes each.
const MOST: usize = 10_000;

/// The rounds of all visitors of this process.
pub(super) struct Rounds {
    hasher: RandomState,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    /// How many since the first, by whose.
    rounds: HashMap<u64, (Timestamp, u32)>,
    /// Whose, by when they began.
    session_hash: VecDeque<(Timestamp, u64)>,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            counted: Mutex::default(),
        }
    }

    /// One more round of whoever `whose` is; how many there were within [`WITHIN`], this one
    /// included. After the last they begin anew.
    pub(super) fn count(&self, whose: impl std::hash::Hash, now: Timestamp) -> u32 {
        let key = self.hasher.hash_one(whose);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.forget(now);
        let (session_hash, rounds) = counted.rounds.get(&key).copied().unwrap_or((now, 0));
        let rounds = rounds + 1;
        if rounds == 1 {
            counted.session_hash.push_back((now, key));
        }
        if rounds >= MAX_REDIRECTS {
            counted.rounds.remove(&key);
        } else {
            counted.rounds.insert(key, (session_hash, rounds));
        }
        rounds
    }
}

impl Counted {
    fn forget(&mut self, now: Timestamp) {
        while let Some((session_hash, key)) = self.session_hash.front().copied() {
            if session_hash.plus(WITHIN) > now && self.session_hash.len() < MOST {
                return;
            }
            self.session_hash.pop_front();
            // It may have ended and begun anew since.
            if self
                .rounds
                .get(&key)
                .is_some_and(|(since, _)| *since == session_hash)
            {
                self.rounds.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn three_within_ten_seconds_are_a_circle() {
        let rounds = Rounds::new();
        let at =
            |millis: u64| rounds.count(("ann", "/orders"), NOW.plus(Duration::from_millis(millis)));
        assert_eq!([at(0), at(4_000), at(9_999)], [1, 2, 3]);
        assert_eq!(
            [at(10_000), at(19_999)],
            [1, 2],
            "after the last they begin anew"
        );
        assert_eq!(at(20_000), 1, "the first is ten seconds old");
        assert_eq!(rounds.count(("ann", "/posts"), NOW), 1);
        assert_eq!(rounds.count(("bob", "/orders"), NOW), 1);
    }

    #[test]
    fn a_crowd_stays_in_bounds() {
        let rounds = Rounds::new();
        for number in 0..100_000_u32 {
            rounds.count(number, NOW);
            rounds.count(number, NOW);
        }
        let counted = rounds.counted.lock().unwrap();
        assert!(
            counted.rounds.len() <= MOST && counted.session_hash.len() <= MOST,
            "{}",
            counted.session_hash.len()
        );
    }
}
