//! What the stores save for the next start of the process: the revocations that it knows, those
//! that are pending here, and the checkpoints of leases. A server keeps them by itself, as long as
//! it answers.
//!
//! A snapshot begins with [`MAGIC`]. A row is `R`, an end and a revocation id; or `P`, an end, a
//! pending id, a length and the sealed revocation; or `K`, an end, the key of a lease, a length and
//! the sealed checkpoint; or `I`, an end, a revocation id and the time up to which the revoked
//! tokens were issued. Numbers are little-endian. Versions that do not know a kind of row read what
//! is before the first one of that kind.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::memory::{MemoryPendingRevocations, StoredCheckpoint};
use super::revocations::{Revocation, RevocationId, removable_at};
use super::{LeaseKey, MemoryLeases, MemoryRevocations, PendingId, PendingRevocation};
use crate::model::timestamp::Timestamp;
use crate::system::Clock;

const MAGIC: &[u8] = b"vestibule revocations 1\n";

/// The most bytes of checkpoints in a snapshot. Beyond it, those that expire first are left out.
const MAX_CHECKPOINT_BYTES: usize = 32 * 1024 * 1024;

/// The stores in this process that are saved.
#[derive(Clone, Debug)]
pub struct SavedStores {
    /// The revocations that this process knows.
    pub revocations: Arc<MemoryRevocations>,
    /// The pending revocations of this process. With a server, those that it did not take.
    pub pending: Arc<MemoryPendingRevocations>,
    /// The leases of this process, whose checkpoints are saved.
    pub leases: Arc<MemoryLeases>,
}

/// The revocations that follow a snapshot.
#[derive(Debug)]
pub struct RevocationChanges(mpsc::UnboundedReceiver<Revocation>);

/// A snapshot that is none, or of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotError;

impl fmt::Display for SnapshotError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("it is not a list of revocations that this version can read")
    }
}

impl std::error::Error for SnapshotError {}

impl RevocationChanges {
    /// The next one, as a snapshot. It can be cancelled.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        write_revocation(self.0.recv().await?, &mut out);
        Some(out)
    }
}

fn write_revocation(revocation: Revocation, out: &mut Vec<u8>) {
    let is_limited = revocation.issued_by != Revocation::ALL;
    out.push(if is_limited { b'I' } else { b'R' });
    out.extend_from_slice(&revocation.until.millis().to_le_bytes());
    out.extend_from_slice(&revocation.id.0);
    if is_limited {
        out.extend_from_slice(&revocation.issued_by.millis().to_le_bytes());
    }
}

