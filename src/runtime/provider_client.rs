//! A provider with its keys and metrics. Every call is timed and counted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::settings;
use crate::model::algorithm::Algorithm;
use crate::model::redirect_result::ProviderAddress;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::TokenPair;
use crate::provider::jwks_cache::{JwksCache, Refreshed, TokenOrigin};
use crate::provider::key_set::KeySet;
use crate::provider::logout_token::{
    ClaimError, LogoutExpectations, LogoutToken, LogoutTokenError, verify_logout_token,
};
use crate::provider::verify::id_token::{read_kept_id_token, verify_id_token};
use crate::provider::verify::{Expectations, VerifiedClaims, VerifyError, verify};
use crate::provider::webhook::{self, SignatureExpectations};
use crate::provider::{
    AuthorizationRequest, CodeExchange, EndSessionRequest, LoginAttempt, LoginSuccess,
    NewPasswordAttempt, Provider, ProviderError, SecondFactorAttempt,
};
use crate::system::{self, Clock};
use crate::telemetry::ProviderMetrics;
use crate::telemetry::labels::{CallResult, ProviderOperation};

use super::provider_call::{ProviderCall, log_failure, result_of};
use super::token_check::{IdToken, KeyLookup, Verified, VerifyTokenError};

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
    pub(super) clock: Clock,
}

impl ProviderClient {
    /// What tells this provider from others in stored revocations and leases: its issuer, whatever
    /// name the configuration gives it.
    pub(super) fn realm(&self) -> &str {
        &self.settings.issuer
    }

