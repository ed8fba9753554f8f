//! Identity providers: the calls to them, their keys, and the verification of the tokens that they
//! sign.
//!
//! A provider takes values and returns values; it never sees a request or response of the proxy.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::config::settings::{self, ProviderKind};
use crate::model::login::LoginRefused;
use crate::model::redirect_result::ProviderAddress;
use crate::model::secret::Secret;
use crate::model::token::TokenPair;
use crate::system::Clock;

#[cfg(test)]
pub mod contract;
pub mod fusionauth;
pub mod http_client;
mod http_connector;
pub mod jwks_cache;
pub mod key_set;
pub mod logout_token;
pub mod oidc;
#[cfg(test)]
mod openid_server;
#[cfg(test)]
mod test_keys;
pub mod verify;
pub mod webhook;

use fusionauth::{Endpoint, Fusionauth};
use http_client::HttpClient;
use oidc::Oidc;

/// The provider that `settings` describe, which makes its calls with `http`. Opens no connection.
///
/// # Errors
/// [`ProviderError::Misconfigured`] when the provider cannot be called with these settings. An
/// embedded identity server is called like FusionAuth: its settings must name the address where it
/// was started.
pub fn from_settings(
    settings: &settings::Provider,
    http: Arc<HttpClient>,
    clock: &Clock,
) -> Result<Box<dyn Provider>, ProviderError> {
    match &settings.kind {
        ProviderKind::Fusionauth {
            url,
            api_key,
            tenant_id,
        } => {
            let endpoint = Endpoint {
                url: url.clone(),
                api_key: Some(api_key.clone()),
                tenant_id: tenant_id.clone(),
            };
            Ok(Box::new(Fusionauth::new(&endpoint, settings, http, clock)?))
        }
        ProviderKind::Oidc { url } => {
            let client = settings.client.as_ref();
            let client =
                client.ok_or_else(|| ProviderError::Misconfigured("there is no client".into()))?;
            let document = oidc::document_url(url);
            let provider = Oidc::new(&document, settings, client, http, clock.clone())?;
            Ok(Box::new(provider))
        }
        ProviderKind::Embedded { .. } => Err(ProviderError::Misconfigured(
            "the embedded identity server was not started".into(),
        )),
    }
}

/// What a provider can do, so that no call has to fail to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It checks a name and a password: [`Provider::login`].
    pub password_login: bool,
    /// It checks a code: [`Provider::second_factor`] and [`Provider::send_code`].
    pub second_factor: bool,
    /// It changes passwords: [`Provider::change_password`].
    pub change_password: bool,
}

/// The device that a user signs in with, as far as the request tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Device<'a> {
    /// The `User-Agent`, unchanged.
    pub user_agent: Option<&'a str>,
}

/// Whether the provider shall skip the second factor on this device for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The user asked for it.
    Yes,
    /// A code is required every time.
    No,
}

/// A name and a password.
#[derive(Clone, Copy, Debug)]
pub struct LoginAttempt<'a> {
    /// The name, byte for byte as typed.
    pub login_id: &'a str,
    /// The password, byte for byte as typed.
    pub password: &'a Secret,
    /// The application that the tokens are for.
    pub application_id: &'a str,
    /// The resolved client address.
    pub client_address: IpAddr,
    /// The device that the user signs in with.
    pub device: Device<'a>,
    /// The trust token from an earlier [`LoginSuccess`] on this device.
    pub trust: Option<&'a Secret>,
}

/// A code for a login that requires a second factor.
#[derive(Clone, Copy, Debug)]
pub struct SecondFactorAttempt<'a> {
    /// The id of [`PendingStep::SecondFactor`](crate::model::login_step::PendingStep).
    pub id: &'a Secret,
    /// The code, as typed.
    pub code: &'a Secret,
    /// The application that the tokens are for.
    pub application_id: &'a str,
    /// The resolved client address.
    pub client_address: IpAddr,
    /// The device that the user signs in with.
    pub device: Device<'a>,
    /// Whether the provider shall trust this device from now on.
    pub trust_device: Trust,
}

/// A new password for a login that requires one.
#[derive(Clone, Copy, Debug)]
pub struct NewPasswordAttempt<'a> {
    /// The id of [`PendingStep::NewPassword`](crate::model::login_step::PendingStep).
    pub id: &'a Secret,
    /// The password, byte for byte as typed.
    pub password: &'a Secret,
    /// The application that the tokens are for.
    pub application_id: &'a str,
    /// The resolved client address.
    pub client_address: IpAddr,
    /// The device that the user signs in with.
    pub device: Device<'a>,
    /// The trust token from an earlier [`LoginSuccess`] on this device.
    pub trust: Option<&'a Secret>,
}

/// The result of a completed login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSuccess {
    /// The tokens of the new session.
    pub tokens: TokenPair,
    /// The trust token of this device, where the provider issued one: the `trust` of the next
    /// attempt.
    pub trust: Option<Secret>,
}

/// A login by redirect that begins (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// Where the provider sends the browser afterwards.
    pub redirect_uri: &'a str,
    /// Binds the response to this login.
    pub state: &'a str,
    /// Binds the ID token to this login.
    pub nonce: &'a str,
    /// The code verifier (RFC 7636), of which the provider is told a hash.
    pub verifier: &'a Secret,
}

