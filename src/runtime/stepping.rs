//! What does the provider say to the step that follows a password? A challenge is opened, held by
//! one request at a time, and spent by what it led to.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::settings::{Backoff, Rate};
use crate::model::challenge::{
    Challenge, LoginOptions, MethodChoice, NextStep, OpenedChallenge, Step, StepSubmission,
};
use crate::model::credential::CredentialKind;
use crate::model::login::{FactorKind, LoginRefused, PendingStep};
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::SignedIn;
use crate::provider::{
    Device, LoginSuccess, NewPasswordAttempt, ProviderError, SecondFactorAttempt, Trust,
};
use crate::store::{LeaseKey, LeaseResult, Reservation, Settlement};
use crate::system;
use crate::telemetry::audit::{self, LoginIdHash};
use crate::telemetry::labels::Limit;

use super::leases::{self, Held, Turn};
use super::signing_in::{Carrier, LoginError};
use super::{RequestContext, Runtime, SiteRuntime};

/// One code in this time for one account: who presses the button twice is sent one.
const ONE_CODE: Rate = Rate {
    attempts: 1,
    per: Duration::from_secs(30),
    waits: Backoff::Fixed,
};
/// So many in this time: nobody's telephone is flooded.
const FEW_CODES: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(10 * 60),
    waits: Backoff::Fixed,
};
/// A step that another request takes at the moment is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An answer to the step that a sign-in waits for.
#[derive(Clone, Copy)]
pub struct Continuation<'a> {
    /// The sign-in.
    pub challenge: &'a Challenge,
    /// What was typed.
    pub answer: &'a StepSubmission,
    /// How the client will carry what it gets.
    pub kind: CredentialKind,
    /// The id of a session that a success replaces.
    pub session: Option<&'a str>,
    /// What the visitor signs in with.
    pub device: Device<'a>,
    /// The sealed device cookie of the browser that asks, as it came.
    pub known_as: Option<&'a str>,
}

impl Runtime {
    /// What is in a challenge that was brought back, where it is one of this site and step. Whether
    /// it is over is for others to say.
    #[must_use]
    pub fn open_challenge(
        &self,
        site_runtime: &SiteRuntime,
        step: Step,
        challenge: &Secret,
    ) -> Option<OpenedChallenge> {
        let opened = Challenge::open(
            &self.sealing,
            &site_runtime.site.name,
            step,
            challenge.expose(),
        )?;
        let shown = self.shown(site_runtime, &opened, challenge.clone())?;
        Some(OpenedChallenge {
            challenge: opened,
            shown,
        })
    }

