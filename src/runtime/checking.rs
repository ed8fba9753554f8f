//! Does this access token prove somebody?

use std::sync::Arc;

use crate::model::identity::Identity;
use crate::model::reason::Reason;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, TokenError};
use crate::provider::verify::VerifiedClaims;
use crate::telemetry::labels::TokenCheck;

use super::provider_client::Unverified;
use super::{RequestContext, Runtime, SiteRuntime};

/// Why a token proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// It is not good.
    Token(TokenError),
    /// Nobody can say: the provider's keys are not there.
    Trouble(Reason),
}

impl Runtime {
    /// Whom `token` proves at the caller's site: remembered, or verified now.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn check(
        &self,
        context: RequestContext<'_>,
        token: &str,
    ) -> Result<Arc<Principal>, CredentialError> {
        let result = self.look(context, token).await;
        self.counted(result)
    }

    /// Counts a look at a token or a session.
    pub(super) fn counted<T>(
        &self,
        result: Result<(T, TokenCheck), CredentialError>,
    ) -> Result<T, CredentialError> {
        let label = match &result {
            Ok((_, label)) => *label,
            Err(CredentialError::Token(TokenError::Expired)) => TokenCheck::Expired,
            Err(CredentialError::Token(TokenError::Revoked)) => TokenCheck::Revoked,
            Err(CredentialError::Token(TokenError::Invalid)) => TokenCheck::Invalid,
            // Not looked at: nothing to count.
            Err(CredentialError::Trouble(reason)) => return Err(CredentialError::Trouble(*reason)),
        };
        self.shared.metrics.token_checked(label);
        result.map(|(proven, _)| proven)
    }

    /// Whether the sign-in known as `session` has been ended by now.
    #[must_use]
    pub fn has_ended(&self, site_runtime: &SiteRuntime, session: &RevocationKey) -> bool {
        self.shared.stores.revocations.is_revoked(
            site_runtime.provider.realm(),
            session,
            self.shared.clock.now(),
        )
    }

    async fn look(
        &self,
        context: RequestContext<'_>,
        token: &str,
    ) -> Result<(Arc<Principal>, TokenCheck), CredentialError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let generation = site_runtime
            .provider
            .keys
            .current()
            .map_or(0, |keys| keys.generation());
        let (principal, label) = match site_runtime.tokens.get(token, generation, now) {
            Some(principal) => (principal, TokenCheck::Remembered),
            // In a box: a remembered token is not to carry this along.
            None => (
                Box::pin(self.verify_and_remember(site_runtime, token, now)).await?,
                TokenCheck::Valid,
            ),
        };
        // Asked at every look, so that a sign-out needs to find nothing in any cache.
        if self.shared.stores.revocations.is_revoked(
            site_runtime.provider.realm(),
            &principal.session,
            now,
        ) {
            return Err(CredentialError::Token(TokenError::Revoked));
        }
        Ok((principal, label))
    }

    async fn verify_and_remember(
        &self,
        site_runtime: &SiteRuntime,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Principal>, CredentialError> {
        match site_runtime
            .provider
            .verify(token, &site_runtime.site.application_id, now)
            .await
        {
            Ok(verified) => {
                let principal = principal(site_runtime, verified.claims, now)
                    .ok_or(CredentialError::Token(TokenError::Invalid))?;
                let principal = Arc::new(principal);
                site_runtime
                    .tokens
                    .put(token, verified.generation, &principal);
                Ok(principal)
            }
            Err(Unverified::Expired(claims)) => {
                // A signed-out token does not become a merely expired one when its time is over.
                let revoked = self.shared.stores.revocations.is_revoked(
                    site_runtime.provider.realm(),
                    &claims.session,
                    now,
                );
                Err(CredentialError::Token(if revoked {
                    TokenError::Revoked
                } else {
                    TokenError::Expired
                }))
            }
            Err(Unverified::Invalid) => Err(CredentialError::Token(TokenError::Invalid)),
            Err(Unverified::NoKeys) => Err(CredentialError::Trouble(Reason::ProviderUnavailable)),
        }
    }
}

/// The person behind verified claims; `None` when a forwarded claim holds control characters.
pub(super) fn principal(
    site_runtime: &SiteRuntime,
    claims: VerifiedClaims,
    now: Timestamp,
) -> Option<Principal> {
    let identity = Identity::from_claims(claims.claims)?;
    let headers = match site_runtime.site.headers.render(&identity) {
        Ok(headers) => headers,
        Err(fault) => {
            tracing::warn!(site = site_runtime.site.name, header = %fault.header, "a claim holds control characters");
            return None;
        }
    };
    Some(Principal {
        identity,
        issued: claims.issued.unwrap_or(now),
        expires: claims.expires,
        session: claims.session,
        headers,
    })
}
