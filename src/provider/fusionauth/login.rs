//! The requests of a login, and the results of their responses.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::device_info::DeviceInfo;
use super::login_status::{Disclosure, Meaning, Step, meaning};
use super::password_errors::password_errors;
use super::pending_step;
use super::response_body::{
    FieldErrors, is_json_object, misconfigured, non_empty, read_json, read_tokens, unexpected,
    unreadable,
};
use crate::model::login::LoginRefused;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::provider::http_client::Response;
use crate::provider::{
    Device, LoginAttempt, LoginSuccess, NewPasswordAttempt, ProviderError, SecondFactorAttempt,
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
    context: LoginContext<'a>,
}

impl<'a> LoginRequest<'a> {
    pub(super) fn with_password(attempt: LoginAttempt<'a>) -> Self {
        Self {
            login_id: Some(attempt.login_id),
            password: Some(attempt.password.expose()),
            one_time_password: None,
            two_factor_trust_id: attempt.trust.map(Secret::expose),
            context: LoginContext::new(
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
            context: LoginContext::new(
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
    context: LoginContext<'a>,
}

impl<'a> TwoFactorRequest<'a> {
    pub(super) fn new(attempt: SecondFactorAttempt<'a>) -> Self {
        Self {
            code: attempt.code.expose(),
            two_factor_id: attempt.id.expose(),
            trust_computer: attempt.trust_device == Trust::Yes,
            context: LoginContext::new(
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

/// The application of a login and the client it comes from.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginContext<'a> {
    application_id: &'a str,
    ip_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_data: Option<MetaData>,
}

#[derive(Serialize)]
struct MetaData {
    device: DeviceInfo,
}

impl<'a> LoginContext<'a> {
    fn new(application_id: &'a str, client: IpAddr, device: Device<'_>) -> Self {
        let meta_data = DeviceInfo::of(device).map(|device| MetaData { device });
        Self {
            application_id,
            ip_address: client.to_canonical().to_string(),
            meta_data,
        }
    }
}

/// The tokens of a response, when it completes the login.
pub(super) fn read_success(
    step: Step,
    response: &Response,
    disclosure: Disclosure,
) -> Result<LoginSuccess, ProviderError> {
    check_status(step, response, disclosure)?;
    let mut tokens = read_tokens(response)?;
    let trust = tokens.two_factor_trust_id.take().and_then(non_empty);
    Ok(LoginSuccess {
        tokens: tokens.into_pair(None)?,
        trust,
    })
}

/// Whether the status says that the step succeeded; the body of a success is not read.
pub(super) fn check_status(
    step: Step,
    response: &Response,
    disclosure: Disclosure,
) -> Result<(), ProviderError> {
    let status = response.status.as_u16();
    let meaning = meaning(step, status, disclosure);
    if matches!(meaning, Meaning::Refused(_)) {
        check_refusal(status, &response.body)?;
    }
    let refused = match meaning {
        Meaning::Success => return Ok(()),
        Meaning::NewPasswordRequired => pending_step::new_password(&response.body)?,
        Meaning::SecondFactorRequired => pending_step::second_factor(&response.body)?,
        Meaning::Refused(reason) => LoginRefused {
            violations: match (reason, step) {
                (Reason::RejectedInput, Step::NewPassword) => password_errors(&response.body),
                _ => Vec::new(),
            },
            ..LoginRefused::new(reason)
        },
        Meaning::ApiKeyRejected => return Err(misconfigured("the API key is not accepted")),
        Meaning::Unexpected => return Err(unexpected(status)),
    };
    Err(ProviderError::Refused(refused))
}

/// Whether there is no body, or a JSON object: no error page for people.
fn is_empty_or_object(body: &[u8]) -> bool {
    body.trim_ascii().is_empty() || is_json_object(body)
}

/// Checks that a refusal has the form in which FusionAuth sends it, so that the error page of a
/// proxy or of another server refuses nobody.
fn check_refusal(status: u16, body: &[u8]) -> Result<(), ProviderError> {
    let is_documented = match status {
        400 => match FieldErrors::read(body) {
            Some(errors) if errors.names("applicationId") || errors.names("tenantId") => {
                return Err(misconfigured(
                    "the application or the tenant is not accepted",
                ));
            }
            errors => errors.is_some() || is_empty_or_object(body),
        },
        // With the user, or with the actions that prevent the login.
        202 | 212 | 213 | 409 => is_empty_or_object(body),
        // 404, 410, 421, 423: no body. Servers that stand in for FusionAuth send an empty object.
        _ => matches!(body.trim_ascii(), b"" | b"{}"),
    };
    if is_documented {
        Ok(())
    } else {
        Err(unexpected(status))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordChanged {
    one_time_password: Option<String>,
}

/// The password that signs in once after a change of password.
pub(super) fn read_one_time_password(response: &Response) -> Result<Secret, ProviderError> {
    read_json::<PasswordChanged>(&response.body)?
        .one_time_password
        .and_then(non_empty)
        .ok_or_else(unreadable)
}
