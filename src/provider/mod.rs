//! Who vouches for people: identity providers, their keys, and the verification of what they sign.
//!
//! A provider takes values and gives values; it never sees a request or a response.

use async_trait::async_trait;

use crate::model::secret::Secret;
use crate::model::sign_in::SignInRefused;
use crate::model::token::TokenPair;

pub mod algorithm;
#[cfg(test)]
pub mod contract;
pub mod fusionauth;
mod jwks;
pub mod key_ring;
pub mod keys;
pub mod outbound;
#[cfg(test)]
mod test_keys;
pub mod verify;

/// What a provider can do, as data: nobody has to call and fail to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Takes a name and a password.
    pub form_sign_in: bool,
}

/// An attempt to sign in, as the provider needs it.
#[derive(Clone, Copy, Debug)]
pub struct SignInAttempt<'a> {
    /// The name, byte for byte as typed.
    pub login_id: &'a str,
    /// The password, byte for byte as typed.
    pub password: &'a Secret,
    /// Which application the tokens are for.
    pub application_id: &'a str,
    /// The believed client address.
    pub client_address: std::net::IpAddr,
}

/// Why a call to a provider brought nothing; each names what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// A definite no about this person or token: tell the visitor.
    Refused(SignInRefused),
    /// No usable answer: keep what there is and try again later. The text says what happened, without secrets.
    Unavailable(String),
    /// The provider refuses the gateway itself, or means something by its answer that only an operator can mend.
    Misconfigured(String),
}

/// An identity provider.
///
/// Every implementation passes the same contract suite; every call is bounded in time and size.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// Checks a password.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with a reason of the contract's section 4.
    async fn sign_in(&self, attempt: SignInAttempt<'_>) -> Result<TokenPair, ProviderError>;

    /// Exchanges a refresh token for a new pair. Where the provider sends no new refresh token the pair carries
    /// the old one.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with `signed_out` only for a definite no.
    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError>;

    /// Ends a refresh token. Ending what is ended already is a success.
    ///
    /// # Errors
    /// Never [`ProviderError::Refused`].
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError>;

    /// The published keys: the body of the JWKS document, at most 256 KiB.
    ///
    /// # Errors
    /// Never [`ProviderError::Refused`].
    async fn published_keys(&self) -> Result<Vec<u8>, ProviderError>;
}
