//! The end of a sign-in that the provider accepted: its tokens are verified and issued.

use std::sync::Arc;

use crate::model::credential::CredentialKind;
use crate::model::known_device::{SealedDevice, TrustGiven};
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{CompletedLogin, Principal};
use crate::provider::LoginSuccess;
use crate::runtime::request_context::RequestContext;
use crate::runtime::sessions::Sessions;
use crate::runtime::site::SiteRuntime;
use crate::runtime::token_check::VerifyTokenError;
use crate::runtime::tokens::issue::NewTokens;
use crate::runtime::tokens::verify::principal;
use crate::runtime::tokens::verify_pair::{IssuedPair, verify_pair};
use crate::system::Clock;

use super::LoginError;
use super::trusted_device::{LoginDevice, TrustedDevices};

/// A sign-in that the provider accepted.
pub(super) struct AcceptedLogin<'a> {
    pub success: LoginSuccess,
    /// The `nonce` of a sign-in by redirect.
    pub nonce: Option<String>,
    /// How the client will carry its tokens.
    pub kind: CredentialKind,
    /// Whether the cookies outlive the browser's session.
    pub remember: bool,
    pub device: AcceptedDevice<'a>,
}

/// The browser of a sign-in.
pub(super) enum AcceptedDevice<'a> {
    /// As seen by the account that was typed.
    Opened(LoginDevice),
    /// The device cookie, of a sign-in without a typed name: the account is the user's id.
    Presented(Option<&'a str>),
}

/// Completes sign-ins.
pub(in crate::runtime) struct Completion {
    pub clock: Clock,
    pub sessions: Arc<Sessions>,
    pub devices: Arc<TrustedDevices>,
}

impl Completion {
    /// Verifies the tokens of the provider and issues them to the client.
    ///
    /// # Errors
    /// [`LoginError::Unavailable`] where the tokens cannot be verified, stored or carried.
    pub(super) async fn complete(
        &self,
        context: RequestContext<'_>,
        login: AcceptedLogin<'_>,
    ) -> Result<CompletedLogin, LoginError> {
        let site_runtime = context.site_runtime;
        let pair = &login.success.tokens;
        // Not the time of the request: the token may have been issued after it arrived.
        let now = self.clock.now();
        let issued = IssuedPair {
            pair,
            kind: login.kind,
            nonce: login.nonce.as_deref(),
            last_id_token: None,
        };
        let verified = verify_pair(site_runtime, issued, now)
            .await
            .map_err(|error| LoginError::Unavailable(unusable(site_runtime, &error)))?;
        let registered = site_runtime
            .provider
            .confirms_registration(&verified.claims, &site_runtime.site.application_id);
        let principal = principal(site_runtime, verified.claims, now)
            .ok_or(LoginError::Unavailable(Reason::ProviderMisconfigured))?;
        let tokens = NewTokens {
            kind: login.kind,
            pair,
            envelope: &RefreshTokenEnvelope {
                registered,
                ..envelope(&login, &principal, now)
            },
            principal: &principal,
            now,
        };
        let tokens = self
            .sessions
            .issue(site_runtime, tokens)
            .await
            .map_err(LoginError::Unavailable)?;
        let principal = Arc::new(principal);
        let given = TrustGiven {
            user: principal.identity.sub.clone(),
            at: now,
        };
        if let Some(generation) = verified.cacheable {
            let access = pair.access.expose();
            site_runtime.cache_token(access, generation, &principal);
        }
        let device = self.device_cookie(site_runtime, login, given);
        Ok(CompletedLogin {
            tokens,
            principal,
            device,
        })
    }

    /// The new device cookie; `None` for clients without cookies.
    fn device_cookie(
        &self,
        site_runtime: &SiteRuntime,
        login: AcceptedLogin<'_>,
        given: TrustGiven,
    ) -> Option<SealedDevice> {
        let mut device = match login.device {
            AcceptedDevice::Opened(device) => device,
            AcceptedDevice::Presented(cookie) => {
                self.devices.open(site_runtime, cookie, &given.user)
            }
        };
        match login.kind {
            CredentialKind::Bearer => None,
            CredentialKind::Jwt | CredentialKind::Session => {
                if login.remember {
                    device.persist();
                }
                device.record_login(login.success.trust, given);
                self.devices.seal(site_runtime, &device)
            }
        }
    }
}

fn envelope(
    login: &AcceptedLogin<'_>,
    principal: &Principal,
    now: Timestamp,
) -> RefreshTokenEnvelope {
    let refresh = login.success.tokens.refresh.clone();
    RefreshTokenEnvelope {
        // Without a refresh token nothing is sealed.
        refresh: refresh.unwrap_or_else(|| Secret::new("")),
        sub: principal.identity.sub.clone(),
        revocation_key: principal.revocation_key.0.clone(),
        login_time: now,
        login_issued: principal.issued(),
        remember: login.remember,
        session_hash: None,
        access_expires: Some(principal.expires_at),
        access_issued: Some(principal.issued_at),
        registered: false,
        id_token: login.success.tokens.id_token.clone(),
    }
}

/// Logs why a token that the provider has just issued does not verify.
fn unusable(site_runtime: &SiteRuntime, error: &VerifyTokenError) -> Reason {
    let why = match error {
        VerifyTokenError::NoKeys
        | VerifyTokenError::KeyNotLookedUp
        // It may have been published to some of the provider's nodes only.
        | VerifyTokenError::UnknownKey => return Reason::ProviderUnavailable,
        VerifyTokenError::TooLarge => {
            tracing::error!(
                site = site_runtime.site.name,
                "the provider's token is longer than 8 KiB: use fewer claims"
            );
            return Reason::TokensTooLarge;
        }
        VerifyTokenError::Expired(_) => "it has expired: compare the clocks",
        VerifyTokenError::NotYetValid(_) => "it is not valid yet: compare the clocks",
        VerifyTokenError::Invalid | VerifyTokenError::NotForUs => {
            "it does not verify: compare issuer, application_id and algorithms with the provider's"
        }
    };
    tracing::error!(
        site = site_runtime.site.name,
        provider = site_runtime.provider.name,
        why,
        "the provider's fresh token cannot be used"
    );
    Reason::ProviderMisconfigured
}
