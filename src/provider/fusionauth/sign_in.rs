//! The calls that a sign-in is made of, and what their answers come to.

use serde::{Deserialize, Serialize};

use super::device::DeviceInfo;
use super::password_faults::password_faults;
use super::statuses::{AccountState, Meaning, Step, meaning};
use super::{awaited, misconfigured, non_empty, read_tokens, unexpected, unreadable};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::provider::http_client::Response;
use crate::provider::{
    Device, LoginSuccess, NewPasswordAttempt, ProviderError, SecondFactorAttempt, SignInAttempt,
    Trust,
};

/// `POST /api/login`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoginRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    login_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_time_password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    two_factor_trust_id: Option<&'a str>,
    #[serde(flatten)]
    audit_context: AuditContext<'a>,
}

impl<'a> LoginRequest<'a> {
    pub(super) fn with_password(attempt: SignInAttempt<'a>) -> Self {
        Self {
            login_id: Some(attempt.login_id),
            password: Some(attempt.password.expose()),
            one_time_password: None,
            two_factor_trust_id: attempt.trust.map(Secret::expose),
            audit_context: AuditContext::new(
                attempt.application_id,
                attempt.client_address,
                attempt.device,
            ),
        }
    }

    pub(super) fn with_one_time_password(
        attempt: NewPasswordAttempt<'a>,
        password: &'a Secret,
    ) -> Self {
        Self {
            login_id: None,
            password: None,
            one_time_password: Some(password.expose()),
            two_factor_trust_id: attempt.trust.map(Secret::expose),
            audit_context: AuditContext::new(
                attempt.application_id,
                attempt.client_address,
                attempt.device,
            ),
        }
    }
}

/// `POST /api/two-factor/login`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TwoFactorRequest<'a> {
    code: &'a str,
    two_factor_id: &'a str,
    trust_computer: bool,
    #[serde(flatten)]
    audit_context: AuditContext<'a>,
}

impl<'a> TwoFactorRequest<'a> {
    pub(super) fn new(attempt: SecondFactorAttempt<'a>) -> Self {
        Self {
            code: attempt.code.expose(),
            two_factor_id: attempt.id.expose(),
            trust_computer: attempt.trust_device == Trust::Yes,
            audit_context: AuditContext::new(
                attempt.application_id,
                attempt.client_address,
                attempt.device,
            ),
        }
    }
}

/// `POST /api/two-factor/send/{twoFactorId}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendRequest<'a> {
    pub(super) method_id: &'a str,
}

/// `POST /api/user/change-password`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangePasswordRequest<'a> {
    pub(super) change_password_id: &'a str,
    pub(super) password: &'a str,
}

/// Where a sign-in leads and where it comes from.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditContext<'a> {
    application_id: &'a str,
    ip_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_data: Option<MetaData>,
}

#[derive(Serialize)]
struct MetaData {
    device: DeviceInfo,
}

impl<'a> AuditContext<'a> {
    fn new(application_id: &'a str, client: std::net::IpAddr, device: Device<'_>) -> Self {
        let meta_data = DeviceInfo::of(device).map(|device| MetaData { device });
        Self {
            application_id,
            ip_address: client.to_canonical().to_string(),
            meta_data,
        }
    }
}

/// Whether somebody is let in.
pub(super) fn admitted(
    step: Step,
    received: &Response,
    state: AccountState,
) -> Result<LoginSuccess, ProviderError> {
    succeeded(step, received, state)?;
    let mut tokens = read_tokens(received)?;
    let trust = tokens.two_factor_trust_id.take().and_then(non_empty);
    Ok(LoginSuccess {
        tokens: tokens.pair(None)?,
        trust,
    })
}

/// Whether the answer is a yes, whatever it says beside that.
pub(super) fn succeeded(
    step: Step,
    received: &Response,
    state: AccountState,
) -> Result<(), ProviderError> {
    let status = received.status.as_u16();
    let refused = match meaning(step, status, state) {
        Meaning::Done => return Ok(()),
        Meaning::WantsNewPassword => awaited::new_password(&received.body)?,
        Meaning::WantsSecondFactor => awaited::second_factor(&received.body)?,
        Meaning::Refused(reason) => LoginRefused {
            faults: match (reason, step) {
                (Reason::RejectedInput, Step::NewPassword) => password_faults(&received.body),
                _ => Vec::new(),
            },
            ..LoginRefused::because(reason)
        },
        Meaning::KeyRefused => return Err(misconfigured("the API key is not accepted")),
        Meaning::Unexpected => return Err(unexpected(status)),
    };
    Err(ProviderError::Refused(refused))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordChanged {
    one_time_password: Option<String>,
}

/// What signs in once after a change of password.
pub(super) fn one_time_password(received: &Response) -> Result<Secret, ProviderError> {
    let changed: PasswordChanged =
        serde_json::from_slice(&received.body).map_err(|_| unreadable())?;
    changed
        .one_time_password
        .and_then(non_empty)
        .ok_or_else(unreadable)
}
