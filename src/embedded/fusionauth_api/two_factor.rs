//! `POST /api/two-factor/login` and `POST /api/two-factor/send/{twoFactorId}`: the second-factor
//! code after the password.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::{run_blocking, with_database};
use super::json_response::{fusionauth_status, json_response};
use super::login_flow::{
    DeviceTrust, LoginFlow, LoginParameters, TokenIssuance, complete_login, require_active,
    validate_application,
};
use super::request_body::{parse_json, parse_optional_json};
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::ids;
use crate::embedded::outbox::Message;
use crate::embedded::server_state::{PendingCode, ServerState};
use crate::embedded::token_issuer::AuthenticationType;
use crate::embedded::totp::totp_step;
use crate::embedded::two_factor::{TwoFactor, TwoFactorMethod};
use crate::embedded::users::User;
use crate::model::login_step::FactorKind;
use crate::model::secret::Secret;
use crate::system;

/// The number of codes that can be tried in one login. It limits the chance of guessing a code to
/// 10 in a million.
const MAX_ATTEMPTS: u32 = 10;
/// The number of messages that are sent in one login, so that someone who knows the password cannot
/// flood the user with messages.
const MAX_MESSAGES: u32 = 5;

/// 242: the login requires a second-factor code. The response lists the methods to get one.
pub(super) fn require_code(
    state: &ServerState,
    user: &User,
    application: Option<String>,
) -> Response {
    let id = begin(state, user, application);
    let body = json!({
        "twoFactorId": id,
        "methods": describe_methods(available_methods(state, user)),
    });
    json_response(fusionauth_status(242), &body)
}

/// Begins to wait for a code of `user`, and returns the id of this login.
pub(in crate::embedded) fn begin(
    state: &ServerState,
    user: &User,
    application: Option<String>,
) -> String {
    let pending = PendingCode {
        user: user.id.clone(),
        application,
        attempts: 0,
        sent_code: None,
        sent_messages: 0,
    };
    state.pending_codes.insert(pending, state.clock.now())
}

/// The methods by which `user` can get a code here.
pub(in crate::embedded) fn available_methods<'a>(
    state: &'a ServerState,
    user: &'a User,
) -> impl Iterator<Item = TwoFactorMethod<'a>> {
    user.two_factor
        .iter()
        .flat_map(TwoFactor::methods)
        .filter(|method| is_available(state, *method))
}

/// Whether the method can be used: without an outbox no message can be sent.
fn is_available(state: &ServerState, method: TwoFactorMethod<'_>) -> bool {
    !method.is_sent() || state.outbox().is_some()
}

