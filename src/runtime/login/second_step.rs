//! The step that may follow the password: the code of a second factor, or a new password.
//!
//! A lease on the challenge makes sure that one request at a time answers it, over all replicas,
//! and that it leads to one success.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::model::challenge::Challenge;
use crate::model::credential::CredentialKind;
use crate::model::login::LoginRefused;
use crate::model::login_step::StepSubmission;
use crate::model::login_step::{FactorKind, PendingStep};
use crate::model::reason::Reason;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::provider::{
    Device, LoginSuccess, NewPasswordAttempt, ProviderError, SecondFactorAttempt, Trust,
};
use crate::runtime::refresh::lock::{Acquire, CLOCK_ALLOWANCE, LEASE_TTL, LeaseGuard, Leases};
use crate::runtime::request_context::RequestContext;
use crate::runtime::site::SiteRuntime;
use crate::store::{LeaseKey, LeaseResult};
use crate::system::Clock;

use super::LoginError;
use super::completion::{AcceptedDevice, AcceptedLogin};
use super::rate_limit::RateLimiter;
use super::trusted_device::TrustedDevices;

/// How often a challenge that another request has locked is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// An answer to the step that a sign-in waits for.
#[derive(Clone, Copy)]
pub struct StepAttempt<'a> {
    /// The sign-in.
    pub challenge: &'a Challenge,
    /// What was typed.
    pub answer: &'a StepSubmission,
    /// How the client will carry its tokens.
    pub kind: CredentialKind,
    /// The id of a session that a success replaces.
    pub replaces: Option<&'a str>,
    /// What is known about the client.
    pub device: Device<'a>,
    /// The sealed device cookie, as it came.
    pub device_cookie: Option<&'a str>,
}

/// Continues sign-ins after the password.
pub(in crate::runtime) struct SecondStep {
    pub rate_limiter: Arc<RateLimiter>,
    pub devices: Arc<TrustedDevices>,
    pub leases: Arc<Leases>,
    pub sealing: Arc<SealingKeys>,
    pub clock: Clock,
}

