//! Does this access token prove somebody?

use std::sync::Arc;

use crate::model::identity::Identity;
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::token::{SessionKey, TokenFault, Visitor};
use crate::provider::verify::VerifiedClaims;
use crate::telemetry::labels::TokenCheck;

use super::vouching::Unverified;
use super::{Caller, Guarded, Runtime};

/// Why a token proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFault {
    /// It is not good.
    Token(TokenFault),
    /// Nobody can say: the provider's keys are not there.
    Trouble(Reason),
}

impl Runtime {
    /// Whom `token` proves at the caller's site: remembered, or verified now.
    ///
    /// # Errors
    /// [`CheckFault`].
    pub async fn check(&self, caller: Caller<'_>, token: &str) -> Result<Arc<Visitor>, CheckFault> {
        let result = self.look(caller, token).await;
        self.counted(result)
    }

    /// Counts a look at a token or a session.
    pub(super) fn counted<T>(
        &self,
        result: Result<(T, TokenCheck), CheckFault>,
    ) -> Result<T, CheckFault> {
        let label = match &result {
            Ok((_, label)) => *label,
            Err(CheckFault::Token(TokenFault::Expired)) => TokenCheck::Expired,
            Err(CheckFault::Token(TokenFault::Revoked)) => TokenCheck::Revoked,
            Err(CheckFault::Token(TokenFault::Invalid)) => TokenCheck::Invalid,
            // Not looked at: nothing to count.
            Err(CheckFault::Trouble(reason)) => return Err(CheckFault::Trouble(*reason)),
        };
        self.shared.metrics.token_checked(label);
        result.map(|(proven, _)| proven)
    }

    /// Whether the sign-in known as `session` has been ended by now.
    #[must_use]
    pub fn has_ended(&self, guarded: &Guarded, session: &SessionKey) -> bool {
        self.shared
            .store
            .is_revoked(guarded.provider.realm(), session, self.shared.clock.now())
    }

    async fn look(
        &self,
        caller: Caller<'_>,
        token: &str,
    ) -> Result<(Arc<Visitor>, TokenCheck), CheckFault> {
        let Caller { guarded, now, .. } = caller;
        let generation = guarded
            .provider
            .keys
            .current()
            .map_or(0, |keys| keys.generation());
        let (visitor, label) = match guarded.tokens.get(token, generation, now) {
            Some(visitor) => (visitor, TokenCheck::Remembered),
            // In a box: a remembered token is not to carry this along.
            None => (
                Box::pin(self.verify_and_remember(guarded, token, now)).await?,
                TokenCheck::Valid,
            ),
        };
        // Asked at every look, so that a sign-out needs to find nothing in any cache.
        if self
            .shared
            .store
            .is_revoked(guarded.provider.realm(), &visitor.session, now)
        {
            return Err(CheckFault::Token(TokenFault::Revoked));
        }
        Ok((visitor, label))
    }

    async fn verify_and_remember(
        &self,
        guarded: &Guarded,
        token: &str,
        now: Moment,
    ) -> Result<Arc<Visitor>, CheckFault> {
        match guarded
            .provider
            .verify(token, &guarded.site.application_id, now)
            .await
        {
            Ok(verified) => {
                let visitor = visitor(guarded, verified.claims, now)
                    .ok_or(CheckFault::Token(TokenFault::Invalid))?;
                let visitor = Arc::new(visitor);
                guarded.tokens.put(token, verified.generation, &visitor);
                Ok(visitor)
            }
            Err(Unverified::Expired(claims)) => {
                // A signed-out token does not become a merely expired one when its time is over.
                let revoked =
                    self.shared
                        .store
                        .is_revoked(guarded.provider.realm(), &claims.session, now);
                Err(CheckFault::Token(if revoked {
                    TokenFault::Revoked
                } else {
                    TokenFault::Expired
                }))
            }
            Err(Unverified::Invalid) => Err(CheckFault::Token(TokenFault::Invalid)),
            Err(Unverified::NoKeys) => Err(CheckFault::Trouble(Reason::ProviderUnavailable)),
        }
    }
}

/// The person behind verified claims; `None` when a forwarded claim holds control characters.
pub(super) fn visitor(guarded: &Guarded, claims: VerifiedClaims, now: Moment) -> Option<Visitor> {
    let identity = Identity::from_claims(claims.claims)?;
    let headers = match guarded.site.headers.render(&identity) {
        Ok(headers) => headers,
        Err(fault) => {
            tracing::warn!(site = guarded.site.name, header = %fault.header, "a claim holds control characters");
            return None;
        }
    };
    Some(Visitor {
        identity,
        issued: claims.issued.unwrap_or(now),
        expires: claims.expires,
        session: claims.session,
        headers,
    })
}
