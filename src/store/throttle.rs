//! So many attempts in a span of time, per account and per address.
//!
//! A place is taken before the attempt and stays taken unless somebody says otherwise: attempts in
//! flight count, and a crash between question and answer costs the attacker, not the account.
//!
//! When all places are taken, the next attempt waits until the first of them is `per` old. Where
//! waits grow, each further one is twice as long, to [`LONGEST_WAIT`]; a success ends that, and so
//! does [`FADES_AFTER`] without another. Attempts that are refused change nothing: whoever keeps
//! trying waits no longer than who does not.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

use crate::config::settings::{Backoff, Rate};
use crate::model::device::DeviceId;
use crate::model::timestamp::Timestamp;

/// No wait is longer, unless `per` itself is.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// So long after a wait has ended it is forgotten how often there was one.
pub const FADES_AFTER: Duration = Duration::from_secs(60 * 60);
/// Doubled more often, no wait grows.
const MOST_WAITS: u32 = 20;

/// Forgotten with each new name: two for one, so that what is over cannot pile up.
const SWEPT_AT_ONCE: usize = 2;

/// Whose attempts are counted, beyond recognition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(pub(super) [u8; 16]);

/// Makes [`ThrottleKey`]s under a key that only this process knows (or that its twins share).
pub struct ThrottleKeys(Key);

/// A place taken by one attempt. Settle it; dropping it without a word counts the attempt as
/// failed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an attempt nobody settles counts as failed"]
pub struct Reservation {
    pub(super) key: ThrottleKey,
    pub(super) place: u64,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The password or code was wrong: the place stays taken.
    Failed,
    /// Somebody proved to be who they say: all places of this key are free. For addresses say
    /// [`Settlement::Released`] instead, or an attacker frees theirs by signing in as themselves.
    Succeeded,
    /// Nothing was learnt, the provider did not answer: this one place is free.
    Released,
}

/// Seconds until a place is free, at least 1, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

impl ThrottleKey {
    /// The key itself, to be kept and compared where a sealed cookie remembers whose attempts these
    /// were.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl ThrottleKeys {
    /// A maker of keys under these random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, &secret))
    }

    /// A maker of keys that other holders of `secret` make too: replicas count together. Nothing of
    /// the secret, which may have another use, can be told from the keys.
    #[must_use]
    pub fn shared(secret: &[u8]) -> Self {
        let derived =
            aws_lc_rs::hmac::sign(&Key::new(HMAC_SHA256, secret), b"vestibule throttle keys");
        Self(Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// The key of an account, whatever the spelling: outer space and case do not count. `scope`
    /// keeps apart what is counted apart, such as the accounts of two providers.
    #[must_use]
    pub fn account(&self, scope: &str, login_id: &str) -> ThrottleKey {
        self.key(
            b"account",
            scope.as_bytes(),
            login_id.trim().to_lowercase().as_bytes(),
        )
    }

    /// The key of an account at one device that it signed in from before.
    #[must_use]
    pub fn account_on(&self, scope: &str, login_id: &str, device: DeviceId) -> ThrottleKey {
        let account = self.account(scope, login_id);
        self.key(b"device", &device.0, &account.0)
    }

    /// The key of a client address. An IPv6 client has its whole /64 to choose from, so that is
    /// what counts; IPv4 in IPv6's clothes is IPv4.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> ThrottleKey {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key(b"address", b"4", &address.octets()),
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64;
                self.key(b"address", b"6", &network.to_be_bytes())
            }
        }
    }

    fn key(&self, kind: &[u8], scope: &[u8], name: &[u8]) -> ThrottleKey {
        let mut hash = Context::with_key(&self.0);
        for part in [kind, scope, name] {
            // The length first: no two lists of parts run together to the same bytes.
            hash.update(&part.len().to_le_bytes());
            hash.update(part);
        }
        ThrottleKey(
            hash.sign()
                .as_ref()
                .first_chunk()
                .copied()
                .unwrap_or_default(),
        )
    }
}