    /// Asks the provider, within the limits on attempts.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn go_on(
        &self,
        context: RequestContext<'_>,
        next: Continuation<'_>,
    ) -> Result<SignedIn, LoginError> {
        let chosen = &next.challenge.chosen;
        let result = self.step(context, next).await;
        let result = result
            .map_err(|fault| self.with_next_step(context.site_runtime, chosen.clone(), fault));
        self.tell(context, &chosen.login_id, next.session, &result)
            .await;
        result
    }

    async fn step(
        &self,
        context: RequestContext<'_>,
        next: Continuation<'_>,
    ) -> Result<SignedIn, LoginError> {
        let Continuation {
            challenge,
            kind,
            known_as,
            ..
        } = next;
        let LoginOptions {
            login_id, remember, ..
        } = &challenge.chosen;
        let browser = self.browser(context.site_runtime, known_as, login_id);
        let places = self.take_places(context, login_id, browser.known()).await?;
        let held = match self.hold(context, challenge).await {
            Ok(held) => held,
            Err(fault) => {
                self.give_back(places).await;
                return Err(fault);
            }
        };
        let answer = self
            .shared
            .leases
            .during(&held, self.clock(), ask(context, next, browser.trust()))
            .await;
        self.settle(places, &answer).await;
        self.let_go(held, challenge, answer.as_ref().err()).await;
        self.admit(
            context,
            answer?,
            Carrier {
                kind,
                remember: *remember,
                browser,
            },
        )
        .await
    }

    /// Sends a code by the way that `choice` means; its position among the ways.
    ///
    /// # Errors
    /// [`LoginError`]: `rejected_input` for a choice that is none of this challenge's.
    pub async fn send_code(
        &self,
        context: RequestContext<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, LoginError> {
        let result = self.send(context, challenge, choice).await;
        let (at, account) = (
            context.audit_context(),
            LoginIdHash::of(&challenge.chosen.login_id),
        );
        match &result {
            Ok(_) => audit::code_sent(at, account),
            Err(fault) => audit::code_not_sent(at, account, fault.reason()),
        }
        result
    }

    async fn send(
        &self,
        context: RequestContext<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, LoginError> {
        let refused = |reason| LoginError::Refused(LoginRefused::because(reason));
        let way = challenge.open_choice(
            &self.sealing,
            &context.site_runtime.site.name,
            choice.expose(),
        );
        let chosen = way.and_then(|way| Some((way, challenge.methods().get(way)?)));
        let chosen = chosen.filter(|(_, method)| method.kind != FactorKind::Authenticator);
        let (way, method) = chosen.ok_or_else(|| refused(Reason::RejectedInput))?;
        let (PendingStep::SecondFactor { id, .. } | PendingStep::NewPassword { id }) =
            &challenge.awaited;
        let held = self.hold(context, challenge).await?;
        let places = match self
            .places_of_codes(context, &challenge.chosen.login_id)
            .await
        {
            Ok(places) => places,
            Err(fault) => {
                self.shared.leases.release(held).await;
                return Err(fault);
            }
        };
        let call = context.site_runtime.provider.send_code(id, &method.id);
        let answer = self.shared.leases.during(&held, self.clock(), call).await;
        let how = if answer.is_ok() {
            Settlement::Failed
        } else {
            Settlement::Released
        };
        self.settle_each(places.map(|place| (place, how))).await;
        match &answer {
            // A code that is on its way ends nothing.
            Ok(()) => self.shared.leases.release(held).await,
            Err(error) => self.let_go(held, challenge, Some(error)).await,
        }
        answer?;
        Ok(way)
    }

    /// The places of one code among those that may be sent for an account. What is sent stays
    /// counted.
    async fn places_of_codes(
        &self,
        context: RequestContext<'_>,
        login_id: &str,
    ) -> Result<[Reservation; 2], LoginError> {
        let keys = &self.shared.throttle_keys;
        let key = |what: &str| {
            keys.account(
                &format!("{what}\0{}", context.site_runtime.provider.name),
                login_id,
            )
        };
        let few = self
            .place(context, key("codes"), FEW_CODES, Limit::Account)
            .await?;
        match self
            .place(context, key("a code"), ONE_CODE, Limit::Account)
            .await
        {
            Ok(one) => Ok([few, one]),
            Err(fault) => {
                if let Err(error) = self
                    .shared
                    .stores
                    .throttles
                    .settle(few, Settlement::Released)
                    .await
                {
                    audit::store_failed(&error.0);
                }
                Err(fault)
            }
        }
    }

    /// Holds a challenge, so that it is answered once at a time, over all replicas, and leads to
    /// one success.
    async fn hold(
        &self,
        context: RequestContext<'_>,
        challenge: &Challenge,
    ) -> Result<Held, LoginError> {
        let leases = &self.shared.leases;
        let key = key_of(context.site_runtime, challenge);
        // The holder's calls, and those of one that takes over from a holder that died.
        let patience = context.site_runtime.provider.settings.timeout * 4 + leases::SPAN;
        let watch = system::stopwatch();
        loop {
            match leases.take(key, self.clock().now()).await {
                Turn::Ours(held) if leases.is_everybodys(&held) => return Ok(held),
                Turn::Ours(held) => {
                    leases.release(held).await;
                    return Err(LoginError::Trouble(Reason::StoreUnavailable));
                }
                Turn::Done(_) | Turn::Spent => {
                    return Err(LoginError::Refused(LoginRefused::because(
                        Reason::ChallengeExpired,
                    )));
                }
                Turn::Busy if watch.elapsed() > patience => {
                    return Err(LoginError::Trouble(Reason::ProviderUnavailable));
                }
                Turn::Busy => leases.changed(key, LOOK_EVERY).await,
            }
        }
    }

    /// Lets a challenge go: for another attempt, or for good where it led anywhere. A mark outlives
    /// the challenge.
    async fn let_go(&self, held: Held, challenge: &Challenge, error: Option<&ProviderError>) {
        if error.is_some_and(stays_usable) {
            self.shared.leases.release(held).await;
            return;
        }
        let now = self.clock().now();
        let landing = LeaseResult {
            sealed: Arc::default(),
            expires_at: now,
            reused_until: Some(challenge.ends),
        };
        self.shared.leases.land(held, landing, now).await;
    }

    /// A refusal with what is awaited sealed for the client; the provider's own ids go no further.
    pub(super) fn with_next_step(
        &self,
        site_runtime: &SiteRuntime,
        chosen: LoginOptions,
        fault: LoginError,
    ) -> LoginError {
        let LoginError::Refused(mut refused) = fault else {
            return fault;
        };
        let Some(awaited) = refused.awaited.take() else {
            return LoginError::Refused(refused);
        };
        let challenge = Challenge {
            id: URL_SAFE_NO_PAD.encode(system::random::<16>()),
            ends: self.clock().now().plus(awaited.step().lifetime()),
            awaited,
            chosen,
            change_reason: refused.change_reason.clone(),
        };
        let sealed = challenge.seal(&self.sealing, &site_runtime.site.name, system::random());
        match sealed.and_then(|sealed| self.shown(site_runtime, &challenge, sealed)) {
            Some(next) => {
                refused.next = Some(Box::new(next));
                LoginError::Refused(refused)
            }
            None => LoginError::Trouble(Reason::Internal),
        }
    }

    /// A challenge as its client knows it. `None` only if the cipher itself fails.
    fn shown(
        &self,
        site_runtime: &SiteRuntime,
        challenge: &Challenge,
        sealed: Secret,
    ) -> Option<NextStep> {
        let choice = |method| {
            challenge.seal_choice(
                &self.sealing,
                &site_runtime.site.name,
                method,
                system::random(),
            )
        };
        let methods = challenge.methods().iter().map(|method| {
            Some(MethodChoice {
                kind: method.kind,
                label: method.label.clone(),
                choice: choice(method)?,
            })
        });
        Some(NextStep {
            step: challenge.awaited.step(),
            challenge: sealed,
            methods: methods.collect::<Option<_>>()?,
            change_reason: challenge.change_reason.clone(),
        })
    }
}

async fn ask(
    context: RequestContext<'_>,
    next: Continuation<'_>,
    trust: Option<&Secret>,
) -> Result<LoginSuccess, ProviderError> {
    let Continuation {
        challenge,
        answer,
        kind,
        device,
        ..
    } = next;
    let (PendingStep::SecondFactor { id, .. } | PendingStep::NewPassword { id }) =
        &challenge.awaited;
    let (provider, application_id) = (
        &context.site_runtime.provider,
        context.site_runtime.site.application_id.as_str(),
    );
    let client_address = context.client;
    match answer {
        StepSubmission::Code { code, trust } => {
            // A client without cookies keeps no device.
            let kept = *trust && kind != CredentialKind::Bearer;
            let trust_device = if kept { Trust::Yes } else { Trust::No };
            let attempt = SecondFactorAttempt {
                id,
                code,
                application_id,
                client_address,
                device,
                trust_device,
            };
            provider.second_factor(attempt).await
        }
        StepSubmission::Password(password) => {
            let attempt = NewPasswordAttempt {
                id,
                password,
                application_id,
                client_address,
                device,
                trust,
            };
            provider.change_password(attempt).await
        }
    }
}

/// Whether the provider goes on waiting after this.
fn stays_usable(error: &ProviderError) -> bool {
    match error {
        ProviderError::Refused(refused) => {
            matches!(refused.reason, Reason::WrongCode | Reason::RejectedInput)
        }
        ProviderError::Unavailable(_) | ProviderError::Misconfigured(_) => true,
    }
}

fn key_of(site_runtime: &SiteRuntime, challenge: &Challenge) -> LeaseKey {
    let mut hash = Context::new(&SHA256);
    // The id is our own and of one length: nothing runs together.
    for part in [
        "vestibule challenge\0",
        &challenge.id,
        "\0",
        &site_runtime.site.name,
    ] {
        hash.update(part.as_bytes());
    }
    LeaseKey(hash.finish().as_ref().try_into().unwrap_or_default())
}
