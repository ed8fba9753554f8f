//! A lease as one process tells another of it, which takes its place.
//!
//! A row is a kind, a key, the milliseconds that are left, the milliseconds of reuse after that, a
//! length and the sealed bytes. Numbers are little-endian.

use std::sync::Arc;
use std::time::Duration;

use super::LeaseKey;

/// What one process knows of a lease.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Of what is known as reused, the first half.
    pub key: LeaseKey,
    /// What is known of it.
    pub state: LeaseState,
    /// How long it is so.
    pub ttl: Duration,
}

/// The state of a lease.
#[derive(Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// Somebody works.
    Held,
    /// Nobody works, and there is no result.
    Released,
    /// The work was done.
    Completed {
        /// The result, sealed.
        sealed: Arc<[u8]>,
        /// How long the key is known as reused after that.
        reuse_ttl: Option<Duration>,
    },
    /// What was left by a holder that is not done.
    Checkpoint(Arc<[u8]>),
    /// The work was done, and the time for its result is over.
    Reused,
}

impl LeaseRow {
    /// Adds the bytes of this row to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, reuse_ttl, sealed) = match &self.state {
            LeaseState::Held => (b'H', None, None),
            LeaseState::Released => (b'F', None, None),
            LeaseState::Completed { sealed, reuse_ttl } => (b'C', *reuse_ttl, Some(sealed)),
            LeaseState::Checkpoint(sealed) => (b'P', None, Some(sealed)),
            LeaseState::Reused => (b'U', None, None),
        };
        let sealed = sealed.map_or(&[][..], |sealed| &**sealed);
        let Ok(length) = u32::try_from(sealed.len()) else {
            return;
        };
        out.push(kind);
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&millis(self.ttl).to_le_bytes());
        out.extend_from_slice(&reuse_ttl.map_or(u64::MAX, millis).to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(sealed);
    }

    /// The rows in `bytes`. `None` where they cannot be read.
    #[must_use]
    pub fn read_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            let (row, rest) = Self::read(bytes)?;
            rows.push(row);
            bytes = rest;
        }
        Some(rows)
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (ttl, rest) = rest.split_first_chunk()?;
        let (reuse_ttl, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (sealed, rest) = rest.split_at_checked(length)?;
        let reuse_ttl = u64::from_le_bytes(*reuse_ttl);
        let state = match kind {
            b'H' => LeaseState::Held,
            b'F' => LeaseState::Released,
            b'C' => LeaseState::Completed {
                sealed: sealed.into(),
                reuse_ttl: (reuse_ttl < u64::MAX).then(|| Duration::from_millis(reuse_ttl)),
            },
            b'P' => LeaseState::Checkpoint(sealed.into()),
            b'U' => LeaseState::Reused,
            _ => return None,
        };
        let row = Self {
            key: LeaseKey(*key),
            state,
            ttl: Duration::from_millis(u64::from_le_bytes(*ttl)),
        };
        Some((row, rest))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Acquire, Fence, LeaseResult, LeaseStore as _, MemoryLeases};
    use super::*;
    use crate::system::Clock;

    const TTL: Duration = Duration::from_secs(60);

    fn key(number: u8) -> LeaseKey {
        LeaseKey([number; 32])
    }

    fn result(text: &str) -> LeaseResult {
        LeaseResult {
            sealed: text.as_bytes().into(),
            ttl: TTL,
            reuse_ttl: Some(TTL),
        }
    }

    /// A store and the one of the process that follows it.
    struct Processes {
        clock: Clock,
        old: MemoryLeases,
        new: MemoryLeases,
    }

    impl Processes {
        fn start() -> Self {
            let clock = Clock::new();
            Self {
                old: MemoryLeases::new(clock.clone()),
                new: MemoryLeases::new(clock.clone()),
                clock,
            }
        }

        async fn hold(&self, number: u8) -> Fence {
            let answer = self.old.acquire(key(number), TTL).await.unwrap();
            let Acquire::Acquired { fence, .. } = answer else {
                panic!("{answer:?}");
            };
            fence
        }

        fn adopt(&self, rows: &[LeaseRow]) {
            let mut bytes = Vec::new();
            for row in rows {
                row.write(&mut bytes);
            }
            for row in LeaseRow::read_all(&bytes).expect("rows") {
                self.new.adopt(row);
            }
        }

        async fn at_new(&self, number: u8) -> Acquire {
            self.new.acquire(key(number), TTL).await.unwrap()
        }
    }

    #[tokio::test]
    async fn the_next_process_knows_what_was_done_and_what_is_being_done() {
        let processes = Processes::start();
        let done = processes.hold(1).await;
        let complete = processes.old.complete(key(1), done, result("first"));
        assert!(complete.await.unwrap());
        processes.clock.advance(TTL);
        let done = processes.hold(2).await;
        let complete = processes.old.complete(key(2), done, result("second"));
        assert!(complete.await.unwrap());
        processes.hold(3).await;
        let kept = b"pair".as_slice();
        let checkpoint = processes.old.put_checkpoint(key(4), kept.into(), TTL);
        assert!(checkpoint.await.unwrap());
        let (rows, _changes) = processes.old.follow();
        processes.adopt(&rows);
        assert!(processes.at_new(1).await == Acquire::Reused);
        assert!(processes.at_new(2).await == Acquire::Completed(b"second".as_slice().into()));
        assert!(processes.at_new(3).await == Acquire::Contended);
        let Acquire::Acquired { checkpoint, .. } = processes.at_new(4).await else {
            panic!("free");
        };
        assert_eq!(checkpoint.as_deref(), Some(kept));
        // What nobody completes ends by itself.
        processes.clock.advance(TTL);
        assert!(matches!(
            processes.at_new(3).await,
            Acquire::Acquired { .. }
        ));
    }

    #[tokio::test]
    async fn the_next_process_hears_how_the_work_ends() {
        let processes = Processes::start();
        let (_, mut changes) = processes.old.follow();
        let (done, given_up) = (processes.hold(1).await, processes.hold(2).await);
        let Acquire::Acquired { fence: own, .. } = processes.at_new(3).await else {
            panic!("free");
        };
        let stolen = processes.hold(3).await;
        for number in 1..=2 {
            let row = changes.try_recv().expect("a change");
            assert!(row.key == key(number));
            processes.adopt(&[row]);
            assert!(processes.at_new(number).await == Acquire::Contended);
        }
        let complete = processes.old.complete(key(1), done, result("late"));
        assert!(complete.await.unwrap());
        processes.old.release(key(2), given_up).await.unwrap();
        let complete = processes.old.complete(key(3), stolen, result("of both"));
        assert!(complete.await.unwrap());
        while let Ok(row) = changes.try_recv() {
            processes.adopt(&[row]);
        }
        assert!(processes.at_new(1).await == Acquire::Completed(b"late".as_slice().into()));
        assert!(matches!(
            processes.at_new(2).await,
            Acquire::Acquired { .. }
        ));
        // Its own work goes on.
        let complete = processes.new.complete(key(3), own, result("own"));
        assert!(complete.await.unwrap());
    }

    #[test]
    fn what_was_cut_is_no_row() {
        let mut bytes = Vec::new();
        let state = LeaseState::Checkpoint(b"pair".as_slice().into());
        let row = LeaseRow {
            key: key(1),
            state,
            ttl: TTL,
        };
        row.write(&mut bytes);
        assert!(LeaseRow::read_all(&bytes).is_some_and(|rows| rows == [row]));
        for length in 1..bytes.len() {
            assert!(LeaseRow::read_all(&bytes[..length]).is_none(), "{length}");
        }
    }
}
