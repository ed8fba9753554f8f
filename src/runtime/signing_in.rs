//! What does the provider say to this password?

use std::sync::Arc;

use crate::config::settings::Rate;
use crate::model::api_call::TokensIn;
use crate::model::challenge::Chosen;
use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::device::DeviceId;
use crate::model::reason::Reason;
use crate::model::sign_in::{Credentials, SignInRefused};
use crate::model::token::SignedIn;
use crate::provider::{Admitted, Device, ProviderError, SignInAttempt};
use crate::store::{NoPlace, Reservation, Settlement, ThrottleKey};
use crate::telemetry::audit::{self, AccountHash};
use crate::telemetry::labels::Limit;

use super::devices::Browser;
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

impl SignInFault {
    /// Why, in one word.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused(refused) => refused.reason,
            Self::Trouble(reason) => *reason,
        }
    }
}

impl From<ProviderError> for SignInFault {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused(refused) => Self::Refused(refused),
            ProviderError::Unavailable(_) => Self::Trouble(Reason::ProviderUnavailable),
            ProviderError::Misconfigured(_) => Self::Trouble(Reason::ProviderMisconfigured),
        }
    }
}

/// Who carries what a sign-in brings.
pub(super) struct Carrier {
    pub(super) kind: CredentialKind,
    /// Whether the cookies outlive the browser.
    pub(super) remember: bool,
    pub(super) browser: Browser,
}

/// The places an attempt holds while it is in flight.
pub(super) struct Places {
    account: Reservation,
    address: Reservation,
}

impl Runtime {
    /// Asks the provider, within the limits on attempts.
    ///
    /// # Errors
    /// [`SignInFault`].
    pub async fn sign_in(
        &self,
        caller: Caller<'_>,
        attempt: Attempt<'_>,
    ) -> Result<SignedIn, SignInFault> {
        let Credentials {
            login_id,
            remember,
            return_to,
            ..
        } = attempt.credentials;
        let tokens = if attempt.kind == CredentialKind::Bearer {
            TokensIn::Body
        } else {
            TokensIn::Cookie
        };
        let result = self.attempt(caller, attempt).await.map_err(|fault| {
            let (login_id, return_to) = (login_id.clone(), return_to.clone());
            let chosen = Chosen {
                login_id,
                remember: *remember,
                tokens,
                return_to,
            };
            self.with_next_step(caller.guarded, chosen, fault)
        });
        self.tell(caller, login_id, attempt.session, &result).await;
        result
    }

    /// Tells the watchers what came of an attempt, and ends the session that a success replaces.
    pub(super) async fn tell(
        &self,
        caller: Caller<'_>,
        login_id: &str,
        session: Option<&str>,
        result: &Result<SignedIn, SignInFault>,
    ) {
        let (at, account) = (caller.occasion(), AccountHash::of(login_id));
        match result {
            Ok(signed_in) => {
                // Whoever knows the old id does not come along into the new session.
                if let Some(session) = session {
                    self.end_session(session).await;
                }
                caller.guarded.metrics.signed_in();
                audit::signed_in(at, &signed_in.visitor.identity.sub, account);
            }
            Err(fault) => {
                let reason = fault.reason();
                caller.guarded.metrics.sign_in_refused(reason);
                audit::sign_in_refused(at, account, reason);
            }
        }
    }

    async fn attempt(
        &self,
        caller: Caller<'_>,
        attempt: Attempt<'_>,
    ) -> Result<SignedIn, SignInFault> {
        let Attempt {
            credentials,
            kind,
            known_as,
            ..
        } = attempt;
        let browser = self.browser(caller.guarded, known_as, &credentials.login_id);
        let places = self
            .take_places(caller, &credentials.login_id, browser.known())
            .await?;
        let question = SignInAttempt {
            login_id: &credentials.login_id,
            password: &credentials.password,
            application_id: &caller.guarded.site.application_id,
            client_address: caller.client,
            device: attempt.device,
            trust: browser.trust(),
        };
        let answer = caller.guarded.provider.sign_in(question).await;
        self.settle(places, &answer).await;
        self.admit(
            caller,
            answer?,
            Carrier {
                kind,
                remember: credentials.remember,
                browser,
            },
        )
        .await
    }