impl SavedStores {
    /// Empty stores. Leases run on the monotonic time of `clock`.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self {
            revocations: Arc::default(),
            pending: Arc::default(),
            leases: Arc::new(MemoryLeases::new(clock.clone())),
        }
    }

    /// Everything that may still count at `now`, or after the clock was set back. At a million
    /// revocations it takes 25 MB and some tens of milliseconds.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut revocations = self.revocations.all();
        let ended = removable_at(now);
        revocations.retain(|revocation| ended < revocation.until);
        let (limited, all): (Vec<Revocation>, Vec<_>) = revocations
            .into_iter()
            .partition(|revocation| revocation.issued_by != Revocation::ALL);
        for revocation in all {
            write_revocation(revocation, &mut out);
        }
        for (PendingRevocation { id, sealed }, until) in self.pending.all() {
            if now < until {
                out.push(b'P');
                out.extend_from_slice(&until.millis().to_le_bytes());
                out.extend_from_slice(&id.0);
                push_sealed(&mut out, &sealed);
            }
        }
        self.push_checkpoints(&mut out, now);
        // Last: earlier versions stop here.
        for revocation in limited {
            write_revocation(revocation, &mut out);
        }
        out
    }

    /// A snapshot of each revocation from now on, for the process that takes over.
    #[must_use]
    pub fn follow(&self) -> RevocationChanges {
        RevocationChanges(self.revocations.follow())
    }

    /// Appends the checkpoints, those that expire last first.
    fn push_checkpoints(&self, out: &mut Vec<u8>, now: Timestamp) {
        let mut checkpoints = self.leases.checkpoints();
        checkpoints.sort_by_key(|checkpoint| Reverse(checkpoint.ttl));
        let mut bytes = 0;
        for StoredCheckpoint { key, sealed, ttl } in checkpoints {
            bytes += sealed.len();
            if bytes > MAX_CHECKPOINT_BYTES {
                return;
            }
            out.push(b'K');
            out.extend_from_slice(&now.plus(ttl).millis().to_le_bytes());
            out.extend_from_slice(&key.0);
            push_sealed(out, &sealed);
        }
    }

    /// Adds what a snapshot holds and may still count at `now`, or after the clock was set back.
    ///
    /// # Errors
    /// [`SnapshotError`] at the first byte that cannot be read. What is before it was added.
    pub fn restore(&self, snapshot: &[u8], now: Timestamp) -> Result<(), SnapshotError> {
        let mut rest = snapshot.strip_prefix(MAGIC).ok_or(SnapshotError)?;
        while !rest.is_empty() {
            rest = self.restore_row(rest, now).ok_or(SnapshotError)?;
        }
        Ok(())
    }

    /// Adds the first row, and returns what follows it.
    fn restore_row<'a>(&self, row: &'a [u8], now: Timestamp) -> Option<&'a [u8]> {
        let (kind, rest) = row.split_first()?;
        let (until, rest) = rest.split_first_chunk()?;
        let until = Timestamp::from_millis(u64::from_le_bytes(*until));
        match kind {
            b'R' => {
                let (id, rest) = rest.split_first_chunk()?;
                let revocation = Revocation::of_sign_in(RevocationId(*id), until);
                self.restore_revocation(revocation, now);
                Some(rest)
            }
            b'I' => {
                let (id, rest) = rest.split_first_chunk()?;
                let (issued_by, rest) = rest.split_first_chunk()?;
                let revocation = Revocation {
                    id: RevocationId(*id),
                    issued_by: Timestamp::from_millis(u64::from_le_bytes(*issued_by)),
                    until,
                };
                self.restore_revocation(revocation, now);
                Some(rest)
            }
            b'P' => {
                let (id, rest) = rest.split_first_chunk()?;
                let (sealed, rest) = split_sealed(rest)?;
                if now < until {
                    let (id, sealed) = (PendingId(*id), sealed.into());
                    self.pending.add(PendingRevocation { id, sealed }, until);
                }
                Some(rest)
            }
            b'K' => {
                let (key, rest) = rest.split_first_chunk()?;
                let (sealed, rest) = split_sealed(rest)?;
                let (key, sealed, ttl) = (LeaseKey(*key), sealed.into(), now.until(until));
                if !ttl.is_zero() {
                    let checkpoint = StoredCheckpoint { key, sealed, ttl };
                    self.leases.add_checkpoint(checkpoint);
                }
                Some(rest)
            }
            _ => None,
        }
    }

    fn restore_revocation(&self, revocation: Revocation, now: Timestamp) {
        if removable_at(now) < revocation.until {
            self.revocations.add(revocation, None);
        }
    }
}

/// Appends the length of `sealed`, which is far below 4 GiB, and `sealed`.
fn push_sealed(out: &mut Vec<u8>, sealed: &[u8]) {
    let length = u32::try_from(sealed.len()).unwrap_or_default();
    let sealed = if length == 0 { &[] } else { sealed };
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(sealed);
}

