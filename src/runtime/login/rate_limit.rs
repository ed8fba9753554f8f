//! Limits on attempts to sign in, per account and per client address, and on codes that are sent.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{self, Backoff, Rate};
use crate::model::known_device::DeviceId;
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::provider::{LoginSuccess, ProviderError};
use crate::runtime::request_context::RequestContext;
use crate::store::{
    Reservation, ReserveError, Settlement, ThrottleKey, ThrottleKeys, ThrottleStore,
};
use crate::telemetry::audit;
use crate::telemetry::labels::Limit;

use super::LoginError;

/// How often one account is sent a code: whoever presses the button twice gets one.
const CODE_INTERVAL: Rate = Rate {
    attempts: 1,
    per: Duration::from_secs(30),
    waits: Backoff::Fixed,
};
/// How many codes one account is sent in a while, so that nobody's telephone is flooded.
const CODE_QUOTA: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(10 * 60),
    waits: Backoff::Fixed,
};

/// Limits attempts to sign in.
pub struct RateLimiter {
    pub(in crate::runtime) store: Arc<dyn ThrottleStore>,
    pub(in crate::runtime) keys: Arc<ThrottleKeys>,
    pub(in crate::runtime) limits: settings::Login,
}

/// The permission for one attempt. It counts as failed unless it is recorded or released.
#[must_use = "a permit that is neither recorded nor released counts as a failed attempt"]
pub(super) struct Permits {
    account: Reservation,
    address: Reservation,
}

/// The permission for one attempt without a name. It counts as failed unless it is recorded.
#[must_use = "a permit that is not recorded counts as a failed attempt"]
pub(super) struct AddressPermit(Reservation);

/// Whether an attempt counts towards the limit of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// It does.
    Counted,
    /// It was none.
    None,
}

/// The permission to send one code.
#[must_use = "a permit that is not recorded counts as a code that was sent"]
pub(super) struct CodePermits {
    quota: Reservation,
    interval: Reservation,
}

impl RateLimiter {
    /// Acquires the permission for an attempt to sign in. An account that signed in from this
    /// device before has a limit of its own there, which strangers who guess elsewhere cannot use
    /// up.
    ///
    /// # Errors
    /// `throttled`, or `store_unavailable`.
    pub(super) async fn acquire(
        &self,
        context: RequestContext<'_>,
        login_id: &str,
        known_device: Option<DeviceId>,
    ) -> Result<Permits, LoginError> {
        let keys = &self.keys;
        let key = keys.address(context.client);
        let address = self
            .reserve(context, key, self.limits.address_limit, Limit::Address)
            .await?;
        let scope = &context.site_runtime.provider.name;
        let key = match known_device {
            Some(device) => keys.account_on(scope, login_id, device),
            None => keys.account(scope, login_id),
        };
        // Where this fails, the attempt stays counted for the address: a client that tries accounts
        // that are locked reaches the limit of its address.
        let account = self
            .reserve(context, key, self.limits.account_limit, Limit::Account)
            .await?;
        Ok(Permits { account, address })
    }

    /// Records what became of the attempt.
    pub(super) async fn record(
        &self,
        permits: Permits,
        answer: &Result<LoginSuccess, ProviderError>,
    ) {
        use Settlement::{Failed, Released, Succeeded};
        let (account, address) = match answer {
            Ok(_) => (Succeeded, Released),
            Err(ProviderError::Refused(refused))
                if matches!(
                    refused.reason,
                    Reason::InvalidCredentials | Reason::WrongCode
                ) =>
            {
                (Failed, Failed)
            }
            // The password was right, or nothing was learnt about it: nobody guessed.
            Err(
                ProviderError::Refused(_)
                | ProviderError::Unavailable(_)
                | ProviderError::Misconfigured(_),
            ) => (Released, Released),
        };
        self.settle(permits.account, account).await;
        self.settle(permits.address, address).await;
    }

    /// Gives the permission back: there was no attempt.
    pub(super) async fn release(&self, permits: Permits) {
        self.settle(permits.account, Settlement::Released).await;
        self.settle(permits.address, Settlement::Released).await;
    }

    /// Acquires the permission for an attempt to sign in without a name: the limit of the client's
    /// address alone.
    ///
    /// # Errors
    /// `throttled`, or `store_unavailable`.
    pub(super) async fn acquire_address(
        &self,
        context: RequestContext<'_>,
    ) -> Result<AddressPermit, LoginError> {
        let key = self.keys.address(context.client);
        let limit = self.limits.address_limit;
        let reserved = self.reserve(context, key, limit, Limit::Address).await?;
        Ok(AddressPermit(reserved))
    }

    /// Records what became of the attempt.
    pub(super) async fn record_address(&self, permit: AddressPermit, guess: Guess) {
        let settlement = match guess {
            Guess::Counted => Settlement::Failed,
            Guess::None => Settlement::Released,
        };
        self.settle(permit.0, settlement).await;
    }

    /// Acquires the permission to send a code.
    ///
    /// # Errors
    /// `throttled`, or `store_unavailable`.
    pub(super) async fn acquire_code(
        &self,
        context: RequestContext<'_>,
        login_id: &str,
    ) -> Result<CodePermits, LoginError> {
        let key = |what: &str| {
            let scope = format!("{what}\0{}", context.site_runtime.provider.name);
            self.keys.account(&scope, login_id)
        };
        let quota = self
            .reserve(context, key("codes"), CODE_QUOTA, Limit::Account)
            .await?;
        let interval = self.reserve(context, key("a code"), CODE_INTERVAL, Limit::Account);
        match interval.await {
            Ok(interval) => Ok(CodePermits { quota, interval }),
            Err(error) => {
                self.settle(quota, Settlement::Released).await;
                Err(error)
            }
        }
    }

    /// Records whether the code was sent. One that was stays counted.
    pub(super) async fn record_code(
        &self,
        permits: CodePermits,
        answer: &Result<(), ProviderError>,
    ) {
        let settlement = match answer {
            Ok(()) => Settlement::Failed,
            Err(_) => Settlement::Released,
        };
        self.settle(permits.quota, settlement).await;
        self.settle(permits.interval, settlement).await;
    }

    async fn reserve(
        &self,
        context: RequestContext<'_>,
        key: ThrottleKey,
        rate: Rate,
        limit: Limit,
    ) -> Result<Reservation, LoginError> {
        match self.store.reserve(key, rate, context.now).await {
            Ok(reservation) => Ok(reservation),
            Err(ReserveError::Throttled(wait)) => {
                context.site_runtime.metrics.throttled(limit);
                let mut refused = LoginRefused::new(Reason::Throttled);
                refused.retry_after = Some(wait.0);
                Err(LoginError::Refused(refused))
            }
            Err(ReserveError::Store(error)) => {
                audit::store_failed(&error.0);
                Err(LoginError::Unavailable(Reason::StoreUnavailable))
            }
        }
    }

    async fn settle(&self, reservation: Reservation, settlement: Settlement) {
        if let Err(error) = self.store.settle(reservation, settlement).await {
            audit::store_failed(&error.0);
        }
    }
}
