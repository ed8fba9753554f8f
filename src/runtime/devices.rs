//! The browser that an attempt to sign in comes from, and whether the account signed in from it
//! before.

use crate::model::device::{AccountHash, DeviceId, KnownDevice, SealedDevice};
use crate::model::secret::Secret;
use crate::system;

use super::{Runtime, SiteRuntime};

/// The browser of one attempt, and the account that was typed.
pub(super) struct Browser {
    device: KnownDevice,
    /// The account's marks, the newest key's first.
    marks: Vec<AccountHash>,
}

impl Browser {
    /// Which device this is, where the account signed in from it before.
    pub(super) fn known(&self) -> Option<DeviceId> {
        self.device.knows(&self.marks).then(|| self.device.id())
    }

    /// What the provider is shown so that it may leave out the account's second factor.
    pub(super) fn trust(&self) -> Option<&Secret> {
        self.device.trust(&self.marks)
    }

    /// The account signed in; `trust` is the provider's new word for this browser, where it gave
    /// one.
    pub(super) fn signed_in(&mut self, trust: Option<Secret>) {
        if trust.is_some() {
            self.device.persist();
        }
        self.device.put(&self.marks, trust);
    }

    /// The person wishes to stay signed in here.
    pub(super) fn is_to_stay(&mut self) {
        self.device.persist();
    }
}

impl Runtime {
    /// The browser that came with `presented`; a new one where that is nothing, or does not open.
    pub(super) fn browser(
        &self,
        site_runtime: &SiteRuntime,
        presented: Option<&str>,
        login_id: &str,
    ) -> Browser {
        let opened = presented
            .and_then(|text| KnownDevice::open(&self.sealing, &site_runtime.site.name, text));
        let device = opened.unwrap_or_else(|| KnownDevice::new(DeviceId(system::random())));
        Browser {
            device,
            marks: self.marks(site_runtime, login_id),
        }
    }

    /// What the account of this name is known by on devices, under every key there is, the newest
    /// first.
    pub(super) fn marks(&self, site_runtime: &SiteRuntime, login_id: &str) -> Vec<AccountHash> {
        let scope = &site_runtime.provider.name;
        self.device_marks
            .iter()
            .map(|keys| AccountHash(keys.account(scope, login_id).bytes()))
            .collect()
    }

    /// The value of the device cookie from now on. Without one the browser stays a stranger, which
    /// keeps nobody out.
    pub(super) fn sealed_device(
        &self,
        site_runtime: &SiteRuntime,
        browser: &Browser,
    ) -> Option<SealedDevice> {
        browser
            .device
            .seal(&self.sealing, &site_runtime.site.name, system::random())
    }
}