/// The code that the provider has sent with the browser.
#[derive(Clone, Copy, Debug)]
pub struct CodeExchange<'a> {
    /// The code.
    pub code: &'a Secret,
    /// The issuer, where the response names it (RFC 9207).
    pub issuer: Option<&'a str>,
    /// The code verifier of the login.
    pub verifier: &'a Secret,
    /// The `redirect_uri` of the login.
    pub redirect_uri: &'a str,
}

/// A logout that the provider is told of by the browser.
#[derive(Clone, Copy, Debug)]
pub struct EndSessionRequest<'a> {
    /// The last ID token of the login, where it is known.
    pub id_token: Option<&'a Secret>,
    /// Where the provider sends the browser afterwards.
    pub return_uri: &'a str,
}

/// Why a call to a provider failed. Each variant names who can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// The provider refused this user or token: the user may act on the reason.
    Refused(LoginRefused),
    /// The provider gave no usable response: the caller keeps what it has and tries again later.
    /// The text says what happened and holds no secrets.
    Unavailable(String),
    /// The provider refused the gateway itself, or its response shows a wrong setting: only the
    /// operator can correct it. The text says what happened and holds no secrets.
    Misconfigured(String),
}

impl fmt::Display for ProviderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Refused(refused) => refused.reason.as_str(),
            Self::Unavailable(cause) | Self::Misconfigured(cause) => cause,
        })
    }
}

impl std::error::Error for ProviderError {}

/// Sign-in at a provider's own pages, to which the browser is redirected.
#[async_trait]
pub trait RedirectSignIn: Send + Sync {
    /// Where the browser is sent to sign in.
    ///
    /// # Errors
    /// Never [`ProviderError::Refused`].
    async fn authorization_address(
        &self,
        request: AuthorizationRequest<'_>,
    ) -> Result<ProviderAddress, ProviderError>;

    /// The tokens for a code. The pair has an ID token, which is not verified yet.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with `sign_in_failed` where the code is not good, or another
    /// issuer sent it.
    async fn redeem(&self, exchange: CodeExchange<'_>) -> Result<LoginSuccess, ProviderError>;

    /// Where the browser is sent to sign out at the provider too (OpenID Connect RP-Initiated
    /// Logout); `None` where the provider has no such address, or has not told it yet.
    fn end_session_address(&self, request: EndSessionRequest<'_>) -> Option<ProviderAddress>;
}

/// An identity provider.
///
/// Every implementation passes the contract suite in `contract.rs`. Every call is bounded in time
/// and size.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What the provider can do.
    fn capabilities(&self) -> Capabilities;

    /// Sign-in by redirect, where users of the provider sign in so.
    fn redirect(&self) -> Option<&dyn RedirectSignIn> {
        None
    }

    /// Checks a name and a password.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with a reason code of
    /// `docs/reference/endpoints.md#fusionauth-responses`, and with the [pending
    /// step](LoginRefused::pending_step) where the password was right and a further step is
    /// required.
    async fn login(&self, attempt: LoginAttempt<'_>) -> Result<LoginSuccess, ProviderError>;

    /// Continues a login that requires a second factor.
    ///
    /// # Errors
    /// As [`Provider::login`]. After `wrong_code` another code may be tried; after
    /// `challenge_expired` the login starts again.
    async fn second_factor(
        &self,
        attempt: SecondFactorAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError>;

    /// Sends a code for the login `id` by one of the methods that were offered. Earlier codes are
    /// void then.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with `challenge_expired`, or with `rejected_input` for a method
    /// that sends nothing.
    async fn send_code(&self, id: &Secret, method: &Secret) -> Result<(), ProviderError>;

    /// Changes the password and completes the login with it, so that nothing is typed twice.
    ///
    /// # Errors
    /// As [`Provider::login`]. After `rejected_input` with the [violated
    /// rules](LoginRefused::violations) another password may be tried; after `challenge_expired`
    /// the login starts again. With a pending step the password was changed.
    async fn change_password(
        &self,
        attempt: NewPasswordAttempt<'_>,
    ) -> Result<LoginSuccess, ProviderError>;

    /// Exchanges a refresh token for a new pair of tokens. Where the provider issues no new refresh
    /// token the pair holds the old one.
    ///
    /// # Errors
    /// [`ProviderError::Refused`] with `signed_out` only when the provider says that the token has
    /// ended.
    async fn refresh(&self, refresh: &Secret) -> Result<TokenPair, ProviderError>;

    /// Revokes a refresh token. Revoking a token that has ended already succeeds.
    ///
    /// # Errors
    /// Never [`ProviderError::Refused`].
    async fn revoke(&self, refresh: &Secret) -> Result<(), ProviderError>;

    /// Whether verified claims say that their user is registered for this application. A provider
    /// whose tokens do not tell says `false` of all of them. A user whose first token said so and
    /// whose refreshed one does not was removed from the application meanwhile.
    fn confirms_registration(&self, _claims: &Map<String, Value>, _application_id: &str) -> bool {
        false
    }

    /// Fetches the published keys: the body of the JWKS document, at most 256 KiB.
    ///
    /// # Errors
    /// Never [`ProviderError::Refused`].
    async fn fetch_jwks(&self) -> Result<Vec<u8>, ProviderError>;
}
