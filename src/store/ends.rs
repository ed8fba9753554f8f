//! Things known until they end, the soonest to end first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::model::timestamp::Timestamp;

/// When each ends.
#[derive(Debug)]
pub(super) struct Ends<K> {
    by_key: HashMap<K, Timestamp>,
    /// The same, the soonest to end first.
    order: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Ends<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Copy + Eq + Hash + Ord> Ends<K> {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn of(&self, key: &K) -> Option<Timestamp> {
        self.by_key.get(key).copied()
    }

    /// Lets `key` end at `end`, whatever was said before.
    pub(super) fn set(&mut self, key: K, end: Timestamp) {
        if let Some(before) = self.by_key.insert(key, end) {
            self.order.remove(&(before, key));
        }
        self.order.insert((end, key));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(end) = self.by_key.remove(key) {
            self.order.remove(&(end, *key));
        }
    }

    /// What ends first.
    pub(super) fn first(&self) -> Option<K> {
        self.order.first().map(|(_, key)| *key)
    }

    /// What ends first, if it has ended by `now`.
    pub(super) fn first_ended(&self, now: Timestamp) -> Option<K> {
        self.order
            .first()
            .filter(|(end, _)| *end <= now)
            .map(|(_, key)| *key)
    }

    /// Takes out what ends first.
    pub(super) fn take_first(&mut self) -> Option<K> {
        let (_, key) = self.order.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Takes out what ends first, if it has ended by `now`.
    pub(super) fn take_ended(&mut self, now: Timestamp) -> Option<K> {
        self.first_ended(now)?;
        self.take_first()
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, Timestamp)> + '_ {
        self.by_key.iter().map(|(key, end)| (*key, *end))
    }
}
