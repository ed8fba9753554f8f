//! The change from this process to the one that takes its place: both tell each other what they
//! know of leases and revocations, for as long as both live. So a refresh that runs in one process
//! is not repeated in the other, and a sign-out in one is known in the other.
//!
//! A message is a kind, a length (32 bits, little-endian) and a body.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::store::{LeaseRow, MemoryLeases, RevocationChanges, SavedStores, Stores};
use crate::system::Clock;

use super::saved_state::SavedState;

/// The largest body: more than a full store of leases.
const MAX_BODY: u32 = 1024 * 1024 * 1024;
/// How many bytes of leases one message has, before another one begins.
const BATCH: usize = 64 * 1024;

/// What this process and the next one tell each other.
pub struct Handover {
    leases: Arc<MemoryLeases>,
    saved: SavedStores,
    saved_state: Arc<SavedState>,
    clock: Clock,
    /// Whether the next process accepts the connections.
    is_handed_over: AtomicBool,
}

/// A message between the two processes.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// The next process can serve.
    Ready,
    /// It accepts connections from now on.
    Go,
    /// Leases.
    Leases(Vec<u8>),
    /// A snapshot of revocations.
    Revocations(Vec<u8>),
}

/// What changes in this process.
pub struct StateChanges {
    leases: mpsc::UnboundedReceiver<LeaseRow>,
    revocations: RevocationChanges,
}

impl Handover {
    pub(super) fn new(stores: &Stores, saved_state: Arc<SavedState>, clock: Clock) -> Self {
        Self {
            leases: Arc::clone(&stores.local_leases),
            saved: stores.saved.clone(),
            saved_state,
            clock,
            is_handed_over: AtomicBool::new(false),
        }
    }

    /// Whether the next process accepts the connections.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.is_handed_over.load(Ordering::Acquire)
    }

    /// The next process accepts the connections from now on: this one closes its own after their
    /// responses, and the next one saves what both know.
    pub fn hand_over(&self) {
        self.is_handed_over.store(true, Ordering::Release);
        self.saved_state.hold();
    }

    /// The next process is gone: this one goes on.
    pub fn take_back(&self) {
        self.is_handed_over.store(false, Ordering::Release);
        self.saved_state.resume();
    }

    /// The process before this one is gone: what it knew is saved here from now on.
    pub fn completed(&self) {
        self.saved_state.changed();
    }

    /// Everything that this process knows, and what changes after that.
    #[must_use]
    pub fn follow(&self) -> (Vec<Message>, StateChanges) {
        // First the changes, so that none is missed.
        let revocations = self.saved.follow();
        let (rows, leases) = self.leases.follow();
        let mut messages = vec![self.revocations()];
        let mut batch = Vec::new();
        for row in rows {
            row.write(&mut batch);
            if batch.len() >= BATCH {
                messages.push(Message::Leases(std::mem::take(&mut batch)));
            }
        }
        messages.push(Message::Leases(batch));
        let changes = StateChanges {
            leases,
            revocations,
        };
        (messages, changes)
    }

    /// All revocations that this process knows, with those that providers have not been told.
    #[must_use]
    pub fn revocations(&self) -> Message {
        Message::Revocations(self.saved.snapshot(self.clock.now()))
    }

    /// Takes over what the other process knows.
    ///
    /// # Errors
    /// Where the message cannot be read: the other program is of another version.
    pub fn adopt(&self, message: &Message) -> io::Result<()> {
        let adopted = match message {
            Message::Ready | Message::Go => Some(()),
            Message::Leases(rows) => LeaseRow::read_all(rows).map(|rows| {
                for row in rows {
                    self.leases.adopt(row);
                }
            }),
            Message::Revocations(snapshot) => {
                let restored = self.saved.restore(snapshot, self.clock.now());
                self.saved_state.changed();
                restored.ok()
            }
        };
        adopted.ok_or_else(|| io::Error::other("the other process is of another version"))
    }
}

impl StateChanges {
    /// The next change. `None` where there will be none. It can be cancelled.
    pub async fn next(&mut self) -> Option<Message> {
        tokio::select! {
            row = self.leases.recv() => {
                let mut body = Vec::new();
                row?.write(&mut body);
                Some(Message::Leases(body))
            }
            revocation = self.revocations.next() => revocation.map(Message::Revocations),
        }
    }
}

