//! What does the provider say to this password?

use std::sync::Arc;

use crate::config::settings::Rate;
use crate::model::api_call::TokenDelivery;
use crate::model::challenge::LoginOptions;
use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::device::DeviceId;
use crate::model::login::{Credentials, LoginRefused};
use crate::model::reason::Reason;
use crate::model::token::SignedIn;
use crate::provider::{Device, LoginAttempt, LoginSuccess, ProviderError};
use crate::store::{Reservation, ReserveError, Settlement, ThrottleKey};
use crate::telemetry::audit::{self, LoginIdHash};
use crate::telemetry::labels::Limit;

use super::devices::Browser;
use super::issuing::Fresh;
use super::provider_client::Unverified;
use super::{RequestContext, Runtime, checking};

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
pub enum LoginError {
    /// A definite answer for the person at the form.
    Refused(LoginRefused),
    /// No answer, or one that cannot be used.
    Trouble(Reason),
}

impl LoginError {
    /// Why, in one word.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused(refused) => refused.reason,
            Self::Trouble(reason) => *reason,
        }
    }
}

impl From<ProviderError> for LoginError {
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
    /// [`LoginError`].
    pub async fn sign_in(
        &self,
        context: RequestContext<'_>,
        attempt: Attempt<'_>,
    ) -> Result<SignedIn, LoginError> {
        let Credentials {
            login_id,
            remember,
            return_to,
            ..
        } = attempt.credentials;
        let tokens = if attempt.kind == CredentialKind::Bearer {
            TokenDelivery::Body
        } else {
            TokenDelivery::Cookie
        };
        let result = self.attempt(context, attempt).await.map_err(|fault| {
            let (login_id, return_to) = (login_id.clone(), return_to.clone());
            let chosen = LoginOptions {
                login_id,
                remember: *remember,
                tokens,
                return_to,
            };
            self.with_next_step(context.site_runtime, chosen, fault)
        });
        self.tell(context, login_id, attempt.session, &result).await;
        result
    }

    /// Tells the watchers what came of an attempt, and ends the session that a success replaces.
    pub(super) async fn tell(
        &self,
        context: RequestContext<'_>,
        login_id: &str,
        session: Option<&str>,
        result: &Result<SignedIn, LoginError>,
    ) {
        let (at, account) = (context.audit_context(), LoginIdHash::of(login_id));
        match result {
            Ok(signed_in) => {
                // Whoever knows the old id does not come along into the new session.
                if let Some(session) = session {
                    self.end_session(session).await;
                }
                context.site_runtime.metrics.signed_in();
                audit::signed_in(at, &signed_in.principal.identity.sub, account);
            }
            Err(fault) => {
                let reason = fault.reason();
                context.site_runtime.metrics.sign_in_refused(reason);
                audit::sign_in_refused(at, account, reason);
            }
        }
    }

