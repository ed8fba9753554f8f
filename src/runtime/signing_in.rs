//! What does the provider say to this password?

use std::sync::Arc;

use crate::config::settings::Rate;
use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::device::DeviceId;
use crate::model::reason::Reason;
use crate::model::sign_in::{Credentials, SignInRefused};
use crate::model::token::SignedIn;
use crate::provider::{Admitted, Device, ProviderError, SignInAttempt};
use crate::store::{NoPlace, Reservation, Settlement, ThrottleKey};
use crate::telemetry::audit::{self, AccountHash};
use crate::telemetry::labels::Limit;

use super::issuing::Fresh;
use super::vouching::Unverified;
use super::{Caller, Runtime, checking};

/// One attempt to sign in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// What was typed.
    pub credentials: &'a Credentials,
    /// How the client will carry what it gets.
    pub kind: CredentialKind,
    /// The id of a session that a success replaces.
    pub session: Option<&'a str>,
    /// What the visitor signs in with.
    pub device: Device<'a>,
    /// The sealed device cookie of the browser that asks, as it came.
    pub known_as: Option<&'a str>,
}

/// Why nobody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInFault {
    /// A definite answer for the person at the form.
    Refused(SignInRefused),
    /// No answer, or one that cannot be used.
    Trouble(Reason),
}

/// The places an attempt holds while it is in flight.
struct Places {
    account: Reservation,
    address: Reservation,
}

impl Runtime {
    /// Asks the provider, within the limits on attempts.
    ///
    /// # Errors
    /// [`SignInFault`].
    pub async fn sign_in(&self, caller: Caller<'_>, attempt: Attempt<'_>) -> Result<SignedIn, SignInFault> {
        let result = self.attempt(caller, attempt).await;
        let (at, account) = (caller.occasion(), AccountHash::of(&attempt.credentials.login_id));
        match &result {
            Ok(signed_in) => {
                // Whoever knows the old id does not come along into the new session.
                if let Some(session) = attempt.session {
                    self.end_session(session).await;
                }
                caller.guarded.metrics.signed_in();
                audit::signed_in(at, &signed_in.visitor.identity.sub, account);
            }
            Err(fault) => {
                let reason = match fault {
                    SignInFault::Refused(refused) => refused.reason,
                    SignInFault::Trouble(reason) => *reason,
                };
                caller.guarded.metrics.sign_in_refused(reason);
                audit::sign_in_refused(at, account, reason);
            }
        }
        result
    }

    async fn attempt(&self, caller: Caller<'_>, attempt: Attempt<'_>) -> Result<SignedIn, SignInFault> {
        let Caller { guarded, .. } = caller;
        let Attempt { credentials, kind, known_as, .. } = attempt;
        let mut browser = self.browser(guarded, known_as, &credentials.login_id);
        let places = self.take_places(caller, &credentials.login_id, browser.known()).await?;
        let question = SignInAttempt {
            login_id: &credentials.login_id,
            password: &credentials.password,
            application_id: &guarded.site.application_id,
            client_address: caller.client,
            device: attempt.device,
            trust: browser.trust(),
        };
        let answer = guarded.provider.sign_in(question).await;
        self.settle(places, &answer).await;
        let admitted = answer.map_err(|error| match error {
            ProviderError::Refused(refused) => SignInFault::Refused(refused),
            ProviderError::Unavailable(_) => SignInFault::Trouble(Reason::ProviderUnavailable),
            ProviderError::Misconfigured(_) => SignInFault::Trouble(Reason::ProviderMisconfigured),
        })?;
        let pair = admitted.tokens;
        // The provider took its time: its token may have been issued after the request came.
        let now = self.clock().now();
        let verified = guarded.provider.verify(pair.access.expose(), &guarded.site.application_id, now).await;
        let verified = verified.map_err(|unverified| SignInFault::Trouble(unusable(caller, &unverified)))?;
        let generation = verified.generation;
        let visitor = checking::visitor(guarded, verified.claims, now)
            .ok_or(SignInFault::Trouble(Reason::ProviderMisconfigured))?;
        let ticket = RefreshTicket {
            // Without a refresh token nothing is sealed, see `Runtime::issue`.
            refresh: pair.refresh.clone().unwrap_or_else(|| crate::model::secret::Secret::new("")),
            sub: visitor.identity.sub.clone(),
            session: visitor.session.0.clone(),
            started: now,
            remember: credentials.remember,
            begun: None,
        };
        let fresh = Fresh { pair: &pair, ticket: &ticket, visitor: &visitor, now };
        let tokens = self.issue(guarded, kind, fresh).await.map_err(SignInFault::Trouble)?;
        let visitor = Arc::new(visitor);
        guarded.tokens.put(pair.access.expose(), generation, &visitor);
        let device = match kind {
            CredentialKind::Bearer => None,
            CredentialKind::Jwt | CredentialKind::Session => {
                browser.signed_in(admitted.trust);
                self.sealed_device(guarded, &browser)
            }
        };
        Ok(SignedIn { tokens, visitor, device })
    }

