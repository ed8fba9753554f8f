//! What a sign-in waits for, read from the answers 203 and 242.

use serde::Deserialize;
use serde_json::Value;

use super::{misconfigured, unreadable};
use crate::model::login::{FactorKind, LoginRefused, OfferedMethod, PendingStep};
use crate::model::masking;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::provider::ProviderError;

/// The longest id taken, in bytes: it is carried in sealed cookies and form fields.
const LONGEST_ID: usize = 256;

/// The most ways to get a code that are offered.
const MOST_METHODS: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PasswordWanted {
    change_password_id: Option<String>,
    change_password_reason: Option<Value>,
}

/// 203: a new password is wanted. Without its id nobody could give one.
pub(super) fn new_password(body: &[u8]) -> Result<LoginRefused, ProviderError> {
    let wanted: PasswordWanted = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let id = wanted
        .change_password_id
        .and_then(id)
        .ok_or_else(|| no_id("changePasswordId"))?;
    Ok(LoginRefused {
        change_reason: wanted
            .change_password_reason
            .as_ref()
            .and_then(Value::as_str)
            .and_then(word),
        awaited: Some(PendingStep::NewPassword { id }),
        ..LoginRefused::because(Reason::PasswordChangeRequired)
    })
}

/// FusionAuth's word for why (`Administrative`, `Breached`, `Expired`, `Validation`), if it is a
/// word.
fn word(text: &str) -> Option<String> {
    let is_word =
        (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| text.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CodeWanted {
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

/// 242: a code is wanted. Methods of a later day are left out; where nothing else is offered,
/// nobody can go on.
pub(super) fn second_factor(body: &[u8]) -> Result<LoginRefused, ProviderError> {
    let wanted: CodeWanted = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let id = wanted
        .two_factor_id
        .and_then(id)
        .ok_or_else(|| no_id("twoFactorId"))?;
    let methods = match wanted.methods {
        // Servers of old name none: it is the app.
        None => Vec::new(),
        Some(methods) => {
            let known: Vec<OfferedMethod> = methods
                .into_iter()
                .filter_map(offered)
                .take(MOST_METHODS)
                .collect();
            if known.is_empty() {
                return Err(misconfigured(
                    "a second factor is wanted, and none of its methods is known here",
                ));
            }
            known
        }
    };
    Ok(LoginRefused {
        awaited: Some(PendingStep::SecondFactor { id, methods }),
        ..LoginRefused::because(Reason::TwoFactorRequired)
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

/// Visible ASCII of a fair length: it goes into an address.
fn id(text: String) -> Option<Secret> {
    let fit =
        (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fit.then(|| Secret::new(text))
}

fn no_id(name: &str) -> ProviderError {
    ProviderError::Unavailable(format!("its answer has no {name} that can be used"))
}
