//! Known devices: the device cookie, which tells the accounts that logged in from a browser before.
//!
//! It is no credential. Somebody who types the password of an account that logged in from this
//! browser before is more likely its owner than a stranger is, so the throttle counts their
//! attempts apart from a stranger's. Where the user trusts the browser, the cookie also holds the
//! provider's trust id, with which the provider skips the second factor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::cookie_names::MAX_CHUNK;
use super::sealing_keys::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;
use super::timestamp::Timestamp;

/// How many accounts one device remembers. A further one replaces the account whose last login is
/// the longest ago.
pub const MAX_ACCOUNTS: usize = 8;
/// The longest trust id that is stored, in bytes. FusionAuth's have 43.
pub const MAX_TRUST_ID: usize = 200;
/// The longest `sub` of a user whose trust is stored, in bytes. FusionAuth's have 36.
pub const MAX_TRUSTING_USER: usize = 64;
/// How long a browser keeps the cookie after the last login: the longest that browsers keep any
/// (RFC 6265bis, section 5.5).
pub const DEVICE_MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A random id, unique to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId(pub [u8; 16]);

/// The throttle's keyed hash of an account's login name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountHash(pub [u8; 16]);

/// A browser, and the accounts that logged in from it. `Debug` prints their number alone.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownDevice {
    id: DeviceId,
    /// The account of the last login first; at most [`MAX_ACCOUNTS`].
    accounts: Vec<Remembered>,
    /// Whether the cookie outlives the browser session: once any user asked to be remembered.
    persistent: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Remembered {
    account: AccountHash,
    trust: Option<DeviceTrust>,
}

/// The provider's proof that a user trusts the device, so that it may skip the second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceTrust {
    /// The provider's trust id.
    pub id: Secret,
    /// Who gave it, and when; `None` in cookies of earlier versions, until the next login.
    pub given: Option<TrustGiven>,
}

/// Who trusts a device, and since when.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustGiven {
    /// The user's `sub`.
    pub user: String,
    /// By the clock of the gateway.
    pub at: Timestamp,
}

/// A sealed [`KnownDevice`]: the value of the cookie. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedDevice {
    text: Arc<str>,
    persistent: bool,
}

/// The sealed form. The short names keep the cookie small; they must not change.
#[derive(Serialize, Deserialize)]
struct Sealed {
    i: String,
    a: Vec<SealedAccount>,
    #[serde(default)]
    l: bool,
}

#[derive(Serialize, Deserialize)]
struct SealedAccount {
    h: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
}

impl KnownDevice {
    /// A device from which nobody has logged in yet.
    #[must_use]
    pub const fn new(id: DeviceId) -> Self {
        Self {
            id,
            accounts: Vec::new(),
            persistent: false,
        }
    }