    async fn attempt(
        &self,
        context: RequestContext<'_>,
        attempt: Attempt<'_>,
    ) -> Result<SignedIn, LoginError> {
        let Attempt {
            credentials,
            kind,
            known_as,
            ..
        } = attempt;
        let browser = self.browser(context.site_runtime, known_as, &credentials.login_id);
        let places = self
            .take_places(context, &credentials.login_id, browser.known())
            .await?;
        let question = LoginAttempt {
            login_id: &credentials.login_id,
            password: &credentials.password,
            application_id: &context.site_runtime.site.application_id,
            client_address: context.client,
            device: attempt.device,
            trust: browser.trust(),
        };
        let answer = context.site_runtime.provider.sign_in(question).await;
        self.settle(places, &answer).await;
        self.admit(
            context,
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
        context: RequestContext<'_>,
        admitted: LoginSuccess,
        carrier: Carrier,
    ) -> Result<SignedIn, LoginError> {
        let RequestContext { site_runtime, .. } = context;
        let Carrier {
            kind,
            remember,
            mut browser,
        } = carrier;
        let pair = admitted.tokens;
        // The provider took its time: its token may have been issued after the request came.
        let now = self.clock().now();
        let verified = site_runtime
            .provider
            .verify(pair.access.expose(), &site_runtime.site.application_id, now)
            .await;
        let verified =
            verified.map_err(|unverified| LoginError::Trouble(unusable(context, &unverified)))?;
        let generation = verified.generation;
        let principal = checking::principal(site_runtime, verified.claims, now)
            .ok_or(LoginError::Trouble(Reason::ProviderMisconfigured))?;
        let ticket = RefreshTicket {
            // Without a refresh token nothing is sealed, see `Runtime::issue`.
            refresh: pair
                .refresh
                .clone()
                .unwrap_or_else(|| crate::model::secret::Secret::new("")),
            sub: principal.identity.sub.clone(),
            session: principal.session.0.clone(),
            started: now,
            remember,
            session_hash: None,
        };
        let fresh = Fresh {
            pair: &pair,
            ticket: &ticket,
            principal: &principal,
            now,
        };
        let tokens = self
            .issue(site_runtime, kind, fresh)
            .await
            .map_err(LoginError::Trouble)?;
        let principal = Arc::new(principal);
        site_runtime
            .tokens
            .put(pair.access.expose(), generation, &principal);
        let device = match kind {
            CredentialKind::Bearer => None,
            CredentialKind::Jwt | CredentialKind::Session => {
                if remember {
                    browser.is_to_stay();
                }
                browser.signed_in(admitted.trust);
                self.sealed_device(site_runtime, &browser)
            }
        };
        Ok(SignedIn {
            tokens,
            principal,
            device,
        })
    }

    /// An account that signed in from this very browser before has a count of its own there:
    /// strangers who guess at it elsewhere cannot use that up.
    pub(super) async fn take_places(
        &self,
        context: RequestContext<'_>,
        login_id: &str,
        known: Option<DeviceId>,
    ) -> Result<Places, LoginError> {
        let login = self.settings.login;
        let keys = &self.shared.throttle_keys;
        let address = self
            .place(
                context,
                keys.address(context.client),
                login.address_limit,
                Limit::Address,
            )
            .await?;
        let scope = &context.site_runtime.provider.name;
        let account_key = known.map_or_else(
            || keys.account(scope, login_id),
            |device| keys.account_on(scope, login_id, device),
        );
        match self
            .place(context, account_key, login.account_limit, Limit::Account)
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
        context: RequestContext<'_>,
        key: ThrottleKey,
        rate: Rate,
        limit: Limit,
    ) -> Result<Reservation, LoginError> {
        match self
            .shared
            .stores
            .throttles
            .reserve(key, rate, context.now)
            .await
        {
            Ok(place) => Ok(place),
            Err(ReserveError::Throttled(wait)) => {
                context.site_runtime.metrics.throttled(limit);
                let mut refused = LoginRefused::because(Reason::Throttled);
                refused.retry_after = Some(wait.0);
                Err(LoginError::Refused(refused))
            }
            Err(ReserveError::Store(error)) => {
                audit::store_failed(&error.0);
                Err(LoginError::Trouble(Reason::StoreUnavailable))
            }
        }
    }

    pub(super) async fn settle(
        &self,
        places: Places,
        answer: &Result<LoginSuccess, ProviderError>,
    ) {
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
            if let Err(error) = self.shared.stores.throttles.settle(place, how).await {
                audit::store_failed(&error.0);
            }
        }
    }
}

/// A token that the provider has just issued and that does not hold.
fn unusable(context: RequestContext<'_>, unverified: &Unverified) -> Reason {
    let why = match unverified {
        Unverified::NoKeys => return Reason::ProviderUnavailable,
        Unverified::Expired(_) => "it has expired: compare the clocks",
        Unverified::Invalid => {
            "it does not verify: compare issuer, application_id and algorithms with the provider's"
        }
    };
    tracing::error!(
        site = context.site_runtime.site.name,
        provider = context.site_runtime.provider.name,
        why,
        "the provider's fresh token cannot be used"
    );
    Reason::ProviderMisconfigured
}
