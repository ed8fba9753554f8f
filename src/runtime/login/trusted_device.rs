//! The device cookie: which accounts signed in from a browser before, and which of them trust it.

use std::sync::Arc;

use crate::model::known_device::{AccountHash, DeviceId, KnownDevice, SealedDevice, TrustGiven};
use crate::model::sealing_keys::{KEY_BYTES, SealingKeys};
use crate::model::secret::Secret;
use crate::runtime::revocation::Revocation;
use crate::runtime::site::SiteRuntime;
use crate::store::ThrottleKeys;
use crate::system;

/// Opens and seals device cookies.
pub struct TrustedDevices {
    sealing: Arc<SealingKeys>,
    /// Hash the names of accounts, one for each sealing key, in their order.
    account_keys: Vec<ThrottleKeys>,
    revocation: Arc<Revocation>,
}

/// The browser of one attempt to sign in, as seen by the account that was typed.
pub(super) struct LoginDevice {
    device: KnownDevice,
    /// The hashes of the account, that of the newest key first.
    account: Vec<AccountHash>,
}

impl TrustedDevices {
    /// Seals with `sealing`, which was made from `keys`.
    pub(in crate::runtime) fn new(
        sealing: &Arc<SealingKeys>,
        keys: &[[u8; KEY_BYTES]],
        revocation: &Arc<Revocation>,
    ) -> Self {
        Self {
            sealing: Arc::clone(sealing),
            account_keys: keys.iter().map(|key| ThrottleKeys::shared(key)).collect(),
            revocation: Arc::clone(revocation),
        }
    }

    /// The browser that sent this device cookie; a new one where it sent none, or one that does not
    /// open. A trust that was given before everything of its user was revoked is forgotten.
    pub(super) fn open(
        &self,
        site_runtime: &SiteRuntime,
        cookie: Option<&str>,
        login_id: &str,
    ) -> LoginDevice {
        let site = &site_runtime.site.name;
        let opened = cookie.and_then(|text| KnownDevice::open(&self.sealing, site, text));
        let mut device = opened.unwrap_or_else(|| KnownDevice::new(DeviceId(system::random())));
        let account = self.account_hashes(site_runtime, login_id);
        let given = device
            .trust(&account)
            .and_then(|trust| trust.given.as_ref());
        if given.is_some_and(|given| self.revocation.is_trust_revoked(site_runtime, given)) {
            device.clear_trust(&account);
        }
        LoginDevice { device, account }
    }

    /// The hashes of the account with this name under every key, that of the newest key first.
    pub(in crate::runtime) fn account_hashes(
        &self,
        site_runtime: &SiteRuntime,
        login_id: &str,
    ) -> Vec<AccountHash> {
        let scope = &site_runtime.provider.name;
        self.account_keys
            .iter()
            .map(|keys| AccountHash(keys.account(scope, login_id).bytes()))
            .collect()
    }

    /// The new value of the device cookie. `None` only if the cipher fails: the browser stays
    /// unknown, which keeps nobody out.
    pub(super) fn seal(
        &self,
        site_runtime: &SiteRuntime,
        device: &LoginDevice,
    ) -> Option<SealedDevice> {
        device
            .device
            .seal(&self.sealing, &site_runtime.site.name, system::random())
    }
}

impl LoginDevice {
    /// The id of the device, where the account signed in from it before.
    pub fn known_id(&self) -> Option<DeviceId> {
        self.device.knows(&self.account).then(|| self.device.id())
    }

    /// The provider's proof that the account trusts the device, so that it may skip the second
    /// factor.
    pub fn trust(&self) -> Option<&Secret> {
        self.device.trust(&self.account).map(|trust| &trust.id)
    }

    /// Records that a user signed in to the account. `trust` is the new proof of the provider,
    /// where it gave one.
    pub fn record_login(&mut self, trust: Option<Secret>, by: TrustGiven) {
        if trust.is_some() {
            self.device.persist();
        }
        self.device.record_login(&self.account, trust, by);
    }

    /// Makes the cookie outlive the browser's session.
    pub fn persist(&mut self) {
        self.device.persist();
    }
}