impl SecondStep {
    /// Asks the provider, within the limits on attempts.
    pub(super) async fn continue_login(
        &self,
        context: RequestContext<'_>,
        attempt: StepAttempt<'_>,
    ) -> Result<AcceptedLogin<'static>, LoginError> {
        let challenge = attempt.challenge;
        let login_id = &challenge.options.login_id;
        let device = self
            .devices
            .open(context.site_runtime, attempt.device_cookie, login_id);
        let permits = self
            .rate_limiter
            .acquire(context, login_id, device.known_id())
            .await?;
        let guard = match self.lock_challenge(context.site_runtime, challenge).await {
            Ok(guard) => guard,
            Err(error) => {
                self.rate_limiter.release(permits).await;
                return Err(error);
            }
        };
        let call = ask(context, attempt, device.trust());
        let answer = self.leases.with_heartbeat(&guard, call).await;
        self.rate_limiter.record(permits, &answer).await;
        self.release(guard, challenge, answer.as_ref().err()).await;
        Ok(AcceptedLogin {
            success: answer?,
            kind: attempt.kind,
            nonce: None,
            remember: challenge.options.remember,
            device: AcceptedDevice::Opened(device),
        })
    }

    /// Has a code sent by the method that `choice` stands for, and returns the position of the
    /// method among those of the challenge.
    pub(super) async fn send_code(
        &self,
        context: RequestContext<'_>,
        challenge: &Challenge,
        choice: &Secret,
    ) -> Result<usize, LoginError> {
        let site_runtime = context.site_runtime;
        let method = challenge
            .open_choice(&self.sealing, &site_runtime.site.name, choice.expose())
            .and_then(|index| Some((index, challenge.methods().get(index)?)))
            .filter(|(_, method)| method.kind != FactorKind::Authenticator);
        let (index, method) = method.ok_or_else(|| refused(Reason::RejectedInput))?;
        let (PendingStep::SecondFactor { id, .. } | PendingStep::NewPassword { id }) =
            &challenge.pending_step;
        let guard = self.lock_challenge(site_runtime, challenge).await?;
        let permits = self
            .rate_limiter
            .acquire_code(context, &challenge.options.login_id);
        let permits = match permits.await {
            Ok(permits) => permits,
            Err(error) => {
                self.leases.release(guard).await;
                return Err(error);
            }
        };
        let call = site_runtime.provider.send_code(id, &method.id);
        let answer = self.leases.with_heartbeat(&guard, call).await;
        self.rate_limiter.record_code(permits, &answer).await;
        match &answer {
            // A challenge whose code is on its way can still be answered.
            Ok(()) => self.leases.release(guard).await,
            Err(error) => self.release(guard, challenge, Some(error)).await,
        }
        answer?;
        Ok(index)
    }

    async fn lock_challenge(
        &self,
        site_runtime: &SiteRuntime,
        challenge: &Challenge,
    ) -> Result<LeaseGuard, LoginError> {
        let key = lease_key(site_runtime, challenge);
        // The calls of whoever holds the lease, and of whoever takes over if it dies.
        let patience = site_runtime.provider.settings.timeout * 4 + LEASE_TTL;
        let deadline = self.clock.monotonic() + patience;
        loop {
            match self.leases.acquire(key).await {
                Acquire::Acquired(guard) if self.leases.is_distributed(&guard) => {
                    return Ok(guard);
                }
                Acquire::Acquired(guard) => {
                    self.leases.release(guard).await;
                    return Err(LoginError::Unavailable(Reason::StoreUnavailable));
                }
                Acquire::Completed(_) | Acquire::Reused => {
                    return Err(refused(Reason::ChallengeExpired));
                }
                Acquire::Contended if self.clock.monotonic() > deadline => {
                    return Err(LoginError::Unavailable(Reason::ProviderUnavailable));
                }
                Acquire::Contended => self.leases.wait_for_change(key, RETRY_INTERVAL).await,
            }
        }
    }

    /// Releases a challenge for another attempt, or for good where the provider does not wait any
    /// more. Then the lease marks it as used until the challenge itself expires.
    async fn release(
        &self,
        guard: LeaseGuard,
        challenge: &Challenge,
        error: Option<&ProviderError>,
    ) {
        if error.is_some_and(provider_still_waits) {
            self.leases.release(guard).await;
            return;
        }
        let left = self.clock.now().until(challenge.expires);
        let result = LeaseResult {
            sealed: Arc::default(),
            ttl: Duration::ZERO,
            // A replica whose clock is behind takes the challenge for longer.
            reuse_ttl: Some(left + CLOCK_ALLOWANCE),
        };
        self.leases.complete(guard, result).await;
    }
}

async fn ask(
    context: RequestContext<'_>,
    attempt: StepAttempt<'_>,
    trust: Option<&Secret>,
) -> Result<LoginSuccess, ProviderError> {
    let (PendingStep::SecondFactor { id, .. } | PendingStep::NewPassword { id }) =
        &attempt.challenge.pending_step;
    let provider = &context.site_runtime.provider;
    let application_id = context.site_runtime.site.application_id.as_str();
    let (client_address, device) = (context.client, attempt.device);
    match attempt.answer {
        StepSubmission::Code {
            code,
            trust_device: trust,
        } => {
            // A client without cookies cannot keep the proof of trust.
            let keeps = *trust && attempt.kind != CredentialKind::Bearer;
            let question = SecondFactorAttempt {
                id,
                code,
                application_id,
                client_address,
                device,
                trust_device: if keeps { Trust::Yes } else { Trust::No },
            };
            provider.second_factor(question).await
        }
        StepSubmission::Password(password) => {
            let question = NewPasswordAttempt {
                id,
                password,
                application_id,
                client_address,
                device,
                trust,
            };
            provider.change_password(question).await
        }
    }
}

fn refused(reason: Reason) -> LoginError {
    LoginError::Refused(LoginRefused::new(reason))
}

/// Whether the provider still waits for the step after this error.
fn provider_still_waits(error: &ProviderError) -> bool {
    match error {
        ProviderError::Refused(refused) => {
            matches!(refused.reason, Reason::WrongCode | Reason::RejectedInput)
        }
        ProviderError::Unavailable(_) | ProviderError::Misconfigured(_) => true,
    }
}

fn lease_key(site_runtime: &SiteRuntime, challenge: &Challenge) -> LeaseKey {
    let mut hash = Context::new(&SHA256);
    // The id is the gateway's own and of fixed length: two inputs cannot run together.
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