    /// From what the provider gave to what the visitor carries.
    pub(super) async fn admit(
        &self,
        caller: Caller<'_>,
        admitted: Admitted,
        carrier: Carrier,
    ) -> Result<SignedIn, SignInFault> {
        let Caller { guarded, .. } = caller;
        let Carrier {
            kind,
            remember,
            mut browser,
        } = carrier;
        let pair = admitted.tokens;
        // The provider took its time: its token may have been issued after the request came.
        let now = self.clock().now();
        let verified = guarded
            .provider
            .verify(pair.access.expose(), &guarded.site.application_id, now)
            .await;
        let verified =
            verified.map_err(|unverified| SignInFault::Trouble(unusable(caller, &unverified)))?;
        let generation = verified.generation;
        let visitor = checking::visitor(guarded, verified.claims, now)
            .ok_or(SignInFault::Trouble(Reason::ProviderMisconfigured))?;
        let ticket = RefreshTicket {
            // Without a refresh token nothing is sealed, see `Runtime::issue`.
            refresh: pair
                .refresh
                .clone()
                .unwrap_or_else(|| crate::model::secret::Secret::new("")),
            sub: visitor.identity.sub.clone(),
            session: visitor.session.0.clone(),
            started: now,
            remember,
            begun: None,
        };
        let fresh = Fresh {
            pair: &pair,
            ticket: &ticket,
            visitor: &visitor,
            now,
        };
        let tokens = self
            .issue(guarded, kind, fresh)
            .await
            .map_err(SignInFault::Trouble)?;
        let visitor = Arc::new(visitor);
        guarded
            .tokens
            .put(pair.access.expose(), generation, &visitor);
        let device = match kind {
            CredentialKind::Bearer => None,
            CredentialKind::Jwt | CredentialKind::Session => {
                if remember {
                    browser.is_to_stay();
                }
                browser.signed_in(admitted.trust);
                self.sealed_device(guarded, &browser)
            }
        };
        Ok(SignedIn {
            tokens,
            visitor,
            device,
        })
    }

    /// An account that signed in from this very browser before has a count of its own there:
    /// strangers who guess at it elsewhere cannot use that up.
    pub(super) async fn take_places(
        &self,
        caller: Caller<'_>,
        login_id: &str,
        known: Option<DeviceId>,
    ) -> Result<Places, SignInFault> {
        let login = self.settings.login;
        let keys = &self.shared.throttle_keys;
        let address = self
            .place(
                caller,
                keys.address(caller.client),
                login.address_limit,
                Limit::Address,
            )
            .await?;
        let scope = &caller.guarded.provider.name;
        let account_key = known.map_or_else(
            || keys.account(scope, login_id),
            |device| keys.account_on(scope, login_id, device),
        );
        match self
            .place(caller, account_key, login.account_limit, Limit::Account)
            .await
        {
            Ok(account) => Ok(Places { account, address }),
            // The place of the address stays taken: whoever tries locked names goes on counting as
            // one address.
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn place(
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

    pub(super) async fn settle(&self, places: Places, answer: &Result<Admitted, ProviderError>) {
        use Settlement::{Failed, Released, Succeeded};
        let (account, address) = match answer {
            Ok(_) => (Succeeded, Released),
            // Right password, but: nobody guessed.
            Err(ProviderError::Refused(refused))
                if !matches!(
                    refused.reason,
                    Reason::InvalidCredentials | Reason::WrongCode
                ) =>
            {
                (Released, Released)
            }
            Err(ProviderError::Refused(_)) => (Failed, Failed),
            Err(ProviderError::Unavailable(_) | ProviderError::Misconfigured(_)) => {
                (Released, Released)
            }
        };
        self.settle_each([(places.account, account), (places.address, address)])
            .await;
    }

    /// Gives places back: nothing was attempted.
    pub(super) async fn give_back(&self, places: Places) {
        let Places { account, address } = places;
        self.settle_each([
            (account, Settlement::Released),
            (address, Settlement::Released),
        ])
        .await;
    }

    /// Tells what became of the attempts that hold these places.
    pub(super) async fn settle_each(&self, places: [(Reservation, Settlement); 2]) {
        for (place, how) in places {
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
        Unverified::Invalid => {
            "it does not verify: compare issuer, application_id and algorithms with the provider's"
        }
    };
    tracing::error!(
        site = caller.guarded.site.name,
        provider = caller.guarded.provider.name,
        why,
        "the provider's fresh token cannot be used"
    );
    Reason::ProviderMisconfigured
}
