//! A token that is checked with the keys of a provider, and what came of it.

use crate::config::settings;
use crate::model::algorithm::Algorithm;
use crate::provider::verify::id_token::IdTokenExpectations;
use crate::provider::verify::{VerifiedClaims, VerifyError};

/// An ID token of the provider, and what it is compared with.
#[derive(Clone, Copy)]
pub(super) struct IdToken<'a> {
    pub token: &'a str,
    /// The `nonce` of the login; `None` at a refresh.
    pub nonce: Option<&'a str>,
    /// The access token that came with it.
    pub access: Option<&'a str>,
}

impl<'a> IdToken<'a> {
    /// One that was verified when it came.
    pub(super) fn kept(token: &'a str) -> Self {
        Self {
            token,
            nonce: None,
            access: None,
        }
    }

    /// What a token of the provider with these settings must say.
    ///
    /// # Errors
    /// [`VerifyTokenError::NotForUs`] where the gateway is no client of the provider.
    pub(super) fn expectations(
        self,
        settings: &'a settings::Provider,
        algorithms: &'a [Algorithm],
    ) -> Result<IdTokenExpectations<'a>, VerifyTokenError> {
        let client = settings.client.as_ref();
        let client = client.ok_or(VerifyTokenError::NotForUs)?;
        Ok(IdTokenExpectations {
            issuer: &settings.issuer,
            client_id: &client.id,
            algorithms,
            leeway: settings.leeway,
            nonce: self.nonce,
            access: self.access,
        })
    }
}

/// The claims of a token that verified, and the generation of the keys that verified it.
pub(super) struct Verified<T = VerifiedClaims> {
    pub(super) claims: T,
    pub(super) generation: u64,
}

/// How a look-up of keys went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyLookup {
    /// The keys are those that the provider publishes now.
    Done,
    /// Others have come meanwhile: the token is verified with them first.
    Superseded,
    /// The provider was asked a moment ago, and may have changed its keys since.
    TooSoon,
    /// The provider did not answer.
    Failed,
}

/// Why a token does not verify. Of the last three nobody can tell what it is.
pub(super) enum VerifyTokenError {
    /// It verified until its `exp`.
    Expired(Box<VerifiedClaims>),
    /// It will verify later: the clocks differ by more than the leeway.
    NotYetValid(Box<VerifiedClaims>),
    /// It is another issuer's, or for another audience.
    NotForUs,
    /// It is longer than any token that is verified.
    TooLarge,
    /// It is malformed, or not signed by this provider.
    Invalid,
    /// Its key is none of those that the provider publishes now.
    UnknownKey,
    /// Its key is unknown, and the provider was asked for its keys too recently to be asked again.
    KeyNotLookedUp,
    /// The keys of the provider are missing, or its key is unknown and the provider did not answer.
    NoKeys,
}

impl VerifyTokenError {
    /// What `error` means after a look-up of keys; `lookup` is `None` where there are none at all.
    pub(super) fn of(error: VerifyError, lookup: Option<KeyLookup>) -> Self {
        match (error, lookup) {
            (VerifyError::Expired(claims), _) => Self::Expired(claims),
            (VerifyError::NotYetValid(claims), _) => Self::NotYetValid(claims),
            (VerifyError::NotForUs, _) => Self::NotForUs,
            (VerifyError::TooLarge, _) => Self::TooLarge,
            (VerifyError::Invalid, _) => Self::Invalid,
            (VerifyError::UnknownKey, Some(KeyLookup::Done)) => Self::UnknownKey,
            (VerifyError::UnknownKey, Some(KeyLookup::TooSoon | KeyLookup::Superseded)) => {
                Self::KeyNotLookedUp
            }
            (VerifyError::UnknownKey, Some(KeyLookup::Failed) | None) => Self::NoKeys,
        }
    }
}