impl fmt::Debug for ThrottleKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ThrottleKeys")
    }
}

impl fmt::Debug for ThrottleKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ThrottleKey")
    }
}

/// The places taken, name by name: an exact log, because a bucket that refills lets nearly twice
/// the limit through in some windows.
#[derive(Debug)]
pub(super) struct Places {
    names: HashMap<ThrottleKey, Name>,
    /// Names, the soonest to be over first.
    by_end: BTreeSet<(Timestamp, ThrottleKey)>,
    /// Names, the lightest first, of these the soonest to be over.
    by_weight: BTreeSet<(usize, Timestamp, ThrottleKey)>,
    capacity: usize,
    next_place: u64,
}

#[derive(Debug)]
struct Name {
    /// When each was taken, and its number; the oldest first, at most `attempts` long.
    taken: VecDeque<(Timestamp, u64)>,
    /// When there is nothing left to remember.
    end: Timestamp,
    /// How often all places were taken, without a success in between.
    waits: u32,
    /// When that is forgotten.
    fades: Timestamp,
}

impl Name {
    const fn new(now: Timestamp) -> Self {
        Self {
            taken: VecDeque::new(),
            end: now,
            waits: 0,
            fades: now,
        }
    }

    /// When the wait ends that begins when all places are taken; `None` while one is free.
    fn wait_ends(&self, rate: Rate) -> Option<Timestamp> {
        let limit = usize::try_from(rate.attempts).unwrap_or(usize::MAX);
        // Normally the oldest; after a reload to a lower limit, the one that makes room.
        let (taken, _) = self.taken.get(self.taken.len().checked_sub(limit)?)?;
        Some(taken.plus(longer(rate, self.waits)))
    }

    /// Heavier names are kept longer where there is no room for all.
    fn weight(&self) -> usize {
        self.taken.len() + usize::try_from(self.waits).unwrap_or_default()
    }
}

/// The wait after `waits` others.
fn longer(rate: Rate, waits: u32) -> Duration {
    rate.per
        .saturating_mul(1 << waits.min(MOST_WAITS))
        .min(longest(rate).max(rate.per))
}

/// No wait is longer, unless `per` itself is.
pub(super) const fn longest(rate: Rate) -> Duration {
    match rate.waits {
        Backoff::Fixed => rate.per,
        Backoff::Exponential => LONGEST_WAIT,
    }
}