impl Message {
    /// Writes the message.
    ///
    /// # Errors
    /// Where the other process is gone.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let (kind, body) = match self {
            Self::Ready => (b'Y', &[][..]),
            Self::Go => (b'G', &[][..]),
            Self::Leases(body) => (b'L', &**body),
            Self::Revocations(body) => (b'R', &**body),
        };
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        to.write_u8(kind).await?;
        to.write_u32_le(length).await?;
        to.write_all(body).await?;
        to.flush().await
    }

    /// Reads one message. `None` where the other process is gone.
    ///
    /// # Errors
    /// Where it is no message.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let kind = match from.read_u8().await {
            // Reset: it had not read everything when it ended.
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof
                    || error.kind() == io::ErrorKind::ConnectionReset =>
            {
                return Ok(None);
            }
            kind => kind?,
        };
        let length = from.read_u32_le().await?;
        if length > MAX_BODY {
            return Err(io::Error::other("a message is too long"));
        }
        let mut body = Vec::new();
        from.take(u64::from(length)).read_to_end(&mut body).await?;
        if body.len() as u64 != u64::from(length) {
            return Ok(None);
        }
        match kind {
            b'Y' => Ok(Some(Self::Ready)),
            b'G' => Ok(Some(Self::Go)),
            b'L' => Ok(Some(Self::Leases(body))),
            b'R' => Ok(Some(Self::Revocations(body))),
            _ => Err(io::Error::other("a message of an unknown kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::token::RevocationKey;
    use crate::store::{Acquire, LeaseKey};

    struct Process {
        stores: Stores,
        handover: Handover,
    }

    fn process(clock: &Clock) -> Process {
        let stores = Stores::in_memory(clock);
        let saved_state = Arc::new(SavedState::new(&stores, clock.clone()));
        let handover = Handover::new(&stores, saved_state, clock.clone());
        Process { stores, handover }
    }

    #[tokio::test]
    async fn both_processes_know_what_either_learns() {
        let clock = Clock::new();
        let (old, new) = (process(&clock), process(&clock));
        let (now, minute) = (clock.now(), Duration::from_secs(60));
        let (before, after) = (RevocationKey("a".into()), RevocationKey("b".into()));
        let (first, second) = (LeaseKey([1; 32]), LeaseKey([2; 32]));
        let revoke = |key| {
            old.stores
                .revocations
                .revoke("main", key, now.plus(minute), now)
        };
        revoke(&before).await.unwrap();
        old.stores.leases.acquire(first, minute).await.unwrap();
        let (state, mut changes) = old.handover.follow();
        revoke(&after).await.unwrap();
        old.stores.leases.acquire(second, minute).await.unwrap();
        let (mut here, mut there) = tokio::io::duplex(1 << 16);
        for message in &state {
            message.write(&mut here).await.unwrap();
        }
        for _ in 0..2 {
            let change = changes.next().await.unwrap();
            change.write(&mut here).await.unwrap();
        }
        drop(here);
        while let Some(message) = Message::read(&mut there).await.unwrap() {
            new.handover.adopt(&message).unwrap();
        }
        for key in [before, after] {
            assert!(new.stores.revocations.is_revoked("main", &key, now));
        }
        for key in [first, second] {
            let answer = new.stores.leases.acquire(key, minute).await.unwrap();
            assert!(answer == Acquire::Contended);
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error_or_the_end() {
        let read = async |bytes: &[u8]| Message::read(&mut &*bytes).await;
        assert_eq!(read(b"").await.unwrap(), None);
        assert_eq!(read(b"L\x05\0\0\0abc").await.unwrap(), None, "cut");
        assert!(read(b"X\0\0\0\0").await.is_err());
        assert!(read(b"L\xff\xff\xff\xff").await.is_err());
        let handover = process(&Clock::new()).handover;
        for bad in [
            Message::Leases(b"no rows".into()),
            Message::Revocations(b"no snapshot".into()),
        ] {
            assert!(handover.adopt(&bad).is_err());
        }
    }
}
