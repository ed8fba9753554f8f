//! What a browser is known by where accounts signed in before: the inside of the device cookie.
//!
//! It proves nobody. Who types the password of an account that signed in from this very browser
//! before is more likely its owner than a stranger: their attempts are counted apart from the
//! stranger's. Where the owner trusts the browser, the provider's word for it rests here too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::cookie::MAX_CHUNK;
use super::credential::{NONCE_BYTES, SealingKeys};
use super::secret::Secret;

/// Accounts one device remembers. Beyond them the one that did not sign in for the longest time
/// goes.
pub const MAX_ACCOUNTS: usize = 8;
/// The longest trust id kept, in bytes. FusionAuth's have 43.
pub const MAX_TRUST_ID: usize = 200;
/// How long a browser keeps the cookie after the last sign-in: as long as browsers keep any (RFC
/// 6265bis, section 5.5).
pub const DEVICE_MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// One device, told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId(pub [u8; 16]);

/// An account beyond recognition: the throttle's keyed hash of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountHash(pub [u8; 16]);

/// A browser and who signed in from it. `Debug` keeps them to itself.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownDevice {
    id: DeviceId,
    /// The one that signed in last first; at most [`MAX_ACCOUNTS`].
    accounts: Vec<Remembered>,
    /// Whether anybody wished to be kept in mind here: then the cookie outlives the browser, from
    /// then on.
    persistent: bool,
}

#[derive(Clone, PartialEq, Eq)]
struct Remembered {
    account: AccountHash,
    trust: Option<Secret>,
}

/// A sealed [`KnownDevice`]: the value of the cookie. `Debug` keeps it to itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedDevice {
    text: Arc<str>,
    persistent: bool,
}

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
}

impl KnownDevice {
    /// A browser from which nobody signed in yet.
    #[must_use]
    pub const fn new(id: DeviceId) -> Self {
        Self {
            id,
            accounts: Vec::new(),
            persistent: false,
        }
    }

    /// Which.
    #[must_use]
    pub const fn id(&self) -> DeviceId {
        self.id
    }

    /// The account that signed in last.
    #[must_use]
    pub fn last_account(&self) -> Option<AccountHash> {
        self.accounts.first().map(|known| known.account)
    }

    /// Whether an account signed in from here before. `marks` are its marks under every key there
    /// is.
    #[must_use]
    pub fn knows(&self, marks: &[AccountHash]) -> bool {
        self.find(marks).is_some()
    }

    /// The provider's word that it may leave out the second factor of an account here.
    #[must_use]
    pub fn trust_id(&self, marks: &[AccountHash]) -> Option<&Secret> {
        self.find(marks)?.trust.as_ref()
    }

    /// An account signed in: it is the last to be forgotten. `marks` are its marks under every key
    /// there is; the first is kept. `trust` replaces what was kept of the provider's, nothing
    /// leaves that as it is. One longer than [`MAX_TRUST_ID`] is not kept.
    pub fn record_login(&mut self, marks: &[AccountHash], trust: Option<Secret>) {
        let Some(account) = marks.first().copied() else {
            return;
        };
        let trust = trust
            .or_else(|| self.trust_id(marks).cloned())
            .filter(|trust| trust.expose().len() <= MAX_TRUST_ID);
        self.accounts
            .retain(|known| !marks.contains(&known.account));
        self.accounts.insert(0, Remembered { account, trust });
        self.accounts.truncate(MAX_ACCOUNTS);
    }

    /// Somebody wishes to be kept in mind here ("keep me signed in", "do not ask again on this
    /// device").
    pub fn persist(&mut self) {
        self.persistent = true;
    }

    /// Forgets the provider's word for an account, for instance because the provider takes it no
    /// more.
    pub fn clear_trust(&mut self, marks: &[AccountHash]) {
        for known in self
            .accounts
            .iter_mut()
            .filter(|known| marks.contains(&known.account))
        {
            known.trust = None;
        }
    }

    fn find(&self, marks: &[AccountHash]) -> Option<&Remembered> {
        self.accounts
            .iter()
            .find(|known| marks.contains(&known.account))
    }