impl Places {
    /// Room for `capacity` names. Beyond it those that are over go first, then those with the
    /// fewest places and waits: who floods with names evicts that flood, not the count of the
    /// account under attack.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            names: HashMap::new(),
            by_end: BTreeSet::new(),
            by_weight: BTreeSet::new(),
            capacity: capacity.max(1),
            next_place: 0,
        }
    }

    pub(super) fn reserve(
        &mut self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, RetryAfter> {
        self.forget_over(now, SWEPT_AT_ONCE);
        if rate.attempts == 0 {
            return Err(RetryAfter::from(rate.per));
        }
        let mut name = self.take_out(key).unwrap_or(Name::new(now));
        if let Some(ends) = name.wait_ends(rate) {
            if now < ends {
                self.put_back(key, name);
                return Err(RetryAfter::from(now.until(ends)));
            }
            name.waits += 1;
            name.fades = ends.plus(FADES_AFTER);
        }
        while name
            .taken
            .front()
            .is_some_and(|(taken, _)| taken.plus(rate.per) <= now)
        {
            name.taken.pop_front();
        }
        if name.fades <= now {
            name.waits = 0;
        }
        let place = self.next_place;
        self.next_place = self.next_place.wrapping_add(1);
        name.taken.push_back((now, place));
        let remembered = name
            .wait_ends(rate)
            .map_or(now.plus(rate.per), |ends| ends.plus(FADES_AFTER));
        name.end = name.end.max(remembered).max(name.fades);
        self.make_room();
        self.put_back(key, name);
        Ok(Reservation { key, place })
    }

    pub(super) fn settle(&mut self, reservation: &Reservation, how: Settlement) {
        match how {
            Settlement::Failed => {}
            Settlement::Succeeded => {
                self.take_out(reservation.key);
            }
            Settlement::Released => {
                if let Some(mut name) = self.take_out(reservation.key) {
                    name.taken.retain(|(_, place)| *place != reservation.place);
                    self.put_back(reservation.key, name);
                }
            }
        }
    }

    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.forget_over(now, usize::MAX);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(
            (self.names.len(), self.names.len()),
            (self.by_end.len(), self.by_weight.len())
        );
        self.names.len()
    }

    fn forget_over(&mut self, now: Timestamp, at_most: usize) {
        for _ in 0..at_most {
            match self.by_end.first() {
                Some((end, key)) if *end <= now => {
                    let key = *key;
                    self.take_out(key);
                }
                Some(_) | None => return,
            }
        }
    }

    /// Called before one is put in.
    fn make_room(&mut self) {
        while self.names.len() >= self.capacity {
            let Some((_, _, key)) = self.by_weight.first().copied() else {
                return;
            };
            self.take_out(key);
        }
    }

    fn take_out(&mut self, key: ThrottleKey) -> Option<Name> {
        let name = self.names.remove(&key)?;
        self.by_end.remove(&(name.end, key));
        self.by_weight.remove(&(name.weight(), name.end, key));
        Some(name)
    }

    fn put_back(&mut self, key: ThrottleKey, name: Name) {
        if name.weight() == 0 {
            return;
        }
        self.by_end.insert((name.end, key));
        self.by_weight.insert((name.weight(), name.end, key));
        self.names.insert(key, name);
    }
}

impl From<Duration> for RetryAfter {
    fn from(wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self(u32::try_from(whole).unwrap_or(u32::MAX).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_has_one_key_whatever_the_spelling() {
        let keys = ThrottleKeys::new([1; 32]);
        let plain = keys.account("main", "zo\u{e9}@example.com");
        assert_eq!(keys.account("main", "  ZO\u{c9}@Example.com\n"), plain);
        assert_ne!(keys.account("other", "zo\u{e9}@example.com"), plain);
        assert_ne!(keys.account("main", "zoe@example.com"), plain);
        assert_ne!(keys.account("mai", "nzo\u{e9}@example.com"), plain);
        let on = |name: &str, device: u8| keys.account_on("main", name, DeviceId([device; 16]));
        assert_eq!(
            on(" Zo\u{e9}@example.com", 1),
            on("zo\u{e9}@example.com", 1)
        );
        assert_ne!(on("zo\u{e9}@example.com", 1), on("zo\u{e9}@example.com", 2));
        assert_ne!(on("zo\u{e9}@example.com", 1), plain);
        assert_ne!(
            ThrottleKeys::new([2; 32]).account("main", "zo\u{e9}@example.com"),
            plain
        );
    }

    #[test]
    fn an_address_is_an_ipv4_or_a_64() {
        let keys = ThrottleKeys::new([1; 32]);
        let of = |text: &str| keys.address(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::9"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(of("::1"), of("0.0.0.1"));
    }

    #[test]
    fn who_shares_a_secret_shares_keys() {
        let of = |keys: &ThrottleKeys| keys.account("main", "ann");
        assert_eq!(
            of(&ThrottleKeys::shared(&[1; 32])),
            of(&ThrottleKeys::shared(&[1; 32]))
        );
        assert_ne!(
            of(&ThrottleKeys::shared(&[1; 32])),
            of(&ThrottleKeys::shared(&[2; 32]))
        );
        assert_ne!(
            of(&ThrottleKeys::shared(&[1; 32])),
            of(&ThrottleKeys::new([1; 32]))
        );
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let keys = ThrottleKeys::new([1; 32]);
        assert_eq!(
            format!("{keys:?} {:?}", keys.account("main", "ann")),
            "ThrottleKeys ThrottleKey"
        );
    }
}
