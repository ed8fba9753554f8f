//! The browser that an attempt to sign in comes from, and whether the account signed in from it
//! before.

use crate::model::device::{AccountMark, DeviceId, KnownDevice, SealedDevice};
use crate::model::secret::Secret;
use crate::system;

use super::{Guarded, Runtime};

/// The browser of one attempt, and the account that was typed.
pub(super) struct Browser {
    device: KnownDevice,
    /// The account's marks, the newest key's first.
    marks: Vec<AccountMark>,
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
            self.device.make_lasting();
        }
        self.device.put(&self.marks, trust);
    }

    /// The person wishes to stay signed in here.
    pub(super) fn is_to_stay(&mut self) {
        self.device.make_lasting();
    }
}

impl Runtime {
    /// The browser that came with `presented`; a new one where that is nothing, or does not open.
    pub(super) fn browser(
        &self,
        guarded: &Guarded,
        presented: Option<&str>,
        login_id: &str,
    ) -> Browser {
        let opened =
            presented.and_then(|text| KnownDevice::open(&self.sealing, &guarded.site.name, text));
        let device = opened.unwrap_or_else(|| KnownDevice::new(DeviceId(system::random())));
        Browser {
            device,
            marks: self.marks(guarded, login_id),
        }
    }

    /// What the account of this name is known by on devices, under every key there is, the newest
    /// first.
    pub(super) fn marks(&self, guarded: &Guarded, login_id: &str) -> Vec<AccountMark> {
        let scope = &guarded.provider.name;
        self.device_marks
            .iter()
            .map(|keys| AccountMark(keys.account(scope, login_id).bytes()))
            .collect()
    }

    /// The value of the device cookie from now on. Without one the browser stays a stranger, which
    /// keeps nobody out.
    pub(super) fn sealed_device(
        &self,
        guarded: &Guarded,
        browser: &Browser,
    ) -> Option<SealedDevice> {
        browser
            .device
            .seal(&self.sealing, &guarded.site.name, system::random())
    }
}
