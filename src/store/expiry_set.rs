//! A set of keys that expire, ordered by when they do.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::model::timestamp::Timestamp;

/// Keys with their expiry times, by the wall clock (`Timestamp`) or by another one. Expired keys
/// stay until they are taken out.
#[derive(Debug)]
pub(super) struct ExpirySet<K, T = Timestamp> {
    by_key: HashMap<K, T>,
    /// The same entries, the first to expire first.
    by_expiry: BTreeSet<(T, K)>,
}

impl<K, T> Default for ExpirySet<K, T> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            by_expiry: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Eq + Hash + Ord, T: Copy + Ord> ExpirySet<K, T> {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// When `key` expires.
    pub(super) fn get(&self, key: &K) -> Option<T> {
        self.by_key.get(key).copied()
    }

    /// Lets `key` expire at `expiry`, replacing an earlier expiry time.
    pub(super) fn set(&mut self, key: K, expiry: T) {
        if let Some(before) = self.by_key.insert(key, expiry) {
            self.by_expiry.remove(&(before, key));
        }
        self.by_expiry.insert((expiry, key));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(expiry) = self.by_key.remove(key) {
            self.by_expiry.remove(&(expiry, *key));
        }
    }

    /// The key that expires first.
    pub(super) fn first(&self) -> Option<K> {
        self.by_expiry.first().map(|(_, key)| *key)
    }

    /// The key that expires first, if it has expired by `now`.
    pub(super) fn first_expired(&self, now: T) -> Option<K> {
        self.by_expiry
            .first()
            .filter(|(expiry, _)| *expiry <= now)
            .map(|(_, key)| *key)
    }

    /// Removes the key that expires first.
    pub(super) fn pop_first(&mut self) -> Option<K> {
        let (_, key) = self.by_expiry.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Removes the key that expires first, if it has expired by `now`.
    pub(super) fn pop_expired(&mut self, now: T) -> Option<K> {
        self.first_expired(now)?;
        self.pop_first()
    }

    /// All keys with their expiry times, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, T)> + '_ {
        self.by_key.iter().map(|(key, expiry)| (*key, *expiry))
    }
}
