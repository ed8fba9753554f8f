//! The check of an access token that a refresh brought.

use std::sync::Arc;

use crate::model::reason::Reason;
use crate::model::timestamp::Timestamp;
use crate::model::token::Principal;
use crate::runtime::provider_client::VerifyTokenError;
use crate::runtime::site::SiteRuntime;
use crate::runtime::tokens::verify::principal;

use super::outcome::RefreshOutcome;

/// Why a new access token is not accepted.
pub(super) enum NewTokenError {
    /// It has expired. Where the provider has just issued it, the clocks disagree.
    Expired,
    /// The provider's keys are missing.
    NoKeys,
    /// It does not verify, or belongs to another person.
    NotThisUser,
    /// A claim that becomes a header holds control characters.
    UnusableClaims,
}

/// The principal of a new access token, who must be `sub`; the token is put into the cache.
pub(super) async fn verify_new_token(
    site_runtime: &SiteRuntime,
    access: &str,
    sub: &str,
    now: Timestamp,
) -> Result<Arc<Principal>, NewTokenError> {
    let verified = site_runtime
        .provider
        .verify(access, &site_runtime.site.application_id, now)
        .await
        .map_err(|error| match error {
            VerifyTokenError::NoKeys => NewTokenError::NoKeys,
            VerifyTokenError::Expired(_) => NewTokenError::Expired,
            VerifyTokenError::Invalid => NewTokenError::NotThisUser,
        })?;
    let principal =
        principal(site_runtime, verified.claims, now).ok_or(NewTokenError::UnusableClaims)?;
    if principal.identity.sub != sub {
        return Err(NewTokenError::NotThisUser);
    }
    let principal = Arc::new(principal);
    site_runtime
        .token_cache
        .put(access, verified.generation, &principal);
    Ok(principal)
}

impl NewTokenError {
    /// The outcome of the refresh. What only an operator can fix signs nobody out.
    pub fn outcome(&self) -> RefreshOutcome {
        match self {
            Self::NoKeys => RefreshOutcome::Unavailable(Reason::ProviderUnavailable),
            Self::NotThisUser => RefreshOutcome::Refused(Reason::SignedOut),
            Self::Expired | Self::UnusableClaims => {
                RefreshOutcome::Unavailable(Reason::ProviderMisconfigured)
            }
        }
    }
}
