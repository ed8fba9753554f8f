//! The store of login attempts: at most [`Rate::attempts`] in any window of [`Rate::per`], per
//! account and per client address.
//!
//! An attempt is recorded before it is made and counts unless the caller settles it otherwise. So
//! attempts in flight count, and so does an attempt whose result was lost in a crash.
//!
//! When the window is full, the next attempt has to wait until the oldest one is [`Rate::per`] old.
//! With [`Backoff::Exponential`] each further wait is twice as long, up to [`MAX_WAIT`]. A success
//! resets the backoff, and so does [`BACKOFF_RESET_AFTER`] without another wait. A refused attempt
//! changes nothing: retrying does not prolong the wait.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

use super::{StoreError, Sweep};
use crate::config::settings::{Backoff, Rate};
use crate::model::known_device::DeviceId;
use crate::model::timestamp::Timestamp;

/// The longest wait, unless [`Rate::per`] is longer.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
/// The backoff starts over this long after the last wait.
pub(super) const BACKOFF_RESET_AFTER: Duration = Duration::from_secs(60 * 60);
/// A wait is doubled this often at most, so that the factor fits its type.
const MAX_DOUBLINGS: u32 = 20;

/// Counts of attempts by their keys.
#[async_trait]
pub trait ThrottleStore: Sweep + Send + Sync + fmt::Debug {
    /// Records an attempt that is about to be made. It counts until it is `rate.per` old, unless
    /// [`ThrottleStore::settle`] says otherwise.
    ///
    /// # Errors
    /// [`ReserveError::Throttled`] when `rate.attempts` are in the window, with the time until the
    /// next attempt is allowed. [`ReserveError::Store`] when the store does not answer.
    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError>;

    /// Reports the result of an attempt.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer: the attempt then counts.
    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError>;
}

/// An HMAC that names an account or address whose attempts are counted. The name cannot be
/// recovered from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThrottleKey(pub(super) [u8; 16]);

/// Makes [`ThrottleKey`]s with a secret of this process, or of all replicas.
pub struct ThrottleKeys(Key);

/// A recorded attempt, to be settled. One that is dropped counts as failed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an attempt that is not settled counts as failed"]
pub struct Reservation {
    pub(super) key: ThrottleKey,
    /// Tells this attempt from others with the same key.
    pub(super) attempt: u64,
}

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The password or code was wrong: the attempt counts.
    Failed,
    /// The login succeeded: all attempts of this key are forgotten. Not for addresses, where an
    /// attacker could reset the count with an account of their own: use [`Settlement::Released`].
    Succeeded,
    /// Nothing is known, for example because the provider did not answer: this attempt does not
    /// count.
    Released,
}

/// Why an attempt is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveError {
    /// There were too many attempts.
    Throttled(RetryAfter),
    /// The store does not answer, so the number of attempts is unknown.
    Store(StoreError),
}

/// Seconds until the next attempt is allowed: at least 1, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

/// How long to wait in a full window, after `waits` earlier waits.
pub(super) fn wait_after(rate: Rate, waits: u32) -> Duration {
    rate.per
        .saturating_mul(1 << waits.min(MAX_DOUBLINGS))
        .min(max_wait(rate).max(rate.per))
}

/// The longest wait, unless [`Rate::per`] is longer.
pub(super) const fn max_wait(rate: Rate) -> Duration {
    match rate.waits {
        Backoff::Fixed => rate.per,
        Backoff::Exponential => MAX_WAIT,
    }
}

impl ThrottleKey {
    /// The key's bytes, to be stored in a sealed cookie and compared later.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl ThrottleKeys {
    /// Makes keys with these random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, &secret))
    }

    /// Makes the same keys in every process that has `secret`, so that replicas count together. The
    /// secret may have another use: the keys reveal nothing of it.
    #[must_use]
    pub fn shared(secret: &[u8]) -> Self {
        let derived =
            aws_lc_rs::hmac::sign(&Key::new(HMAC_SHA256, secret), b"vestibule throttle keys");
        Self(Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// The key of an account. Surrounding whitespace and case of `login_id` make no difference.
    /// Equal names in different scopes, such as two providers, have different keys.
    #[must_use]
    pub fn account(&self, scope: &str, login_id: &str) -> ThrottleKey {
        self.key(
            b"account",
            scope.as_bytes(),
            login_id.trim().to_lowercase().as_bytes(),
        )
    }

    /// The key of an account on a device that it has signed in from before.
    #[must_use]
    pub fn account_on(&self, scope: &str, login_id: &str, device: DeviceId) -> ThrottleKey {
        let account = self.account(scope, login_id);
        self.key(b"device", &device.0, &account.0)
    }

    /// The key of a client address. An IPv6 client can choose any address of its /64, so the /64
    /// has one key. An IPv4-mapped IPv6 address is an IPv4 address.
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
            // The length comes first, so that no two lists of parts give the same bytes.
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
