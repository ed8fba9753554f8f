//! What replicas tell each other, and what each of them knows from it.

use redis::{PushInfo, PushKind, Value};

use super::super::revocations::{RevocationId, Revocations};
use super::super::waiting::Waiting;
use super::super::{LeaseKey, SessionHash};
use super::near::Near;
use crate::model::timestamp::Timestamp;

/// Sessions remembered as revoked.
pub(super) const REVOCATIONS: usize = 1_000_000;
/// The end of a revocation in 16 digits, and its mark.
const RECORD: usize = 32;

/// What this replica knows without asking.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) revocations: Revocations,
    pub(super) near: Near,
    pub(super) waiting: Waiting,
}

/// That a session was ended.
pub(super) fn ended(id: SessionHash) -> Vec<u8> {
    [b"S".as_slice(), &id.0].concat()
}

/// That somebody need not wait for a renewal any more.
pub(super) fn landed(key: LeaseKey) -> Vec<u8> {
    [b"L".as_slice(), &key.0].concat()
}

impl Heard {
    pub(super) fn new() -> Self {
        Self {
            revocations: Revocations::new(REVOCATIONS),
            near: Near::new(),
            waiting: Waiting::new(),
        }
    }

    /// Takes in what a connection was told; `false` when it was told that it is over.
    pub(super) fn hear(&self, push: &PushInfo) -> bool {
        if let (PushKind::Message, [_, Value::BulkString(message)]) =
            (&push.kind, push.data.as_slice())
        {
            self.take_in(message);
        }
        push.kind != PushKind::Disconnection
    }

    fn take_in(&self, message: &[u8]) {
        match message.split_first() {
            Some((b'S', id)) => {
                if let Ok(id) = id.try_into() {
                    self.near.forget(SessionHash(id));
                }
            }
            Some((b'L', key)) => {
                if let Ok(key) = key.try_into() {
                    self.waiting.wake(LeaseKey(key));
                }
            }
            // The scripts make these.
            Some((b'R', records)) => {
                for (mark, until) in records.chunks_exact(RECORD).filter_map(record) {
                    self.revocations.add(mark, until, None);
                }
            }
            // A newer version's word.
            Some(_) | None => {}
        }
    }
}

fn record(bytes: &[u8]) -> Option<(RevocationId, Timestamp)> {
    let (digits, mark) = bytes.split_at_checked(RECORD / 2)?;
    let until = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((
        RevocationId(mark.try_into().ok()?),
        Timestamp::from_millis(until),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::token::RevocationKey;

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let heard = Heard::new();
        let messages: [&[u8]; 7] = [b"", b"S", b"Sxyz", b"L", b"R", b"Rxxxxxxxxxxxxxxxx", b"?1"];
        for message in messages {
            heard.take_in(message);
        }
        heard.take_in(&[b'R'; 33]);
        assert_eq!(heard.revocations.len(), 0);
        let session = RevocationKey("a".into());
        let mark = RevocationId::of("main", &session);
        heard.take_in(&[b"R0000000000001000".as_slice(), &mark.0, b"cut"].concat());
        assert!(
            heard
                .revocations
                .contains("main", &session, Timestamp::from_millis(999))
        );
        assert!(
            !heard
                .revocations
                .contains("main", &session, Timestamp::from_millis(1_000))
        );
    }
}