    /// Seals it for one site. `nonce` is random and used once. `None` only if the cipher itself
    /// fails.
    #[must_use]
    pub fn seal(
        &self,
        ring: &SealingKeys,
        site: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<SealedDevice> {
        let account = |known: &Remembered| SealedAccount {
            h: URL_SAFE_NO_PAD.encode(known.account.0),
            t: known.trust.as_ref().map(|trust| trust.expose().to_owned()),
        };
        let inside = Sealed {
            i: URL_SAFE_NO_PAD.encode(self.id.0),
            a: self.accounts.iter().map(account).collect(),
            l: self.persistent,
        };
        let sealed = ring.seal_bytes(&purpose(site), serde_json::to_vec(&inside).ok()?, nonce)?;
        Some(SealedDevice {
            text: URL_SAFE_NO_PAD.encode(sealed).into(),
            persistent: self.persistent,
        })
    }

    /// Opens what [`KnownDevice::seal`] made for the same site; everything else is `None`.
    #[must_use]
    pub fn open(ring: &SealingKeys, site: &str, text: &str) -> Option<Self> {
        if text.len() > MAX_CHUNK {
            return None;
        }
        let whole = URL_SAFE_NO_PAD.decode(text).ok()?;
        let inside: Sealed =
            serde_json::from_slice(&ring.open_bytes(&purpose(site), &whole)?).ok()?;
        let bytes = |text: &str| <[u8; 16]>::try_from(URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let accounts = inside.a.into_iter().filter_map(|sealed| {
            Some(Remembered {
                account: AccountHash(bytes(&sealed.h)?),
                trust: sealed.t.map(Secret::new),
            })
        });
        Some(Self {
            id: DeviceId(bytes(&inside.i)?),
            accounts: accounts.take(MAX_ACCOUNTS).collect(),
            persistent: inside.l,
        })
    }
}

impl SealedDevice {
    /// The value as it is set and sent, of letters that need no quoting.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the cookie outlives the browser, for [`DEVICE_MAX_AGE`].
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

fn purpose(site: &str) -> String {
    format!("vestibule device\0{site}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> SealingKeys {
        SealingKeys::new(&[[1; 32]]).unwrap()
    }

    fn marks(number: u8) -> [AccountHash; 1] {
        [AccountHash([number; 16])]
    }

    #[test]
    fn a_device_opens_at_its_own_site_only() {
        let mut device = KnownDevice::new(DeviceId([9; 16]));
        device.record_login(&marks(1), Some(Secret::new("t")));
        assert!(
            !device
                .seal(&ring(), "store", [7; 12])
                .unwrap()
                .is_persistent()
        );
        device.persist();
        let sealed = device.seal(&ring(), "store", [7; 12]).unwrap();
        assert!(sealed.is_persistent());
        assert_eq!(
            KnownDevice::open(&ring(), "store", sealed.as_str()),
            Some(device.clone())
        );
        assert_eq!(KnownDevice::open(&ring(), "forum", sealed.as_str()), None);
        assert_eq!(
            KnownDevice::open(
                &SealingKeys::new(&[[2; 32]]).unwrap(),
                "store",
                sealed.as_str()
            ),
            None
        );
        let rotated = SealingKeys::new(&[[2; 32], [1; 32]]).unwrap();
        assert_eq!(
            KnownDevice::open(&rotated, "store", sealed.as_str()),
            Some(device)
        );
        for junk in ["", "AAAA", "no base64!", &"A".repeat(9000)] {
            assert_eq!(KnownDevice::open(&ring(), "store", junk), None);
        }
    }

    #[test]
    fn eight_accounts_stay_and_the_least_recent_goes() {
        let mut device = KnownDevice::new(DeviceId([9; 16]));
        for number in 0..8 {
            device.record_login(&marks(number), Some(Secret::new(format!("t{number}"))));
        }
        // Signing in again makes it the most recent, and keeps what the provider said.
        device.record_login(&marks(0), None);
        device.record_login(&marks(8), None);
        assert!(!device.knows(&marks(1)));
        assert_eq!(device.trust_id(&marks(0)).map(Secret::expose), Some("t0"));
        assert_eq!(
            (device.knows(&marks(8)), device.trust_id(&marks(8))),
            (true, None)
        );
        device.clear_trust(&marks(0));
        assert_eq!(
            (device.knows(&marks(0)), device.trust_id(&marks(0))),
            (true, None)
        );
    }

    #[test]
    fn the_fullest_is_one_cookie() {
        let mut device = KnownDevice::new(DeviceId([9; 16]));
        for number in 0..20 {
            device.record_login(
                &marks(number),
                Some(Secret::new("\u{e9}".repeat(MAX_TRUST_ID / 2))),
            );
        }
        let sealed = device.seal(&ring(), "store", [7; 12]).unwrap();
        assert!(
            sealed.as_str().len() <= MAX_CHUNK,
            "{}",
            sealed.as_str().len()
        );
        assert_eq!(
            KnownDevice::open(&ring(), "store", sealed.as_str()),
            Some(device.clone())
        );
        device.record_login(&marks(1), Some(Secret::new("x".repeat(MAX_TRUST_ID + 1))));
        assert_eq!(
            (device.knows(&marks(1)), device.trust_id(&marks(1))),
            (true, None),
            "too long to be kept"
        );
    }

    #[test]
    fn an_account_is_known_by_the_mark_of_an_older_key() {
        let mut device = KnownDevice::new(DeviceId([9; 16]));
        let (old, new) = (AccountHash([1; 16]), AccountHash([2; 16]));
        device.record_login(&[old], Some(Secret::new("t")));
        assert!(device.knows(&[new, old]));
        device.record_login(&[new, old], None);
        assert_eq!(device.accounts.len(), 1, "under the new key from now on");
        assert_eq!(device.trust_id(&[new]).map(Secret::expose), Some("t"));
    }

    #[test]
    fn nothing_of_a_device_is_printed() {
        let mut device = KnownDevice::new(DeviceId([9; 16]));
        device.record_login(&marks(1), Some(Secret::new("leaky")));
        let sealed = device.seal(&ring(), "store", [7; 12]).unwrap();
        assert_eq!(
            format!("{device:?} {sealed:?} {:?}", marks(1)),
            "KnownDevice(1 accounts) SealedDevice [AccountHash]"
        );
    }
}