    /// An account that signed in from this very browser before has a count of its own there: strangers who guess at it
    /// elsewhere cannot use that up.
    async fn take_places(
        &self,
        caller: Caller<'_>,
        login_id: &str,
        known: Option<DeviceId>,
    ) -> Result<Places, SignInFault> {
        let login = self.settings.login;
        let keys = &self.shared.throttle_keys;
        let address = self.place(caller, keys.address(caller.client), login.address_limit, Limit::Address).await?;
        let scope = &caller.guarded.provider.name;
        let account_key =
            known.map_or_else(|| keys.account(scope, login_id), |device| keys.account_on(scope, login_id, device));
        match self.place(caller, account_key, login.account_limit, Limit::Account).await {
            Ok(account) => Ok(Places { account, address }),
            // The place of the address stays taken: whoever tries locked names goes on counting as one address.
            Err(fault) => Err(fault),
        }
    }

    async fn place(
        &self,
        caller: Caller<'_>,
        key: ThrottleKey,
        rate: Rate,
        limit: Limit,
    ) -> Result<Reservation, SignInFault> {
        match self.shared.store.reserve(key, rate, caller.now).await {
            Ok(place) => Ok(place),
            Err(NoPlace::Throttled(wait)) => {
                caller.guarded.metrics.throttled(limit);
                let mut refused = SignInRefused::because(Reason::Throttled);
                refused.retry_after = Some(wait.0);
                Err(SignInFault::Refused(refused))
            }
            Err(NoPlace::Store(error)) => {
                audit::store_failed(&error.0);
                Err(SignInFault::Trouble(Reason::StoreUnavailable))
            }
        }
    }

    async fn settle(&self, places: Places, answer: &Result<Admitted, ProviderError>) {
        use Settlement::{Failed, Released, Succeeded};
        let (account, address) = match answer {
            Ok(_) => (Succeeded, Released),
            // Right password, but: nobody guessed.
            Err(ProviderError::Refused(refused)) if refused.reason != Reason::InvalidCredentials => {
                (Released, Released)
            }
            Err(ProviderError::Refused(_)) => (Failed, Failed),
            Err(ProviderError::Unavailable(_) | ProviderError::Misconfigured(_)) => (Released, Released),
        };
        for (place, how) in [(places.account, account), (places.address, address)] {
            if let Err(error) = self.shared.store.settle(place, how).await {
                audit::store_failed(&error.0);
            }
        }
    }
}

/// A token that the provider has just issued and that does not hold.
fn unusable(caller: Caller<'_>, unverified: &Unverified) -> Reason {
    let why = match unverified {
        Unverified::NoKeys => return Reason::ProviderUnavailable,
        Unverified::Expired(_) => "it has expired: compare the clocks",
        Unverified::Invalid => "it does not verify: compare issuer, application_id and algorithms with the provider's",
    };
    tracing::error!(
        site = caller.guarded.site.name,
        provider = caller.guarded.provider.name,
        why,
        "the provider's fresh token cannot be used"
    );
    Reason::ProviderMisconfigured
}
