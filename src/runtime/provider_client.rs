//! A provider with its keys and metrics. Every call is timed and counted.

use std::sync::Arc;

use crate::config::settings;
use crate::model::algorithm::Algorithm;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::TokenPair;
use crate::provider::jwks_cache::{JwksCache, Refreshed};
use crate::provider::verify::{Expectations, VerifiedClaims, VerifyError, verify};
use crate::provider::{
    LoginAttempt, LoginSuccess, NewPasswordAttempt, Provider, ProviderError, SecondFactorAttempt,
};
use crate::system;
use crate::telemetry::ProviderMetrics;
use crate::telemetry::labels::{CallResult, ProviderOperation};

/// A provider with its keys and metrics.
pub struct ProviderClient {
    /// Its name in the configuration.
    pub name: String,
    /// The keys that verify its tokens.
    pub keys: Arc<JwksCache>,
    pub(super) settings: settings::Provider,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) provider: Box<dyn Provider>,
    pub(super) metrics: Arc<ProviderMetrics>,
}

impl ProviderClient {
    /// What tells this provider from others in stored revocations and leases: its issuer, whatever
    /// name the configuration gives it.
    pub(super) fn realm(&self) -> &str {
        &self.settings.issuer
    }

    /// Verifies `token` for `audience`. Where its key is unknown, the keys are refreshed once.
    pub(super) async fn verify(
        &self,
        token: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Verified, VerifyTokenError> {
        let expect = Expectations {
            issuer: self.settings.issuer.clone(),
            audience: audience.to_owned(),
            algorithms: self.algorithms.clone(),
            leeway: self.settings.leeway,
        };
        let mut asked = false;
        loop {
            let keys = self.keys.current();
            let outcome = keys
                .as_ref()
                .map(|keys| (verify(token, keys, &expect, now), keys.generation()));
            match outcome {
                Some((Ok(claims), generation)) => return Ok(Verified { claims, generation }),
                Some((Err(VerifyError::Expired(claims)), _)) => {
                    return Err(VerifyTokenError::Expired(claims));
                }
                Some((Err(VerifyError::Invalid), _)) => return Err(VerifyTokenError::Invalid),
                Some((Err(VerifyError::UnknownKey), _)) if asked => {
                    return Err(VerifyTokenError::Invalid);
                }
                None if asked => return Err(VerifyTokenError::NoKeys),
                Some((Err(VerifyError::UnknownKey), _)) | None => {
                    asked = true;
                    self.refresh_for_unknown_key(now).await;
                }
            }
        }
    }

    /// Refreshes the keys because one is unknown, at most every ten seconds.
    async fn refresh_for_unknown_key(&self, now: Timestamp) {
        let watch = system::stopwatch();
        let refreshed = self
            .keys
            .refresh_for_unknown_key(&*self.provider, now)
            .await;
        self.count_keys(&refreshed, watch);
    }

    /// Refreshes the keys, without a limit on how often.
    pub(super) async fn refresh_keys(&self, now: Timestamp) -> Result<Refreshed, ProviderError> {
        let watch = system::stopwatch();
        let refreshed = self.keys.refresh(&*self.provider, now).await;
        self.count_keys(&refreshed, watch);
        refreshed
    }

    fn count_keys(&self, refreshed: &Result<Refreshed, ProviderError>, watch: std::time::Instant) {
        match refreshed {
            Ok(Refreshed::TooSoon) => {}
            Ok(Refreshed::Changed | Refreshed::Unchanged) => {
                self.metrics
                    .call(ProviderOperation::Keys, CallResult::Ok, watch.elapsed());
            }
            Err(error) => {
                tracing::warn!(provider = self.name, error = %cause(error), "the provider's keys could not be fetched");
                self.metrics
                    .call(ProviderOperation::Keys, result_of(error), watch.elapsed());
            }
        }
    }

    pub(super) async fn sign_in(
        &self,
        attempt: LoginAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.login(attempt).await;
        self.count(ProviderOperation::SignIn, &result, watch);
        result
    }

    /// [`Provider::second_factor`], timed and counted.
    ///
    /// # Errors
    /// The provider's.
    pub async fn second_factor(
        &self,
        attempt: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.second_factor(attempt).await;
        self.count(ProviderOperation::SignIn, &result, watch);
        result
    }

    /// [`Provider::send_code`], timed and counted.
    ///
    /// # Errors
    /// The provider's.
    pub async fn send_code(&self, id: &Secret, method: &Secret) -> Result<(), ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.send_code(id, method).await;
        self.count(ProviderOperation::SignIn, &result, watch);
        result
    }

    /// [`Provider::change_password`], timed and counted.
    ///
    /// # Errors
    /// The provider's.
    pub async fn change_password(
        &self,
        attempt: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.change_password(attempt).await;
        self.count(ProviderOperation::SignIn, &result, watch);
        result
    }

    pub(super) async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.refresh(refresh).await;
        self.count(ProviderOperation::Refresh, &result, watch);
        result
    }

    pub(super) async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError> {
        let watch = system::stopwatch();
        let result = self.provider.revoke(refresh).await;
        self.count(ProviderOperation::Revoke, &result, watch);
        result
    }

    fn count<T>(
        &self,
        operation: ProviderOperation,
        result: &Result<T, ProviderError>,
        watch: std::time::Instant,
    ) {
        let label = match result {
            Ok(_) => CallResult::Ok,
            Err(error) => result_of(error),
        };
        self.metrics.call(operation, label, watch.elapsed());
        match result {
            Err(ProviderError::Misconfigured(cause)) => {
                tracing::error!(
                    provider = self.name,
                    operation = operation.as_str(),
                    cause,
                    "the provider refuses the gateway"
                );
            }
            Err(ProviderError::Unavailable(cause)) => {
                tracing::warn!(
                    provider = self.name,
                    operation = operation.as_str(),
                    cause,
                    "the provider does not answer"
                );
            }
            Ok(_) | Err(ProviderError::Refused(_)) => {}
        }
    }
}

/// The claims of a token that verified, and the generation of the keys that verified it.
pub(super) struct Verified {
    pub(super) claims: VerifiedClaims,
    pub(super) generation: u64,
}

/// Why a token does not verify.
pub(super) enum VerifyTokenError {
    /// It verified until its `exp`.
    Expired(Box<VerifiedClaims>),
    /// It is malformed, not signed by this provider, or not for this audience.
    Invalid,
    /// The keys of the provider are missing, so nobody can tell.
    NoKeys,
}

/// The metric label of a call that failed.
pub(super) fn result_of(error: &ProviderError) -> CallResult {
    match error {
        ProviderError::Refused(_) => CallResult::Refused,
        ProviderError::Unavailable(_) => CallResult::Unavailable,
        ProviderError::Misconfigured(_) => CallResult::Misconfigured,
    }
}

fn cause(error: &ProviderError) -> &str {
    match error {
        ProviderError::Refused(refused) => refused.reason.as_str(),
        ProviderError::Unavailable(cause) | ProviderError::Misconfigured(cause) => cause,
    }
}