/// What [`push_sealed`] appended, and what follows it.
fn split_sealed(row: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = row.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn stores() -> SavedStores {
        SavedStores::new(&Clock::new())
    }

    fn checkpoints(stores: &SavedStores) -> Vec<(LeaseKey, Arc<[u8]>)> {
        let mut kept = stores.leases.checkpoints();
        kept.sort_by_key(|checkpoint| checkpoint.key);
        kept.into_iter()
            .map(|checkpoint| (checkpoint.key, checkpoint.sealed))
            .collect()
    }

    fn filled() -> SavedStores {
        let stores = stores();
        for number in 1..=3_u8 {
            let until = NOW.plus(Duration::from_secs(u64::from(number)));
            let issued_by = if number == 2 { NOW } else { Revocation::ALL };
            let revocation = Revocation {
                id: RevocationId([number; 16]),
                issued_by,
                until,
            };
            stores.revocations.add(revocation, None);
            let pending = PendingRevocation {
                id: PendingId([number; 16]),
                sealed: vec![number; usize::from(number) - 1].into(),
            };
            stores.pending.add(pending, until);
            stores.leases.add_checkpoint(StoredCheckpoint {
                key: LeaseKey([number; 32]),
                sealed: vec![number; 3].into(),
                ttl: Duration::from_secs(100 * u64::from(number)),
            });
        }
        stores
    }

    fn content(stores: &SavedStores) -> (Vec<Revocation>, Vec<PendingRevocation>) {
        let mut revoked: Vec<_> = stores.revocations.all();
        revoked.sort_by_key(|revocation| revocation.id);
        let mut pending: Vec<_> = stores.pending.all();
        pending.sort_by_key(|(pending, _)| pending.id);
        let pending = pending.into_iter().map(|(pending, _)| pending);
        (revoked, pending.collect())
    }

    #[test]
    fn what_is_saved_is_restored_until_it_expires() {
        let (before, after) = (filled(), stores());
        let snapshot = before.snapshot(NOW);
        after.restore(&snapshot, NOW).unwrap();
        assert_eq!(content(&after), content(&before));
        assert_eq!(content(&after).1.len(), 3);
        assert_eq!(checkpoints(&after), checkpoints(&before));
        assert_eq!(checkpoints(&after).len(), 3);
        let later = NOW.plus(Duration::from_secs(2));
        let (of_later, restored_later) = (stores(), stores());
        of_later.restore(&before.snapshot(later), NOW).unwrap();
        restored_later.restore(&snapshot, later).unwrap();
        for stores in [of_later, restored_later] {
            assert_eq!(content(&stores).1.len(), 1);
            // The clock may be set back: then all three count again.
            assert_eq!(content(&stores).0, content(&before).0);
        }
        let hour_later = later.plus(Duration::from_secs(3600));
        let (of_hour_later, restored_hour_later) = (stores(), stores());
        of_hour_later
            .restore(&before.snapshot(hour_later), NOW)
            .unwrap();
        restored_hour_later.restore(&snapshot, hour_later).unwrap();
        for stores in [of_hour_later, restored_hour_later] {
            let left: Vec<_> = content(&stores).0;
            assert_eq!(left.len(), 1);
            assert!(left.iter().all(|left| left.id == RevocationId([3; 16])));
        }
        let much_later = stores();
        let end = NOW.plus(Duration::from_secs(200));
        much_later.restore(&snapshot, end).unwrap();
        let left = much_later.leases.checkpoints();
        assert_eq!(left.len(), 1);
        assert!(left.iter().all(|left| left.ttl <= Duration::from_secs(100)));
    }

    #[test]
    fn the_checkpoints_that_expire_last_are_saved_within_the_limit() {
        let (before, after) = (stores(), stores());
        let sealed: Arc<[u8]> = vec![0; MAX_CHECKPOINT_BYTES / 4].into();
        for number in 1..=6_u8 {
            before.leases.add_checkpoint(StoredCheckpoint {
                key: LeaseKey([number; 32]),
                sealed: Arc::clone(&sealed),
                ttl: Duration::from_secs(100 * u64::from(number)),
            });
        }
        after.restore(&before.snapshot(NOW), NOW).unwrap();
        let kept: Vec<_> = checkpoints(&after)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(kept, [3, 4, 5, 6].map(|number| LeaseKey([number; 32])));
    }

    #[test]
    fn a_snapshot_that_was_cut_or_is_none_is_an_error() {
        let snapshot = filled().snapshot(NOW);
        let (rows, kept) = (content(&filled()), checkpoints(&filled()));
        for length in 0..snapshot.len() {
            let after = stores();
            let restored = after.restore(&snapshot[..length], NOW);
            assert!(
                restored.is_err() || content(&after) != rows || checkpoints(&after) != kept,
                "cut at {length}"
            );
        }
        for text in [&b""[..], b"{}", b"vestibule revocations 2\n"] {
            assert_eq!(stores().restore(text, NOW), Err(SnapshotError));
        }
        let unknown_row = [MAGIC, b"X", &[0; 40]].concat();
        assert_eq!(stores().restore(&unknown_row, NOW), Err(SnapshotError));
    }
}
