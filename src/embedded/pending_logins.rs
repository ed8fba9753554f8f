//! Logins that wait for their next step: a second-factor code, a new password, or the login with a
//! one-time password.
//!
//! They are kept in memory only. After a restart a user who was in the middle of one starts again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ids;
use crate::model::timestamp::Timestamp;

/// The most entries at a time. Beyond it a new entry replaces the one that expires first. This
/// limits the memory that logins take which nobody continues.
const MAX_ENTRIES: usize = 10_000;

/// Values that are kept for a limited time under random ids of 256 bits.
pub struct PendingLogins<T> {
    entries: Mutex<HashMap<String, Entry<T>>>,
    lifetime: Duration,
}

struct Entry<T> {
    expires: Timestamp,
    value: T,
}

impl<T: Clone> PendingLogins<T> {
    /// An empty map whose entries expire after `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
            lifetime,
        }
    }

    /// Stores `value` and returns its id.
    pub fn insert(&self, value: T, now: Timestamp) -> String {
        let id = ids::random_secret();
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.expires > now);
        if entries.len() >= MAX_ENTRIES {
            let oldest = entries
                .iter()
                .min_by_key(|(_, entry)| entry.expires)
                .map(|(id, _)| id.clone());
            if let Some(oldest) = oldest {
                entries.remove(&oldest);
            }
        }
        let expires = now.plus(self.lifetime);
        entries.insert(id.clone(), Entry { expires, value });
        id
    }

    /// The value under `id`, which stays. `None` if there is none or it has expired.
    pub fn get(&self, id: &str, now: Timestamp) -> Option<T> {
        self.update(id, now, |_| {})
    }

    /// Applies `change` to the value under `id` and returns the result, which also stays. `None` if
    /// there is none or it has expired.
    pub fn update(&self, id: &str, now: Timestamp, change: impl FnOnce(&mut T)) -> Option<T> {
        let mut entries = self.lock();
        let entry = entries.get_mut(id)?;
        if entry.expires <= now {
            return None;
        }
        change(&mut entry.value);
        Some(entry.value.clone())
    }

    /// Removes and returns the value under `id`. `None` if there is none or it has expired.
    pub fn take(&self, id: &str, now: Timestamp) -> Option<T> {
        let entry = self.lock().remove(id)?;
        (entry.expires > now).then_some(entry.value)
    }

    /// Removes all values that `predicate` selects.
    pub fn remove_if(&self, predicate: impl Fn(&T) -> bool) {
        self.lock().retain(|_, entry| !predicate(&entry.value));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<T>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_for_its_lifetime_and_taken_once() {
        let pending = PendingLogins::new(Duration::from_secs(10));
        let start = Timestamp::from_secs(100);
        let id = pending.insert(1, start);
        assert_eq!(pending.update(&id, start, |value| *value += 1), Some(2));
        assert_eq!(pending.take(&id, Timestamp::from_millis(109_999)), Some(2));
        assert_eq!(pending.take(&id, start), None);
        let id = pending.insert(3, start);
        assert_eq!(pending.get(&id, Timestamp::from_secs(110)), None);
        assert_eq!(pending.take(&id, Timestamp::from_secs(110)), None);
    }

    #[test]
    fn selected_values_are_removed_and_the_oldest_is_replaced() {
        let pending = PendingLogins::new(Duration::from_secs(60));
        let first = pending.insert(0, Timestamp::from_secs(1));
        for number in 1..=MAX_ENTRIES {
            pending.insert(number, Timestamp::from_secs(2));
        }
        assert_eq!(pending.lock().len(), MAX_ENTRIES);
        assert_eq!(pending.take(&first, Timestamp::from_secs(2)), None);
        pending.remove_if(|number| number % 2 == 0);
        assert_eq!(pending.lock().len(), MAX_ENTRIES / 2);
    }
}
