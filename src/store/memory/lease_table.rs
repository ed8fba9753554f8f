//! The table of [`MemoryLeases`](super::MemoryLeases): leases, results, reused keys and
//! checkpoints, within limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::expiry_set::ExpirySet;
use super::super::lease_row::{LeaseRow, LeaseState};
use super::super::{Fence, LeaseKey};
use super::checkpoints::{CheckpointLimits, Checkpoints};

/// The holder of a lease in another process. The first holder in this one is `Fence(1)`.
const ELSEWHERE: Fence = Fence(0);

/// How much [`MemoryLeases`](super::MemoryLeases) holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Leases that are held, and completed ones whose results have not expired.
    pub(super) leases: usize,
    /// Bytes of the results.
    pub(super) bytes: usize,
    /// Keys that are answered with [`Acquire::Reused`](crate::store::Acquire::Reused).
    pub(super) reused: usize,
    pub(super) checkpoints: CheckpointLimits,
}

/// Everything that is held.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: HashMap<LeaseKey, Entry>,
    /// When each of `entries` expires.
    pub(super) expiry: ExpirySet<LeaseKey, Duration>,
    /// Bytes of all results.
    pub(super) bytes: usize,
    /// Completed leases whose results have expired, by the first half of their keys.
    pub(super) reused: ExpirySet<[u8; 16], Duration>,
    pub(super) checkpoints: Checkpoints,
    pub(super) last_fence: u64,
    /// The processes before and after this one get every change.
    pub(super) followers: Vec<mpsc::UnboundedSender<LeaseRow>>,
    /// Entries that were evicted before they expired.
    pub(super) evicted: u64,
}

#[derive(Debug)]
pub(super) enum Entry {
    Held(Fence),
    Completed {
        sealed: Arc<[u8]>,
        reused_until: Option<Duration>,
    },
}

impl Table {
    /// Tells the followers of a change.
    pub(super) fn tell(&mut self, key: LeaseKey, state: LeaseState, ttl: Duration) {
        if self.followers.is_empty() {
            return;
        }
        let row = LeaseRow { key, state, ttl };
        self.followers
            .retain(|follower| follower.send(row.clone()).is_ok());
    }

    pub(super) fn rows(&self, now: Duration) -> Vec<LeaseRow> {
        let left = |until: Duration| until.saturating_sub(now);
        let entries = self.entries.iter().map(|(key, entry)| {
            let expiry = self.expiry.get(key).unwrap_or_default();
            LeaseRow {
                key: *key,
                state: match entry {
                    Entry::Held(_) => LeaseState::Held,
                    Entry::Completed {
                        sealed,
                        reused_until,
                    } => LeaseState::Completed {
                        sealed: Arc::clone(sealed),
                        reuse_ttl: reused_until.map(|until| until.saturating_sub(expiry)),
                    },
                },
                ttl: left(expiry),
            }
        });
        let reused = self.reused.iter().map(|(half, until)| LeaseRow {
            key: whole(half),
            state: LeaseState::Reused,
            ttl: left(until),
        });
        let checkpoints = self
            .checkpoints
            .iter()
            .map(|(key, sealed, until)| LeaseRow {
                key,
                state: LeaseState::Checkpoint(sealed),
                ttl: left(until),
            });
        let all = entries.chain(reused).chain(checkpoints);
        all.filter(|row| !row.ttl.is_zero()).collect()
    }

    pub(super) fn adopt(&mut self, row: LeaseRow, now: Duration, limits: Limits) {
        let LeaseRow { key, state, ttl } = row;
        let until = now.saturating_add(ttl);
        let entry = self.entries.get(&key);
        let is_own = matches!(entry, Some(Entry::Held(fence)) if *fence != ELSEWHERE);
        let is_completed = matches!(entry, Some(Entry::Completed { .. }));
        match state {
            LeaseState::Held if is_own || is_completed => {}
            LeaseState::Held => self.put(key, Entry::Held(ELSEWHERE), until),
            LeaseState::Released if self.is_held(key, ELSEWHERE) => drop(self.remove(key)),
            LeaseState::Released => {}
            LeaseState::Completed { .. } if is_own => {}
            LeaseState::Completed { sealed, reuse_ttl } => {
                let reused_until = reuse_ttl.map(|ttl| until.saturating_add(ttl));
                let completed = Entry::Completed {
                    sealed,
                    reused_until,
                };
                self.put(key, completed, until);
                self.checkpoints.remove(key);
            }
            LeaseState::Checkpoint(_) if is_completed => {}
            LeaseState::Checkpoint(sealed) => {
                self.checkpoints.put(key, sealed, until, limits.checkpoints);
            }
            LeaseState::Reused => self.reused.set(half(key), until),
        }
        self.evict(limits);
    }

    pub(super) fn is_held(&self, key: LeaseKey, by: Fence) -> bool {
        matches!(self.entries.get(&key), Some(Entry::Held(fence)) if *fence == by)
    }

    pub(super) fn is_reused(&self, key: LeaseKey, now: Duration) -> bool {
        let until = self.reused.get(&half(key));
        until.is_some_and(|until| now < until)
    }

    pub(super) fn put(&mut self, key: LeaseKey, entry: Entry, expiry: Duration) {
        self.remove(key);
        self.bytes += entry.bytes();
        self.entries.insert(key, entry);
        self.expiry.set(key, expiry);
    }

    pub(super) fn remove(&mut self, key: LeaseKey) -> Option<Entry> {
        self.expiry.remove(&key);
        let entry = self.entries.remove(&key)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Removes an entry that has expired. A held lease becomes free; a completed one is known as
    /// reused from now on.
    pub(super) fn expire(&mut self, key: LeaseKey, now: Duration, limits: Limits) {
        let Some(Entry::Completed {
            reused_until: Some(until),
            ..
        }) = self.remove(key)
        else {
            return;
        };
        if now < until {
            self.reused.set(half(key), until);
            while self.reused.len() > limits.reused {
                self.reused.pop_first();
                self.evicted += 1;
            }
        }
    }

    /// Removes the entry that expires first, if it has expired; else returns `false`.
    pub(super) fn expire_first(&mut self, now: Duration, limits: Limits) -> bool {
        let first = self.expiry.first_expired(now);
        if let Some(key) = first {
            self.expire(key, now, limits);
        }
        first.is_some()
    }

    /// Evicts entries until the limits hold. An evicted key is not reported as reused: a client
    /// that presents it within the reuse window is no attacker.
    pub(super) fn evict(&mut self, limits: Limits) {
        while self.entries.len() > limits.leases.max(1) || self.bytes > limits.bytes {
            let Some(key) = self.expiry.first() else {
                return;
            };
            self.remove(key);
            self.evicted += 1;
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Held(_) => 0,
            Self::Completed { sealed, .. } => sealed.len(),
        }
    }
}

/// A key of which the first half is known.
fn whole(half: [u8; 16]) -> LeaseKey {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&half);
    LeaseKey(key)
}

/// The first half of a key. 128 bits of a SHA-256 are unique.
fn half(key: LeaseKey) -> [u8; 16] {
    key.0.first_chunk().copied().unwrap_or_default()
}
