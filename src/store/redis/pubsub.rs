//! What replicas publish to each other: ended sessions, changed leases and new revocations.
//!
//! The first byte of a message tells its kind: `S` is followed by the 32 bytes of a session hash,
//! `L` by those of a lease key, and `R` by any number of revocations, each the end in 16 digits and
//! the 16 bytes of its id. `I` is `R` for revocations of what was issued up to a time, which
//! follows the id in 16 digits. Versions that do not know a kind ignore it.

use std::sync::Arc;

use redis::{PushInfo, PushKind, Value};

use super::super::revocations::{Revocation, RevocationId};
use super::super::wait_queue::WaitQueue;
use super::super::{LeaseKey, MemoryRevocations, SessionHash};
use super::encoding;
use super::near_cache::NearCache;
use crate::model::timestamp::Timestamp;

/// The length of one revocation in a message of kind `R`.
const REVOCATION: usize = 32;
/// The length of one revocation in a message of kind `I`.
const LIMITED_REVOCATION: usize = 48;
/// The length of a time in digits, and of an id.
const PART: usize = 16;

/// Applies the messages of other replicas to the state in this one.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) revocations: Arc<MemoryRevocations>,
    pub(super) near_cache: Arc<NearCache>,
    pub(super) wait_queue: Arc<WaitQueue>,
}

/// The message that a session was ended.
pub(super) fn session_ended(id: SessionHash) -> Vec<u8> {
    [b"S".as_slice(), &id.0].concat()
}

/// The message that a lease was completed or released.
pub(super) fn lease_changed(key: LeaseKey) -> Vec<u8> {
    [b"L".as_slice(), &key.0].concat()
}

impl Subscriber {
    /// Handles what the subscribed connection received.
    pub(super) fn on_push(&self, push: &PushInfo) {
        if let (PushKind::Message, [_, Value::BulkString(message)]) =
            (&push.kind, push.data.as_slice())
        {
            self.on_message(message);
        }
    }

    fn on_message(&self, message: &[u8]) {
        match message.split_first() {
            Some((b'S', id)) => {
                if let Ok(id) = id.try_into() {
                    self.near_cache.forget(SessionHash(id));
                }
            }
            Some((b'L', key)) => {
                if let Ok(key) = key.try_into() {
                    self.wait_queue.notify(LeaseKey(key));
                }
            }
            // Written by `revoke.lua`.
            Some((b'R', revocations)) => self.on_revocations(revocations, REVOCATION),
            Some((b'I', revocations)) => self.on_revocations(revocations, LIMITED_REVOCATION),
            // Messages that a newer version may send.
            Some(_) | None => {}
        }
    }

    fn on_revocations(&self, revocations: &[u8], length: usize) {
        for revocation in revocations
            .chunks_exact(length)
            .filter_map(parse_revocation)
        {
            self.revocations.add(revocation, None);
        }
    }
}

/// A revocation as `revoke.lua` writes it: its end in 16 digits, then its member.
pub(super) fn parse_revocation(bytes: &[u8]) -> Option<Revocation> {
    let (digits, member) = bytes.split_at_checked(PART)?;
    parse_member(member, encoding::parse_timestamp(digits)?)
}

/// A revocation whose member [`member`] wrote.
pub(super) fn parse_member(member: &[u8], until: Timestamp) -> Option<Revocation> {
    let (id, digits) = member.split_at_checked(PART)?;
    let issued_by = match digits.len() {
        0 => Revocation::ALL,
        PART => encoding::parse_timestamp(digits)?,
        _ => return None,
    };
    Some(Revocation {
        id: RevocationId(id.try_into().ok()?),
        issued_by,
        until,
    })
}

/// How the server names a revocation among others. Each time up to which tokens were issued has a
/// member of its own, which ends by itself.
pub(super) fn member(revocation: &Revocation) -> Vec<u8> {
    let mut member = revocation.id.0.to_vec();
    if revocation.issued_by != Revocation::ALL {
        member.extend_from_slice(encoding::timestamp(revocation.issued_by).as_bytes());
    }
    member
}

#[cfg(test)]
mod tests {
    use super::super::super::{RevocationStore as _, TokenGroup};
    use super::*;
    use crate::model::token::RevocationKey;

    #[test]
    fn malformed_messages_are_ignored() {
        let subscriber = Subscriber {
            revocations: Arc::new(MemoryRevocations::new()),
            near_cache: Arc::new(NearCache::new()),
            wait_queue: Arc::new(WaitQueue::new()),
        };
        let messages: [&[u8]; 9] = [
            b"",
            b"S",
            b"Sxyz",
            b"L",
            b"R",
            b"Rxxxxxxxxxxxxxxxx",
            b"I",
            b"Ixxxxxxxxxxxxxxxx",
            b"?1",
        ];
        for message in messages {
            subscriber.on_message(message);
        }
        subscriber.on_message(&[b'R'; 33]);
        subscriber.on_message(&[b'I'; 49]);
        assert_eq!(subscriber.revocations.count(), 0);
        let session = RevocationKey("a".into());
        let id = RevocationId::of("main", &session);
        subscriber.on_message(&[b"R0000000000001000".as_slice(), &id.0, b"cut"].concat());
        let is_revoked = |millis| {
            let now = Timestamp::from_millis(millis);
            subscriber.revocations.is_revoked("main", &session, now)
        };
        assert!(is_revoked(999));
        assert!(!is_revoked(1_000));
        let user = RevocationId::of_group("main", TokenGroup::User("u1"));
        let message = [
            b"I0000000000001000".as_slice(),
            &user.0,
            b"0000000000000500",
        ]
        .concat();
        subscriber.on_message(&message);
        let issued_by = subscriber
            .revocations
            .issued_by(user, Timestamp::from_millis(999));
        assert_eq!(issued_by, Some(Timestamp::from_millis(500)));
    }
}
