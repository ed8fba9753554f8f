//! The first step of a sign-in: the password.

use std::sync::Arc;

use crate::model::api_request::TokenDelivery;
use crate::model::challenge::LoginOptions;
use crate::model::credential::CredentialKind;
use crate::model::login::Credentials;
use crate::provider::{Device, LoginAttempt};
use crate::runtime::request_context::RequestContext;

use super::LoginError;
use super::completion::{AcceptedDevice, AcceptedLogin};
use super::rate_limit::RateLimiter;
use super::trusted_device::TrustedDevices;

/// An attempt to sign in with a password.
#[derive(Clone, Copy)]
pub struct PasswordAttempt<'a> {
    /// What was typed.
    pub credentials: &'a Credentials,
    /// How the client will carry its tokens.
    pub kind: CredentialKind,
    /// The id of a session that a success replaces.
    pub replaces: Option<&'a str>,
    /// What is known about the client.
    pub device: Device<'a>,
    /// The sealed device cookie, as it came.
    pub device_cookie: Option<&'a str>,
}

/// Checks passwords.
pub(in crate::runtime) struct PasswordLogin {
    pub rate_limiter: Arc<RateLimiter>,
    pub devices: Arc<TrustedDevices>,
}

impl PasswordLogin {
    /// Asks the provider, within the limits on attempts.
    pub(super) async fn attempt(
        &self,
        context: RequestContext<'_>,
        attempt: PasswordAttempt<'_>,
    ) -> Result<AcceptedLogin<'static>, LoginError> {
        let (credentials, site_runtime) = (attempt.credentials, context.site_runtime);
        let login_id = &credentials.login_id;
        let device = self
            .devices
            .open(site_runtime, attempt.device_cookie, login_id);
        let permits = self
            .rate_limiter
            .acquire(context, login_id, device.known_id())
            .await?;
        let question = LoginAttempt {
            login_id,
            password: &credentials.password,
            application_id: &site_runtime.site.application_id,
            client_address: context.client,
            device: attempt.device,
            trust: device.trust(),
        };
        let answer = site_runtime.provider.sign_in(question).await;
        self.rate_limiter.record(permits, &answer).await;
        Ok(AcceptedLogin {
            success: answer?,
            kind: attempt.kind,
            remember: credentials.remember,
            nonce: None,
            device: AcceptedDevice::Opened(device),
        })
    }
}

impl PasswordAttempt<'_> {
    /// What was chosen with the password, for the steps that may follow.
    pub(super) fn options(&self) -> LoginOptions {
        LoginOptions {
            login_id: self.credentials.login_id.clone(),
            remember: self.credentials.remember,
            browser: self.credentials.browser.clone(),
            token_delivery: if self.kind == CredentialKind::Bearer {
                TokenDelivery::Body
            } else {
                TokenDelivery::Cookie
            },
            return_to: self.credentials.return_to.clone(),
        }
    }
}
