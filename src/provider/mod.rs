//! Who vouches for people: identity providers, their keys, and the verification of what they sign.
//!
//! A provider takes values and gives values; it never sees a request or a response.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::model::login::LoginRefused;
use crate::model::secret::Secret;
use crate::model::token::TokenPair;

pub mod algorithm;
#[cfg(test)]
pub mod contract;
pub mod fusionauth;
pub mod http_client;
mod jwks;
pub mod jwks_cache;
pub mod key_set;
#[cfg(test)]
mod test_keys;
pub mod verify;

/// What a provider can do, as data: nobody has to call and fail to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Takes a name and a password.
    pub form_sign_in: bool,
    /// Takes the code it asked for.
    pub second_factor: bool,
    /// Takes the new password it asked for.
    pub change_password: bool,
}

/// What a visitor signs in with, as far as they tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    /// The `User-Agent` as it came.
    pub user_agent: Option<&'a str>,
}

/// Whether this device shall not be asked for a code again for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The visitor says that it is theirs.
    Yes,
    /// It is asked every time.
    No,
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
    pub client_address: IpAddr,
    /// What the visitor signs in with.
    pub device: Device<'a>,
    /// The proof from an earlier [`LoginSuccess`] that this device is trusted.
    pub trust: Option<&'a Secret>,
}

/// A code, for a sign-in that waits for it.
#[derive(Clone, Copy, Debug)]
pub struct SecondFactorAttempt<'a> {
    /// The id of [`PendingStep::SecondFactor`](crate::model::login::PendingStep).
    pub id: &'a Secret,
    /// The code, as typed.
    pub code: &'a Secret,
    /// Which application the tokens are for.
    pub application_id: &'a str,
    /// The believed client address.
    pub client_address: IpAddr,
    /// What the visitor signs in with.
    pub device: Device<'a>,
    /// Whether this device shall be trusted from now on.
    pub trust_device: Trust,
}

/// A new password, for a sign-in that waits for it.
#[derive(Clone, Copy, Debug)]
pub struct NewPasswordAttempt<'a> {
    /// The id of [`PendingStep::NewPassword`](crate::model::login::PendingStep).
    pub id: &'a Secret,
    /// The password, byte for byte as typed.
    pub password: &'a Secret,
    /// Which application the tokens are for.
    pub application_id: &'a str,
    /// The believed client address.
    pub client_address: IpAddr,
    /// What the visitor signs in with.
    pub device: Device<'a>,
    /// The proof from an earlier [`LoginSuccess`] that this device is trusted.
    pub trust: Option<&'a Secret>,
}

/// Somebody whom the provider lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSuccess {
    /// Their tokens.
    pub tokens: TokenPair,
    /// The proof that this device is trusted, where the provider gave one: for the next attempt's
    /// `trust`.
    pub trust: Option<Secret>,
}

/// Why a call to a provider brought nothing; each names what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// A definite no about this person or token: tell the visitor.
    Refused(LoginRefused),
    /// No usable answer: keep what there is and try again later. The text says what happened,
    /// without secrets.
    Unavailable(String),
    /// The provider refuses the gateway itself, or means something by its answer that only an
    /// operator can mend.
    Misconfigured(String),
}

/// An identity provider.
///
/// Every implementation passes the same contract suite; every call is bounded in time and size.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What it can do.
    fn abilities(&self) -> Capabilities;

    /// Checks a password.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with a reason code of
    /// `docs/reference/endpoints.md#fusionauth-responses`, and with what is
    /// [awaited](LoginRefused::awaited) where the password was right and something is missing.
    async fn sign_in(&self, attempt: SignInAttempt<'_>) -> Result<LoginSuccess, ProviderError>;

    /// Goes on with a sign-in that waits for a code.
    ///
    /// # Errors
    /// As [`Provider::sign_in`]; `wrong_code` leaves it waiting, after `challenge_expired` it
    /// begins again.
    async fn second_factor(
        &self,
        attempt: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError>;

    /// Sends a code for the sign-in `id` by one of the methods that were offered; earlier codes are
    /// void then.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with `challenge_expired`, or with `rejected_input` for a method
    /// that sends nothing.
    async fn send_code(&self, id: &Secret, method: &Secret) -> Result<(), ProviderError>;

    /// Changes the password and signs in with it, so that nothing is typed twice.
    ///
    /// # Errors
    /// As [`Provider::sign_in`]; `rejected_input` with the [faults](LoginRefused::faults) of the
    /// password leaves the change waiting, after `challenge_expired` the sign-in begins again. With
    /// something awaited the password is changed.
    async fn change_password(
        &self,
        attempt: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError>;

    /// Exchanges a refresh token for a new pair. Where the provider sends no new refresh token the
    /// pair carries the old one.
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
