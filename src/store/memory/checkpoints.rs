//! Checkpoints of leases in memory, within limits of their own: they live for weeks, and must not
//! displace leases and results that live for seconds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::LeaseKey;
use super::super::expiry_set::ExpirySet;

/// The most checkpoints, and the most bytes of all of them. Beyond either the one that expires
/// first is evicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckpointLimits {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// A checkpoint, apart from the store that holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The key of its lease.
    pub key: LeaseKey,
    /// What it holds, sealed.
    pub sealed: Arc<[u8]>,
    /// How long it is kept from now.
    pub ttl: Duration,
}

impl fmt::Debug for StoredCheckpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StoredCheckpoint(ttl: {:?})", self.ttl)
    }
}

/// Checkpoints by the keys of their leases.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    by_key: HashMap<LeaseKey, Arc<[u8]>>,
    expiry: ExpirySet<LeaseKey, Duration>,
    bytes: usize,
}

impl Checkpoints {
    /// The checkpoint of `key`, if it has not expired by `now`.
    pub(super) fn get(&self, key: LeaseKey, now: Duration) -> Option<Arc<[u8]>> {
        self.expiry.get(&key).filter(|expiry| now < *expiry)?;
        self.by_key.get(&key).map(Arc::clone)
    }

    /// Those that have not expired by `now`, in no order.
    pub(super) fn all(&self, now: Duration) -> Vec<StoredCheckpoint> {
        let rows = self.expiry.iter().filter(|(_, expiry)| now < *expiry);
        rows.filter_map(|(key, expiry)| {
            let sealed = self.by_key.get(&key).map(Arc::clone)?;
            let ttl = expiry.saturating_sub(now);
            Some(StoredCheckpoint { key, sealed, ttl })
        })
        .collect()
    }

    /// Adds a checkpoint in place of an earlier one, and evicts others until `limits` hold.
    pub(super) fn put(
        &mut self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        expiry: Duration,
        limits: CheckpointLimits,
    ) {
        self.remove(key);
        self.bytes += sealed.len();
        self.by_key.insert(key, sealed);
        self.expiry.set(key, expiry);
        while self.by_key.len() > limits.count || self.bytes > limits.bytes {
            let Some(first) = self.expiry.first() else {
                return;
            };
            self.remove(first);
        }
    }

    pub(super) fn remove(&mut self, key: LeaseKey) {
        self.expiry.remove(&key);
        if let Some(sealed) = self.by_key.remove(&key) {
            self.bytes -= sealed.len();
        }
    }

    /// Removes the checkpoint that expires first, if it has expired; else returns `false`.
    pub(super) fn expire_first(&mut self, now: Duration) -> bool {
        let first = self.expiry.first_expired(now);
        if let Some(key) = first {
            self.remove(key);
        }
        first.is_some()
    }

    /// All checkpoints with the times at which they expire, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LeaseKey, Arc<[u8]>, Duration)> + '_ {
        self.by_key.iter().map(|(key, sealed)| {
            let expiry = self.expiry.get(key).unwrap_or_default();
            (*key, Arc::clone(sealed), expiry)
        })
    }

    /// How many there are, and their bytes.
    #[cfg(test)]
    pub(super) fn usage(&self) -> CheckpointLimits {
        assert_eq!(self.by_key.len(), self.expiry.len());
        CheckpointLimits {
            count: self.by_key.len(),
            bytes: self.bytes,
        }
    }
}
