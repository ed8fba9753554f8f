//! The state of sign-in by redirect that is kept in memory.

use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::authorization_code::CodeGrant;
use super::clients::OpenIdSettings;
use crate::embedded::pending_logins::PendingLogins;
use crate::store::{MemoryThrottles, ThrottleKeys};
use crate::system;

/// How long a used authorization code is remembered, to notice that it is used again.
const CODE_MEMORY: Duration = Duration::from_secs(600);

/// The state of sign-in by redirect. After a restart who was in the middle of a sign-in begins
/// again.
pub struct OpenId {
    pub settings: ArcSwapOption<OpenIdSettings>,
    pub codes: PendingLogins<CodeGrant>,
    pub throttles: MemoryThrottles,
    pub throttle_keys: ThrottleKeys,
}

impl Default for OpenId {
    fn default() -> Self {
        Self {
            settings: ArcSwapOption::empty(),
            codes: PendingLogins::new(CODE_MEMORY),
            throttles: MemoryThrottles::new(),
            throttle_keys: ThrottleKeys::new(system::random()),
        }
    }
}
