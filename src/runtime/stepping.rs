//! What does the provider say to the step that follows a password? A challenge is opened, held by
//! one request at a time, and spent by what it led to.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::settings::{Rate, Waits};
use crate::model::challenge::{
    Challenge, Chosen, MethodChoice, NextStep, Opened, Step, StepAnswer,
};
use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::sign_in::{Awaited, FactorKind, SignInRefused};
use crate::model::token::SignedIn;
use crate::provider::{
    Admitted, Device, NewPasswordAttempt, ProviderError, SecondFactorAttempt, Trust,
};
use crate::store::{Landing, RenewalKey, Reservation, Settlement};
use crate::system;
use crate::telemetry::audit::{self, AccountHash};
use crate::telemetry::labels::Limit;

use super::leases::{self, Held, Turn};
use super::signing_in::{Carrier, SignInFault};
use super::{Caller, Guarded, Runtime};

/// One code in this time for one account: who presses the button twice is sent one.
const ONE_CODE: Rate = Rate {
    attempts: 1,
    per: Duration::from_secs(30),
    waits: Waits::Even,
};
/// So many in this time: nobody's telephone is flooded.
const FEW_CODES: Rate = Rate {
    attempts: 5,
    per: Duration::from_secs(10 * 60),
    waits: Waits::Even,
};
/// A step that another request takes at the moment is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An answer to the step that a sign-in waits for.
#[derive(Clone, Copy)]
pub struct Continuation<'a> {
    /// The sign-in.
    pub challenge: &'a Challenge,
    /// What was typed.
    pub answer: &'a StepAnswer,
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
        guarded: &Guarded,
        step: Step,
        challenge: &Secret,
    ) -> Option<Opened> {
        let opened = Challenge::open(&self.sealing, &guarded.site.name, step, challenge.expose())?;
        let shown = self.shown(guarded, &opened, challenge.clone())?;
        Some(Opened {
            challenge: opened,
            shown,
        })
    }

    /// Asks the provider, within the limits on attempts.
    ///
    /// # Errors
    /// [`SignInFault`].
    pub async fn go_on(
        &self,
        caller: Caller<'_>,
        next: Continuation<'_>,
    ) -> Result<SignedIn, SignInFault> {
        let chosen = &next.challenge.chosen;
        let result = self.step(caller, next).await;
        let result =
            result.map_err(|fault| self.with_next_step(caller.guarded, chosen.clone(), fault));
        self.tell(caller, &chosen.login_id, next.session, &result)
            .await;
        result
    }

    async fn step(
        &self,
        caller: Caller<'_>,
        next: Continuation<'_>,
    ) -> Result<SignedIn, SignInFault> {
        let Continuation {
            challenge,
            kind,
            known_as,
            ..
        } = next;
        let Chosen {
            login_id, remember, ..
        } = &challenge.chosen;
        let browser = self.browser(caller.guarded, known_as, login_id);
        let places = self.take_places(caller, login_id, browser.known()).await?;
        let held = match self.hold(caller, challenge).await {
            Ok(held) => held,
            Err(fault) => {
                self.give_back(places).await;
                return Err(fault);
            }
        };
        let answer = self
            .shared
            .leases
            .during(&held, self.clock(), ask(caller, next, browser.trust()))
            .await;
        self.settle(places, &answer).await;
        self.let_go(held, challenge, answer.as_ref().err()).await;
        self.admit(
            caller,
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
    /// [`SignInFault`]: `rejected_input` for a choice that is none of this challenge's.
    pub async fn send_code(
        &self,
        caller: Caller<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, SignInFault> {
        let result = self.send(caller, challenge, choice).await;
        let (at, account) = (
            caller.occasion(),
            AccountHash::of(&challenge.chosen.login_id),
        );
        match &result {
            Ok(_) => audit::code_sent(at, account),
            Err(fault) => audit::code_not_sent(at, account, fault.reason()),
        }
        result
    }

    async fn send(
        &self,
        caller: Caller<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, SignInFault> {
        let refused = |reason| SignInFault::Refused(SignInRefused::because(reason));
        let way = challenge.open_choice(&self.sealing, &caller.guarded.site.name, choice.expose());
        let chosen = way.and_then(|way| Some((way, challenge.methods().get(way)?)));
        let chosen = chosen.filter(|(_, method)| method.kind != FactorKind::Authenticator);
        let (way, method) = chosen.ok_or_else(|| refused(Reason::RejectedInput))?;
        let (Awaited::SecondFactor { id, .. } | Awaited::NewPassword { id }) = &challenge.awaited;
        let held = self.hold(caller, challenge).await?;
        let places = match self
            .places_of_codes(caller, &challenge.chosen.login_id)
            .await
        {
            Ok(places) => places,
            Err(fault) => {
                self.shared.leases.release(held).await;
                return Err(fault);
            }
        };
        let call = caller.guarded.provider.send_code(id, &method.id);
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
        caller: Caller<'_>,
        login_id: &str,
    ) -> Result<[Reservation; 2], SignInFault> {
        let keys = &self.shared.throttle_keys;
        let key = |what: &str| {
            keys.account(
                &format!("{what}\0{}", caller.guarded.provider.name),
                login_id,
            )
        };
        let few = self
            .place(caller, key("codes"), FEW_CODES, Limit::Account)
            .await?;
        match self
            .place(caller, key("a code"), ONE_CODE, Limit::Account)
            .await
        {
            Ok(one) => Ok([few, one]),
            Err(fault) => {
                if let Err(error) = self.shared.store.settle(few, Settlement::Released).await {
                    audit::store_failed(&error.0);
                }
                Err(fault)
            }
        }
    }

    /// Holds a challenge, so that it is answered once at a time, over all replicas, and leads to
    /// one success.
    async fn hold(&self, caller: Caller<'_>, challenge: &Challenge) -> Result<Held, SignInFault> {
        let leases = &self.shared.leases;
        let key = key_of(caller.guarded, challenge);
        // The holder's calls, and those of one that takes over from a holder that died.
        let patience = caller.guarded.provider.settings.timeout * 4 + leases::SPAN;
        let watch = system::stopwatch();
        loop {
            match leases.take(key, self.clock().now()).await {
                Turn::Ours(held) if leases.is_everybodys(&held) => return Ok(held),
                Turn::Ours(held) => {
                    leases.release(held).await;
                    return Err(SignInFault::Trouble(Reason::StoreUnavailable));
                }
                Turn::Done(_) | Turn::Spent => {
                    return Err(SignInFault::Refused(SignInRefused::because(
                        Reason::ChallengeExpired,
                    )));
                }
                Turn::Busy if watch.elapsed() > patience => {
                    return Err(SignInFault::Trouble(Reason::ProviderUnavailable));
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
        let landing = Landing {
            sealed: Arc::default(),
            until: now,
            spent_until: Some(challenge.ends),
        };
        self.shared.leases.land(held, landing, now).await;
    }

    /// A refusal with what is awaited sealed for the client; the provider's own ids go no further.
    pub(super) fn with_next_step(
        &self,
        guarded: &Guarded,
        chosen: Chosen,
        fault: SignInFault,
    ) -> SignInFault {
        let SignInFault::Refused(mut refused) = fault else {
            return fault;
        };
        let Some(awaited) = refused.awaited.take() else {
            return SignInFault::Refused(refused);
        };
        let challenge = Challenge {
            id: URL_SAFE_NO_PAD.encode(system::random::<16>()),
            ends: self.clock().now().plus(awaited.step().lifetime()),
            awaited,
            chosen,
            change_reason: refused.change_reason.clone(),
        };
        let sealed = challenge.seal(&self.sealing, &guarded.site.name, system::random());
        match sealed.and_then(|sealed| self.shown(guarded, &challenge, sealed)) {
            Some(next) => {
                refused.next = Some(Box::new(next));
                SignInFault::Refused(refused)
            }
            None => SignInFault::Trouble(Reason::Internal),
        }
    }

    /// A challenge as its client knows it. `None` only if the cipher itself fails.
    fn shown(&self, guarded: &Guarded, challenge: &Challenge, sealed: Secret) -> Option<NextStep> {
        let choice = |method| {
            challenge.seal_choice(&self.sealing, &guarded.site.name, method, system::random())
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
    caller: Caller<'_>,
    next: Continuation<'_>,
    trust: Option<&Secret>,
) -> Result<Admitted, ProviderError> {
    let Continuation {
        challenge,
        answer,
        kind,
        device,
        ..
    } = next;
    let (Awaited::SecondFactor { id, .. } | Awaited::NewPassword { id }) = &challenge.awaited;
    let (provider, application_id) = (
        &caller.guarded.provider,
        caller.guarded.site.application_id.as_str(),
    );
    let client_address = caller.client;
    match answer {
        StepAnswer::Code { code, trust } => {
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
        StepAnswer::Password(password) => {
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

fn key_of(guarded: &Guarded, challenge: &Challenge) -> RenewalKey {
    let mut hash = Context::new(&SHA256);
    // The id is our own and of one length: nothing runs together.
    for part in [
        "vestibule challenge\0",
        &challenge.id,
        "\0",
        &guarded.site.name,
    ] {
        hash.update(part.as_bytes());
    }
    RenewalKey(hash.finish().as_ref().try_into().unwrap_or_default())
}