/// The methods as FusionAuth describes them, the first one as the last used.
fn describe_methods<'a>(methods: impl Iterator<Item = TwoFactorMethod<'a>>) -> Vec<Value> {
    methods
        .enumerate()
        .map(|(index, method)| {
            let (member, value) = match method.kind {
                FactorKind::Authenticator => (
                    "authenticator",
                    json!({ "algorithm": "HmacSHA1", "codeLength": 6, "timeStep": 30 }),
                ),
                FactorKind::Email => ("email", json!(method.masked())),
                FactorKind::Sms => ("mobilePhone", json!(method.masked())),
            };
            json!({
                "id": method.id,
                "method": method.kind.as_str(),
                "lastUsed": index == 0,
                member: value,
            })
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TwoFactorLoginRequest {
    code: Option<String>,
    two_factor_id: Option<String>,
    application_id: Option<String>,
    trust_computer: Option<bool>,
    #[serde(rename = "noJWT")]
    no_jwt: Option<bool>,
    #[serde(flatten)]
    client: ClientMetadata,
}

/// Completes a login with a code of the authenticator app, a code that was sent, or a recovery
/// code.
pub(super) async fn login(State(state): State<Arc<ServerState>>, body: Bytes) -> ApiResult {
    state.statistics.two_factor_logins.increment();
    let request: TwoFactorLoginRequest = parse_json(&body)?;
    let code = request.code.filter(|code| !code.trim().is_empty());
    let code = code.ok_or(ApiError::InvalidField("code", FieldError::Blank))?;
    let id = request
        .two_factor_id
        .ok_or(ApiError::InvalidField("twoFactorId", FieldError::Blank))?;
    let application = validate_application(request.application_id)?;
    let (user, pending) = check_code(&state, &id, code).await?;
    let login = LoginFlow {
        user,
        authentication: AuthenticationType::Password,
        device_trust: if request.trust_computer == Some(true) {
            DeviceTrust::Requested
        } else {
            DeviceTrust::NotRequested
        },
        parameters: LoginParameters {
            application: application.or(pending.application),
            tokens: TokenIssuance::from_no_jwt(request.no_jwt),
            client: request.client.sanitized(),
        },
    };
    complete_login(&state, login).await
}

/// The user of the login `id`, once its code is right. The login has ended then.
///
/// # Errors
/// [`ApiError::WrongCode`], after which another code may be tried; [`ApiError::NotFound`] if the
/// login has ended; and what is wrong with the account.
pub(in crate::embedded) async fn check_code(
    state: &Arc<ServerState>,
    id: &str,
    code: String,
) -> Result<(Arc<User>, PendingCode), ApiError> {
    let now = state.clock.now();
    // The attempt is counted before the code is checked, so that concurrent attempts have the same
    // limit.
    let pending = state
        .pending_codes
        .update(id, now, |pending| pending.attempts += 1)
        .ok_or(ApiError::NotFound)?;
    if pending.attempts > MAX_ATTEMPTS {
        state.pending_codes.take(id, now);
        return Err(ApiError::NotFound);
    }
    let user = find_user(state, &pending)?;
    require_active(&user)?;
    if !is_sent_code(&pending, &code) && !consume_own_code(state, &user, code).await? {
        return Err(ApiError::WrongCode);
    }
    state
        .pending_codes
        .take(id, now)
        .ok_or(ApiError::NotFound)?;
    Ok((user, pending))
}

/// The user of the login `id`, which waits for a code.
pub(in crate::embedded) fn user_of(state: &ServerState, id: &str) -> Option<Arc<User>> {
    let pending = state.pending_codes.get(id, state.clock.now())?;
    find_user(state, &pending).ok()
}

fn find_user(state: &ServerState, pending: &PendingCode) -> Result<Arc<User>, ApiError> {
    let user = state.users().by_id(&pending.user).cloned();
    user.ok_or(ApiError::NotFound)
}

/// Whether `code` is the code that was sent last. Comparing hashes takes a time that tells nothing
/// about the code.
fn is_sent_code(pending: &PendingCode, code: &str) -> bool {
    pending
        .sent_code
        .as_ref()
        .is_some_and(|sent| ids::sha256(sent.expose()) == ids::sha256(code.trim()))
}

/// Uses up a code that the user has without a message: of the authenticator app, or a recovery
/// code. False if it is wrong or was used before.
async fn consume_own_code(
    state: &Arc<ServerState>,
    user: &Arc<User>,
    code: String,
) -> Result<bool, ApiError> {
    let Some(two_factor) = &user.two_factor else {
        return Ok(false);
    };
    let secret = two_factor.totp.as_ref().map(Secret::expose);
    let step = secret.and_then(|secret| totp_step(secret, code.trim(), state.clock.now()));
    let user = Arc::clone(user);
    with_database(state, move |state| match step {
        Some(step) => state.account_changes.consume_time_step(&user.id, step),
        None => state.account_changes.consume_recovery_code(&user, &code),
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendRequest {
    method_id: Option<String>,
}

/// Sends a new code by the method that the body names. Codes sent before it are no longer valid. As
/// in FusionAuth, the authenticator app is refused as a method.
pub(super) async fn send(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
    body: Bytes,
) -> ApiResult {
    state.statistics.code_requests.increment();
    let request: SendRequest = parse_optional_json(&body)?;
    send_code(&state, &id, request.method_id).await?;
    Ok(StatusCode::OK.into_response())
}

/// Sends a new code for the login `id` by the method with this id.
///
/// # Errors
/// [`ApiError::NotFound`] if the login has ended, and [`ApiError::InvalidField`] for a method that
/// sends nothing.
pub(in crate::embedded) async fn send_code(
    state: &Arc<ServerState>,
    id: &str,
    method_id: Option<String>,
) -> Result<(), ApiError> {
    let now = state.clock.now();
    let pending = state.pending_codes.get(id, now).ok_or(ApiError::NotFound)?;
    let user = find_user(state, &pending)?;
    let method_id = method_id.ok_or(ApiError::InvalidField("methodId", FieldError::Blank))?;
    let mut methods = user.two_factor.iter().flat_map(TwoFactor::methods);
    let method = methods
        .find(|method| method.id == method_id && method.is_sent() && is_available(state, *method));
    let address = method
        .ok_or(ApiError::InvalidField("methodId", FieldError::Invalid))?
        .address
        .to_owned();
    let code = random_code();
    let pending = state.pending_codes.update(id, now, |pending| {
        pending.sent_messages += 1;
        pending.sent_code = Some(code.clone());
    });
    if pending.ok_or(ApiError::NotFound)?.sent_messages > MAX_MESSAGES {
        state.pending_codes.take(id, now);
        return Err(ApiError::NotFound);
    }
    run_blocking(state, move |state| {
        let Some(outbox) = state.outbox() else {
            return Ok(());
        };
        let message = Message {
            to: &address,
            subject: "Your sign-in code",
            body: message_body(&code),
        };
        outbox.deliver(&message, now)
    })
    .await
}

fn message_body(code: &Secret) -> String {
    format!(
        "Your code is {}.\n\nIt works once, for the sign-in that asked for it. If that was not you, \
         somebody knows your password: change it.",
        code.expose()
    )
}

/// A random code of six digits.
fn random_code() -> Secret {
    // The bias of the modulo is negligible for a random number of 64 bits.
    Secret::new(format!(
        "{:06}",
        u64::from_be_bytes(system::random::<8>()) % 1_000_000
    ))
}
