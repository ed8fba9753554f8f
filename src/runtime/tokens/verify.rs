//! Verification of access tokens, cached per site.

use std::sync::Arc;

use crate::model::identity::Identity;
use crate::model::reason::Reason;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, TokenError};
use crate::provider::verify::VerifiedClaims;
use crate::runtime::request_context::RequestContext;
use crate::runtime::revocation::Revocation;
use crate::runtime::site::SiteRuntime;
use crate::runtime::token_check::VerifyTokenError;
use crate::runtime::tokens::cache::CachedToken;
use crate::telemetry::Metrics;
use crate::telemetry::labels::TokenCheck;

/// Why an access token or a session does not authenticate anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// It is expired, invalid or revoked.
    Token(TokenError),
    /// It could not be checked: the provider's keys are missing, or the store does not answer.
    Unavailable(Reason),
}

/// Verifies access tokens.
pub struct Tokens {
    revocation: Arc<Revocation>,
    metrics: Arc<Metrics>,
}

/// A credential that passed its check.
pub(in crate::runtime) struct Checked<T> {
    pub value: T,
    pub label: TokenCheck,
}

impl Tokens {
    /// Verifies tokens, and asks `revocation` which were revoked.
    pub(in crate::runtime) fn new(revocation: &Arc<Revocation>, metrics: &Arc<Metrics>) -> Self {
        Self {
            revocation: Arc::clone(revocation),
            metrics: Arc::clone(metrics),
        }
    }

    /// The principal of `token` at the site of `context`, from the cache where the token was
    /// verified before.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn verify(
        &self,
        context: RequestContext<'_>,
        token: &str,
    ) -> Result<Arc<Principal>, CredentialError> {
        let result = self.verify_cached(context, token).await;
        record(&self.metrics, &result);
        result.map(|checked| checked.value)
    }

    async fn verify_cached(
        &self,
        context: RequestContext<'_>,
        token: &str,
    ) -> Result<Checked<Arc<Principal>>, CredentialError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let generation = site_runtime
            .provider
            .keys
            .current()
            .map_or(0, |keys| keys.generation());
        let (verified, label) = match site_runtime.token_cache.get(token, generation, now) {
            Some(verified) => (verified, TokenCheck::Remembered),
            // Boxed: requests with a cached token do not carry the size of this future.
            None => (
                Box::pin(self.verify_and_cache(site_runtime, token, now)).await?,
                TokenCheck::Valid,
            ),
        };
        // Asked each time, so that a revocation has no cache to clear.
        self.revocation
            .check(&verified.revocation_ids, now)
            .map_err(CredentialError::Token)?;
        let value = Arc::clone(&verified.principal);
        Ok(Checked { value, label })
    }

    async fn verify_and_cache(
        &self,
        site_runtime: &SiteRuntime,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<CachedToken>, CredentialError> {
        let provider = &site_runtime.provider;
        match provider
            .verify(token, &site_runtime.site.application_id, now)
            .await
        {
            Ok(verified) => {
                let principal = principal(site_runtime, verified.claims, now)
                    .ok_or(CredentialError::Token(TokenError::Invalid))?;
                Ok(site_runtime.cache_token(token, verified.generation, &Arc::new(principal)))
            }
            Err(VerifyTokenError::Expired(claims)) => {
                // A revoked token stays revoked after its `exp`.
                let revoked = self.revocation.is_revoked(provider, &claims.session, now);
                Err(CredentialError::Token(if revoked {
                    TokenError::Revoked
                } else {
                    TokenError::Expired
                }))
            }
            // A client has made it up, or it is for somebody else.
            Err(
                VerifyTokenError::Invalid
                | VerifyTokenError::NotForUs
                | VerifyTokenError::TooLarge
                | VerifyTokenError::UnknownKey,
            ) => Err(CredentialError::Token(TokenError::Invalid)),
            // The provider may have changed its keys a moment ago.
            Err(VerifyTokenError::KeyNotLookedUp) => {
                Err(CredentialError::Token(TokenError::UnknownKey))
            }
            Err(VerifyTokenError::NoKeys) => {
                Err(CredentialError::Unavailable(Reason::ProviderUnavailable))
            }
            Err(VerifyTokenError::NotYetValid(_)) => {
                site_runtime.warn_of_clocks();
                Err(CredentialError::Unavailable(Reason::ProviderMisconfigured))
            }
        }
    }
}

/// Counts the check of a token or a session. A check that could not be made is not counted.
pub(in crate::runtime) fn record<T>(
    metrics: &Metrics,
    result: &Result<Checked<T>, CredentialError>,
) {
    metrics.token_checked(match result {
        Ok(checked) => checked.label,
        Err(CredentialError::Token(TokenError::Expired)) => TokenCheck::Expired,
        Err(CredentialError::Token(TokenError::Revoked)) => TokenCheck::Revoked,
        Err(CredentialError::Token(TokenError::Invalid)) => TokenCheck::Invalid,
        Err(CredentialError::Token(TokenError::UnknownKey) | CredentialError::Unavailable(_)) => {
            return;
        }
    });
}

/// The principal that verified claims describe; `None` where a claim that becomes a header holds
/// control characters.
pub(in crate::runtime) fn principal(
    site_runtime: &SiteRuntime,
    claims: VerifiedClaims,
    now: Timestamp,
) -> Option<Principal> {
    let names = &site_runtime.provider.settings.claims;
    let identity = Identity::from_named_claims(claims.claims, names)?;
    let headers = match site_runtime.site.identity_headers.render(&identity) {
        Ok(headers) => headers,
        Err(error) => {
            tracing::warn!(
                site = site_runtime.site.name,
                header = %error.header,
                "a claim holds control characters"
            );
            return None;
        }
    };
    Some(Principal {
        identity,
        issued_at: claims.issued.unwrap_or(now),
        expires_at: claims.expires,
        revocation_key: claims.session,
        identity_headers: headers,
    })
}
