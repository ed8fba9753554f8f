//! The step that a login requires next, read from the responses 203 and 242.

use serde::Deserialize;
use serde_json::Value;

use super::response_body::{misconfigured, read_json};
use crate::model::login::LoginRefused;
use crate::model::login_step::{FactorKind, OfferedMethod, PendingStep};
use crate::model::masking;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::provider::ProviderError;

/// The longest id that is accepted, in bytes: it is sent in sealed cookies and form fields.
const MAX_ID: usize = 256;

/// The most methods that are offered to a user.
const MAX_METHODS: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewPasswordRequired {
    change_password_id: Option<String>,
    change_password_reason: Option<Value>,
}

/// Reads a 203: a new password is required. Without the id it could not be sent.
pub(super) fn new_password(body: &[u8]) -> Result<LoginRefused, ProviderError> {
    let required: NewPasswordRequired = read_json(body)?;
    let id = required
        .change_password_id
        .and_then(id)
        .ok_or_else(|| missing_id("changePasswordId"))?;
    Ok(LoginRefused {
        change_reason: required
            .change_password_reason
            .as_ref()
            .and_then(Value::as_str)
            .and_then(reason_word),
        pending_step: Some(Box::new(PendingStep::NewPassword { id })),
        ..LoginRefused::new(Reason::PasswordChangeRequired)
    })
}

/// FusionAuth's reason (`Administrative`, `Breached`, `Expired`, `Validation`), if it is a single
/// word.
fn reason_word(text: &str) -> Option<String> {
    let is_word =
        (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| text.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecondFactorRequired {
    two_factor_id: Option<String>,
    methods: Option<Vec<Method>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    id: Option<String>,
    #[serde(rename = "method")]
    kind: Option<String>,
    email: Option<String>,
    mobile_phone: Option<String>,
}

/// Reads a 242: a code is required. Unknown methods are left out; where the response offers no
/// other, the login cannot be continued.
pub(super) fn second_factor(body: &[u8]) -> Result<LoginRefused, ProviderError> {
    let required: SecondFactorRequired = read_json(body)?;
    let id = required
        .two_factor_id
        .and_then(id)
        .ok_or_else(|| missing_id("twoFactorId"))?;
    let methods = match required.methods {
        // Old servers name no methods: the code is that of an authenticator app.
        None => Vec::new(),
        Some(methods) if methods.is_empty() => Vec::new(),
        Some(methods) => {
            let known: Vec<OfferedMethod> = methods
                .into_iter()
                .filter_map(offered)
                .take(MAX_METHODS)
                .collect();
            if known.is_empty() {
                return Err(misconfigured(
                    "a second factor is required, and none of its methods is supported",
                ));
            }
            known
        }
    };
    Ok(LoginRefused {
        pending_step: Some(Box::new(PendingStep::SecondFactor { id, methods })),
        ..LoginRefused::new(Reason::TwoFactorRequired)
    })
}

fn offered(method: Method) -> Option<OfferedMethod> {
    let (kind, label) = match method.kind?.as_str() {
        "authenticator" => (FactorKind::Authenticator, None),
        "email" => (
            FactorKind::Email,
            method.email.and_then(|address| masking::email(&address)),
        ),
        "sms" => (
            FactorKind::Sms,
            method
                .mobile_phone
                .and_then(|number| masking::telephone(&number)),
        ),
        _ => return None,
    };
    Some(OfferedMethod {
        id: method.id.and_then(id)?,
        kind,
        label,
    })
}

/// An id, if it is visible ASCII of at most [`MAX_ID`] bytes: it becomes a part of an address.
fn id(text: String) -> Option<Secret> {
    let is_id =
        (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then(|| Secret::new(text))
}

fn missing_id(name: &str) -> ProviderError {
    ProviderError::Unavailable(format!("its answer has no {name} that can be used"))
}
