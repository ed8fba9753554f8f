//! Sign-ins that wait for their next step: a code, a new password, the sign-in after it.
//!
//! In memory only: whoever is in the middle of it at a restart begins again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ids;
use crate::model::timestamp::Timestamp;

/// A guess at every id is a guess at 256 bits; this bounds the memory of the many who never come
/// back.
const MOST: usize = 10_000;

/// Values under ids nobody can guess, each for a limited time.
pub struct PendingLogins<T> {
    entries: Mutex<HashMap<String, (Timestamp, T)>>,
    lifetime: Duration,
}

impl<T: Clone> PendingLogins<T> {
    /// Nobody waits yet; each may for `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            lifetime,
        }
    }

    /// Keeps `value`; its id.
    pub fn put(&self, value: T, now: Timestamp) -> String {
        let id = ids::random_secret();
        let mut entries = self.locked();
        entries.retain(|_, (until, _)| *until > now);
        if entries.len() >= MOST {
            let oldest = entries
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        entries.insert(id.clone(), (now.plus(self.lifetime), value));
        id
    }

    /// The value under `id`, after `change` was made to it; it goes on waiting.
    pub fn look(&self, id: &str, now: Timestamp, change: impl FnOnce(&mut T)) -> Option<T> {
        let mut entries = self.locked();
        let (until, value) = entries.get_mut(id)?;
        if *until <= now {
            return None;
        }
        change(value);
        Some(value.clone())
    }

    /// The value under `id`, which is good no more.
    pub fn take(&self, id: &str, now: Timestamp) -> Option<T> {
        let (until, value) = self.locked().remove(id)?;
        (until > now).then_some(value)
    }

    /// Ends the waiting of all that `which` names.
    pub fn forget(&self, which: impl Fn(&T) -> bool) {
        self.locked().retain(|_, (_, value)| !which(value));
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, T)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_waits_its_time_and_is_taken_once() {
        let waiting = PendingLogins::new(Duration::from_secs(10));
        let start = Timestamp::from_secs(100);
        let id = waiting.put(1, start);
        assert_eq!(waiting.look(&id, start, |value| *value += 1), Some(2));
        assert_eq!(waiting.take(&id, Timestamp::from_millis(109_999)), Some(2));
        assert_eq!(waiting.take(&id, start), None);
        let id = waiting.put(3, start);
        assert_eq!(waiting.look(&id, Timestamp::from_secs(110), |_| {}), None);
        assert_eq!(waiting.take(&id, Timestamp::from_secs(110)), None);
    }

    #[test]
    fn some_are_forgotten_and_the_oldest_makes_room() {
        let waiting = PendingLogins::new(Duration::from_secs(60));
        let first = waiting.put(0, Timestamp::from_secs(1));
        for number in 1..=MOST {
            waiting.put(number, Timestamp::from_secs(2));
        }
        assert_eq!(waiting.locked().len(), MOST);
        assert_eq!(waiting.take(&first, Timestamp::from_secs(2)), None);
        waiting.forget(|number| number % 2 == 0);
        assert_eq!(waiting.locked().len(), MOST / 2);
    }
}