    /// The id, by which the throttle tells devices apart.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.id
    }

    /// The account of the last login.
    #[must_use]
    pub fn last_account(&self) -> Option<AccountHash> {
        self.accounts.first().map(|known| known.account)
    }

    /// Whether an account logged in from this device before. `hashes` are the hashes of its login
    /// name under every key there is.
    #[must_use]
    pub fn knows(&self, hashes: &[AccountHash]) -> bool {
        self.find(hashes).is_some()
    }

    /// The trust of an account in this device.
    #[must_use]
    pub fn trust(&self, hashes: &[AccountHash]) -> Option<&DeviceTrust> {
        self.find(hashes)?.trust.as_ref()
    }

    /// Records a login of `given.user` at `given.at`, which makes its account the most recent.
    /// `hashes` are the hashes of the login name under every key there is; the first is stored.
    /// `trust_id` replaces the stored trust, `None` keeps it. An id that is longer than
    /// [`MAX_TRUST_ID`], or that of a user beyond [`MAX_TRUSTING_USER`], is not stored.
    pub fn record_login(
        &mut self,
        hashes: &[AccountHash],
        trust_id: Option<Secret>,
        given: TrustGiven,
    ) {
        let Some(account) = hashes.first().copied() else {
            return;
        };
        let kept = self.trust(hashes).cloned();
        let trust = match (trust_id, kept) {
            (Some(id), _) => Some(DeviceTrust {
                id,
                given: Some(given),
            }),
            (None, Some(kept)) => Some(DeviceTrust {
                given: kept.given.or(Some(given)),
                ..kept
            }),
            (None, None) => None,
        };
        let trust = trust.filter(DeviceTrust::fits);
        self.accounts
            .retain(|known| !hashes.contains(&known.account));
        self.accounts.insert(0, Remembered { account, trust });
        self.accounts.truncate(MAX_ACCOUNTS);
    }

    /// Makes the cookie outlive the browser session: a user chose "keep me signed in" or "do not
    /// ask again on this device".
    pub fn persist(&mut self) {
        self.persistent = true;
    }

    /// Removes the trust of an account, for instance because what its user was given has ended.
    pub fn clear_trust(&mut self, hashes: &[AccountHash]) {
        for known in self
            .accounts
            .iter_mut()
            .filter(|known| hashes.contains(&known.account))
        {
            known.trust = None;
        }
    }

    fn find(&self, hashes: &[AccountHash]) -> Option<&Remembered> {
        self.accounts
            .iter()
            .find(|known| hashes.contains(&known.account))
    }

    /// Seals the device for one site, in base64url. `nonce` is random and used once. `None` only if
    /// the cipher itself fails.
    #[must_use]
    pub fn seal(
        &self,
        keys: &SealingKeys,
        site: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<SealedDevice> {
        let account = |known: &Remembered| SealedAccount {
            h: URL_SAFE_NO_PAD.encode(known.account.0),
            t: known
                .trust
                .as_ref()
                .map(|trust| trust.id.expose().to_owned()),
            u: known.given().map(|given| given.user.clone()),
            s: known.given().map(|given| given.at.millis()),
        };
        let inside = Sealed {
            i: URL_SAFE_NO_PAD.encode(self.id.0),
            a: self.accounts.iter().map(account).collect(),
            l: self.persistent,
        };
        let sealed = keys.seal(
            &seal_purpose(site),
            serde_json::to_vec(&inside).ok()?,
            nonce,
        )?;
        Some(SealedDevice {
            text: URL_SAFE_NO_PAD.encode(sealed).into(),
            persistent: self.persistent,
        })
    }

    /// Opens what [`KnownDevice::seal`] made for the same site; `None` for everything else.
    #[must_use]
    pub fn open(keys: &SealingKeys, site: &str, text: &str) -> Option<Self> {
        if text.len() > MAX_CHUNK {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&keys.open(&seal_purpose(site), &sealed)?).ok()?;
        let bytes = |text: &str| <[u8; 16]>::try_from(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let accounts = inside.a.into_iter().filter_map(|sealed| {
            let given = sealed.u.zip(sealed.s).map(|(user, at)| TrustGiven {
                user,
                at: Timestamp::from_millis(at),
            });
            Some(Remembered {
                account: AccountHash(bytes(&sealed.h)?),
                trust: sealed.t.map(|id| DeviceTrust {
                    id: Secret::new(id),
                    given,
                }),
            })
        });
        Some(Self {
            id: DeviceId(bytes(&inside.i)?),
            accounts: accounts.take(MAX_ACCOUNTS).collect(),
            persistent: inside.l,
        })
    }
}

impl Remembered {
    fn given(&self) -> Option<&TrustGiven> {
        self.trust.as_ref()?.given.as_ref()
    }
}

impl DeviceTrust {
    /// Whether it is short enough for the cookie.
    fn fits(&self) -> bool {
        let user = self.given.as_ref().map_or(0, |given| given.user.len());
        self.id.expose().len() <= MAX_TRUST_ID && user <= MAX_TRUSTING_USER
    }
}

impl SealedDevice {
    /// The cookie's value, which needs no quoting.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the cookie outlives the browser session, for [`DEVICE_MAX_AGE`].
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }
}

impl fmt::Debug for KnownDevice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KnownDevice({} accounts)", self.accounts.len())
    }
}

impl fmt::Debug for AccountHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AccountHash")
    }
}

impl fmt::Debug for SealedDevice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SealedDevice")
    }
}

fn seal_purpose(site: &str) -> String {
    format!("vestibule device\0{site}")
}

#[cfg(test)]
mod tests;