    /// Verifies a `token` for `audience` that a client presents. Where its key is unknown, the keys
    /// are refreshed once, at most every ten seconds.
    pub(super) async fn verify(
        &self,
        token: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Verified, VerifyTokenError> {
        let expect = self.expectations(audience);
        self.with_keys(TokenOrigin::Presented, |keys| {
            verify(token, keys, &expect, now)
        })
        .await
    }

    /// Verifies a `token` for `audience` that the provider itself has issued. Where its key is
    /// unknown, the keys are refreshed once.
    pub(super) async fn verify_issued(
        &self,
        token: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Verified, VerifyTokenError> {
        let expect = self.expectations(audience);
        self.with_keys(TokenOrigin::Issued, |keys| {
            verify(token, keys, &expect, now)
        })
        .await
    }

    /// Verifies an ID token that the provider has issued to the gateway's client. `nonce` is that
    /// of the login, `access` the access token that came with it, as far as they are known.
    pub(super) async fn verify_id_token(
        &self,
        id_token: IdToken<'_>,
        now: Timestamp,
    ) -> Result<Verified, VerifyTokenError> {
        let expect = id_token.expectations(&self.settings, &self.algorithms)?;
        self.with_keys(TokenOrigin::Issued, |keys| {
            verify_id_token(id_token.token, keys, &expect, now)
        })
        .await
    }

    /// The claims of the last ID token of a login, see [`read_kept_id_token`].
    pub(super) fn read_kept_id_token(
        &self,
        token: &str,
    ) -> Result<VerifiedClaims, VerifyTokenError> {
        let expect = IdToken::kept(token).expectations(&self.settings, &self.algorithms)?;
        read_kept_id_token(token, &expect).map_err(|_| VerifyTokenError::NotForUs)
    }

    /// Where a browser is sent to sign in. Counted where the provider must be asked for it.
    pub(super) async fn authorization_address(
        &self,
        request: AuthorizationRequest<'_>,
    ) -> Result<ProviderAddress, ProviderError> {
        let watch = system::stopwatch();
        let result = match self.provider.redirect() {
            Some(redirect) => redirect.authorization_address(request).await,
            None => Err(no_redirect()),
        };
        if result.is_err() {
            self.count(ProviderOperation::Keys, &result, watch);
        }
        result
    }

    /// [`RedirectSignIn::redeem`](crate::provider::RedirectSignIn::redeem), timed and counted.
    pub(super) async fn redeem(
        &self,
        exchange: CodeExchange<'_>,
    ) -> Result<LoginSuccess, ProviderError> {
        let watch = system::stopwatch();
        let result = match self.provider.redirect() {
            Some(redirect) => redirect.redeem(exchange).await,
            None => Err(no_redirect()),
        };
        self.count(ProviderOperation::SignIn, &result, watch);
        result
    }

    /// Where a browser is sent to sign out at the provider too.
    pub(super) fn end_session_address(
        &self,
        request: EndSessionRequest<'_>,
    ) -> Option<ProviderAddress> {
        self.provider.redirect()?.end_session_address(request)
    }

    /// Verifies the signature of a webhook's `body`. Where its key is unknown, the keys are
    /// refreshed as for a token that a client presents: anybody can send a webhook.
    pub(super) async fn verify_webhook(
        &self,
        signature: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyTokenError> {
        let expect = SignatureExpectations {
            algorithms: &self.algorithms,
            leeway: self.settings.leeway,
        };
        let verified = self.with_keys(TokenOrigin::Presented, |keys| {
            webhook::verify_signature(signature, body, keys, expect, now)
        });
        verified.await.map(|verified| verified.claims)
    }

    /// Verifies a logout token for one of `audiences`. Its keys are found as those of a webhook.
    pub(super) async fn verify_logout_token(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Result<LogoutToken, ClaimError>, VerifyTokenError> {
        let expect = LogoutExpectations {
            issuer: &self.settings.issuer,
            audiences,
            algorithms: &self.algorithms,
            leeway: self.settings.leeway,
        };
        let verified = self.with_keys(TokenOrigin::Presented, |keys| {
            match verify_logout_token(token, keys, expect, now) {
                Ok(token) => Ok(Ok(token)),
                Err(LogoutTokenError::Claim(error)) => Ok(Err(error)),
                Err(LogoutTokenError::Token(error)) => Err(error),
            }
        });
        verified.await.map(|verified| verified.claims)
    }

    fn expectations(&self, audience: &str) -> Expectations {
        Expectations {
            issuer: self.settings.issuer.clone(),
            audience: audience.to_owned(),
            client: self.own_client(audience).map(str::to_owned),
            algorithms: self.algorithms.clone(),
            leeway: self.settings.leeway,
        }
    }

    /// The client whose tokens are accepted by their `azp` alone. An operator who names another
    /// audience means that one.
    fn own_client(&self, audience: &str) -> Option<&str> {
        let is_oidc = matches!(self.settings.kind, settings::ProviderKind::Oidc { .. });
        let client = self.settings.client.as_ref().filter(|_| is_oidc)?;
        Some(client.id.as_str()).filter(|id| *id == audience)
    }

    /// Makes a check with the keys of the provider, again where they were refreshed for it.
    async fn with_keys<T>(
        &self,
        origin: TokenOrigin,
        check: impl Fn(&KeySet) -> Result<T, VerifyError>,
    ) -> Result<Verified<T>, VerifyTokenError> {
        let mut lookup = None;
        loop {
            let keys = self.keys.current();
            let error = match &keys {
                None => VerifyError::UnknownKey,
                Some(keys) => match check(keys) {
                    Ok(claims) => {
                        let generation = keys.generation();
                        return Ok(Verified { claims, generation });
                    }
                    Err(error) => error,
                },
            };
            if let (VerifyError::UnknownKey, None) = (&error, lookup) {
                let seen = keys.as_ref().map(|keys| keys.generation());
                lookup = Some(self.look_up_keys(origin, seen).await)
                    .filter(|lookup| *lookup != KeyLookup::Superseded);
                continue;
            }
            // Without any keys it makes no difference how the look-up went.
            return Err(VerifyTokenError::of(
                error,
                lookup.filter(|_| keys.is_some()),
            ));
        }
    }

    /// Whether verified claims say that their user is registered for this application.
    pub(super) fn confirms_registration(&self, claims: &VerifiedClaims, application: &str) -> bool {
        self.provider
            .confirms_registration(&claims.claims, application)
    }

    /// Refreshes the keys because one is unknown, and says how that went.
    async fn look_up_keys(&self, origin: TokenOrigin, seen: Option<u64>) -> KeyLookup {
        let watch = system::stopwatch();
        let refreshed = self
            .keys
            .refresh_for_unknown_key(&*self.provider, origin, seen, &|| self.clock.monotonic())
            .await;
        self.count_keys(&refreshed, watch);
        match refreshed {
            Ok(Refreshed::TooSoon) => KeyLookup::TooSoon,
            Ok(Refreshed::Superseded) => KeyLookup::Superseded,
            Ok(refreshed) if refreshed.is_current() => KeyLookup::Done,
            Ok(_) | Err(_) => KeyLookup::Failed,
        }
    }

    /// Refreshes the keys, without a limit on how often.
    pub(super) async fn refresh_keys(&self) -> Result<Refreshed, ProviderError> {
        let watch = system::stopwatch();
        let monotonic = || self.clock.monotonic();
        let refreshed = self.keys.refresh(&*self.provider, &monotonic).await;
        self.count_keys(&refreshed, watch);
        refreshed
    }

    fn count_keys(&self, refreshed: &Result<Refreshed, ProviderError>, watch: Instant) {
        match refreshed {
            Ok(
                Refreshed::Shared
                | Refreshed::SharedFailure
                | Refreshed::Superseded
                | Refreshed::TooSoon,
            ) => {}
            Ok(Refreshed::Changed | Refreshed::Unchanged) => {
                self.ended(ProviderOperation::Keys, CallResult::Ok, watch);
            }
            Err(error) => {
                tracing::warn!(provider = self.name, %error, "the provider's keys could not be fetched");
                self.ended(ProviderOperation::Keys, result_of(error), watch);
            }
        }
    }

    /// Counts a call, and records it with the request that it was made for. Returns how long it
    /// took.
    fn ended(&self, operation: ProviderOperation, result: CallResult, watch: Instant) -> Duration {
        let provider = &self.name;
        let call = ProviderCall {
            provider,
            operation,
            result,
        };
        let duration = call.record(watch);
        self.metrics.call(operation, result, duration);
        duration
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
        watch: Instant,
    ) {
        let label = match result {
            Ok(_) => CallResult::Ok,
            Err(error) => result_of(error),
        };
        let duration = self.ended(operation, label, watch);
        tracing::debug!(
            provider = self.name,
            operation = operation.as_str(),
            result = label.as_str(),
            duration_ms = duration.as_secs_f64() * 1e3,
            "the provider was called"
        );
        if let Err(error) = result {
            log_failure(&self.name, operation, error);
        }
    }
}

/// A site that signs in by redirect has a provider that does, or the configuration was refused.
fn no_redirect() -> ProviderError {
    ProviderError::Misconfigured("users of the provider do not sign in by redirect".into())
}
