//! The check of an access token that a refresh brought.

use std::sync::Arc;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, TokenPair};
use crate::runtime::site::SiteRuntime;
use crate::runtime::token_check::VerifyTokenError;
use crate::runtime::tokens::verify::principal;
use crate::runtime::tokens::verify_pair::{IssuedPair, verify_pair};

/// A new access token that passed its checks.
pub(super) struct NewToken {
    pub principal: Arc<Principal>,
    /// Whether it says that the user is registered for the application.
    pub registered: bool,
}

/// Why a new access token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewTokenError {
    /// It cannot be checked now, or is not valid yet: the same token may be accepted later.
    Unchecked(Reason),
    /// Its key is none of those that the provider publishes. It may be published in a moment, or
    /// have been withdrawn.
    UnknownKey,
    /// It can never be used, and another one may: it has expired, cannot be carried or does not
    /// verify.
    Unusable(Reason),
    /// It belongs to another person, issuer or audience.
    NotThisUser,
    /// The provider does not register the user for the application any more.
    NotRegistered,
}

/// New tokens, which a client of this kind will carry.
#[derive(Clone, Copy)]
pub(super) struct NewPair<'a> {
    pub pair: &'a TokenPair,
    pub kind: CredentialKind,
    /// The last ID token of the sign-in, where the pair has none.
    pub last_id_token: Option<&'a Secret>,
}

/// Checks new tokens, whose user must be that of `old`, and puts the access token into the cache.
pub(super) async fn verify_new_token(
    site_runtime: &SiteRuntime,
    new: NewPair<'_>,
    old: &RefreshTokenEnvelope,
    now: Timestamp,
) -> Result<NewToken, NewTokenError> {
    let (provider, application) = (&site_runtime.provider, &site_runtime.site.application_id);
    let issued = IssuedPair {
        pair: new.pair,
        kind: new.kind,
        nonce: None,
        last_id_token: new.last_id_token,
    };
    let mut verified = verify_pair(site_runtime, issued, now)
        .await
        .map_err(|error| error_of(site_runtime, &error))?;
    if new.kind == CredentialKind::Session && !verified.claims.claims.contains_key("sid") {
        // Without a `sid` each token is named for itself. A session stays the one that the sign-in
        // began: a sign-out by the refresh token alone names that.
        verified.claims.session = RevocationKey(old.revocation_key.clone());
        verified.cacheable = None;
    }
    let registered = provider.confirms_registration(&verified.claims, application);
    let principal = principal(site_runtime, verified.claims, now)
        .ok_or(NewTokenError::Unusable(Reason::ProviderMisconfigured))?;
    if principal.identity.sub != old.sub {
        return Err(NewTokenError::NotThisUser);
    }
    if old.registered && !registered {
        return Err(NewTokenError::NotRegistered);
    }
    let principal = Arc::new(principal);
    if let Some(generation) = verified.cacheable {
        site_runtime.cache_token(new.pair.access.expose(), generation, &principal);
    }
    Ok(NewToken {
        principal,
        registered,
    })
}

fn error_of(site_runtime: &SiteRuntime, error: &VerifyTokenError) -> NewTokenError {
    let unusable = NewTokenError::Unusable(Reason::ProviderMisconfigured);
    match error {
        VerifyTokenError::NoKeys | VerifyTokenError::KeyNotLookedUp => {
            NewTokenError::Unchecked(Reason::ProviderUnavailable)
        }
        VerifyTokenError::UnknownKey => NewTokenError::UnknownKey,
        VerifyTokenError::NotYetValid(_) => {
            site_runtime.warn_of_clocks();
            NewTokenError::Unchecked(Reason::ProviderMisconfigured)
        }
        VerifyTokenError::Expired(_) | VerifyTokenError::Invalid => unusable,
        VerifyTokenError::TooLarge => NewTokenError::Unusable(Reason::TokensTooLarge),
        VerifyTokenError::NotForUs => NewTokenError::NotThisUser,
    }
}
