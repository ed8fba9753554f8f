//! `POST /api/two-factor/login` and `/send`: the code after the password.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::login_flow::{LoginFlow, Tokens, Trust, admit, application, coded, require_active};
use super::response::{
    Answer, ApiError, ApiRefusal, apart, json_with, read, read_or_default, with_database,
};
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::ids;
use crate::embedded::outbox::Message;
use crate::embedded::server::{CodeAwaited, Identity};
use crate::embedded::tokens::Authentication;
use crate::embedded::two_factor::{Method, TwoFactor};
use crate::embedded::users::{User, totp_step};
use crate::model::login::FactorKind;
use crate::model::secret::Secret;
use crate::system;

/// Wrong codes before the sign-in must begin again: at most that many in a million are guessed.
const MOST_ATTEMPTS: u32 = 10;
/// Messages before the sign-in must begin again: who knows a password must not flood its owner.
const MOST_MESSAGES: u32 = 5;

/// 242: asks for a code, and says where it may come from.
pub(super) fn ask(identity: &Identity, user: &User, application: Option<String>) -> Response {
    let awaited = CodeAwaited {
        user: user.id.clone(),
        application,
        attempts: 0,
        sent: None,
        messages: 0,
    };
    let id = identity.codes.put(awaited, identity.clock.now());
    let offered = user
        .two_factor
        .iter()
        .flat_map(TwoFactor::methods)
        .filter(|method| can_be_had(identity, *method));
    let methods: Vec<Value> = offered
        .enumerate()
        .map(|(at, method)| described(method, at == 0))
        .collect();
    json_with(
        coded(242),
        &json!({ "twoFactorId": id, "methods": methods }),
    )
}

fn can_be_had(identity: &Identity, method: Method<'_>) -> bool {
    !method.is_sent() || identity.outbox.is_some()
}

fn described(method: Method<'_>, last_used: bool) -> Value {
    let (id, kind) = (method.id, method.kind.as_str());
    match method.kind {
        FactorKind::Authenticator => {
            let authenticator = json!({ "algorithm": "HmacSHA1", "codeLength": 6, "timeStep": 30 });
            json!({ "id": id, "method": kind, "lastUsed": last_used, "authenticator": authenticator })
        }
        FactorKind::Email => {
            json!({ "id": id, "method": kind, "lastUsed": last_used, "email": method.masked() })
        }
        FactorKind::Sms => {
            json!({ "id": id, "method": kind, "lastUsed": last_used, "mobilePhone": method.masked() })
        }
    }
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
    from: ClientMetadata,
}

/// Completes a sign-in with a code of the authenticator app, a code that was sent, or a recovery
/// code.
pub(super) async fn login(State(identity): State<Arc<Identity>>, body: Bytes) -> Answer {
    identity.statistics.two_factor_logins.one_more();
    let request: TwoFactorLoginRequest = read(&body)?;
    let code = request.code.filter(|code| !code.trim().is_empty());
    let code = code.ok_or(ApiRefusal::Invalid("code", ApiError::Blank))?;
    let id = request
        .two_factor_id
        .ok_or(ApiRefusal::Invalid("twoFactorId", ApiError::Blank))?;
    let named = application(request.application_id)?;
    let now = identity.clock.now();
    // Counted before the code is looked at, so that many at once are not more than many in turn.
    let awaited = identity
        .codes
        .look(&id, now, |awaited| awaited.attempts += 1)
        .ok_or(ApiRefusal::NotFound)?;
    if awaited.attempts > MOST_ATTEMPTS {
        identity.codes.take(&id, now);
        return Err(ApiRefusal::NotFound);
    }
    let user = Arc::clone(
        identity
            .users
            .by_id(&awaited.user)
            .ok_or(ApiRefusal::NotFound)?,
    );
    require_active(&user)?;
    if !was_sent(&awaited, &code) && !is_of_theirs(&identity, &user, code).await? {
        return Err(ApiRefusal::WrongCode);
    }
    identity.codes.take(&id, now).ok_or(ApiRefusal::NotFound)?;
    let proved = LoginFlow {
        user,
        application: named.or(awaited.application),
        authentication: Authentication::Password,
        tokens: Tokens::unless(request.no_jwt),
        trust: if request.trust_computer == Some(true) {
            Trust::Wanted
        } else {
            Trust::Unwanted
        },
        from: request.from.bounded(),
    };
    admit(&identity, proved).await
}

/// Compared as hashes, so that the time it takes says nothing about the code.
fn was_sent(awaited: &CodeAwaited, code: &str) -> bool {
    awaited
        .sent
        .as_ref()
        .is_some_and(|sent| ids::hashed(sent.expose()) == ids::hashed(code.trim()))
}

/// A code that nobody sent: of the app, or kept for a lost phone. It is used up by this.
async fn is_of_theirs(
    identity: &Arc<Identity>,
    user: &Arc<User>,
    code: String,
) -> Result<bool, ApiRefusal> {
    let Some(two_factor) = &user.two_factor else {
        return Ok(false);
    };
    let secret = two_factor.totp.as_ref().map(Secret::expose);
    let step = secret.and_then(|secret| totp_step(secret, code.trim(), identity.clock.now()));
    let user = Arc::clone(user);
    with_database(identity, move |identity| match step {
        Some(step) => identity.accounts.use_time_step(&user.id, step),
        None => identity.accounts.use_recovery_code(&user, &code),
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SendRequest {
    method_id: Option<String>,
}

/// Sends a new code; the ones before it are void. An app is asked for none, and FusionAuth refuses
/// this as well.
pub(super) async fn send(
    State(identity): State<Arc<Identity>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    identity.statistics.code_requests.one_more();
    let request: SendRequest = read_or_default(&body)?;
    let now = identity.clock.now();
    let awaited = identity
        .codes
        .look(&id, now, |_| {})
        .ok_or(ApiRefusal::NotFound)?;
    let user = Arc::clone(
        identity
            .users
            .by_id(&awaited.user)
            .ok_or(ApiRefusal::NotFound)?,
    );
    let wanted = request
        .method_id
        .ok_or(ApiRefusal::Invalid("methodId", ApiError::Blank))?;
    let mut theirs = user.two_factor.iter().flat_map(TwoFactor::methods);
    let method = theirs
        .find(|method| method.id == wanted && method.is_sent() && can_be_had(&identity, *method));
    let address = method
        .ok_or(ApiRefusal::Invalid("methodId", ApiError::Invalid))?
        .address
        .to_owned();
    let code = six_digits();
    let awaited = identity.codes.look(&id, now, |awaited| {
        awaited.messages += 1;
        awaited.sent = Some(code.clone());
    });
    if awaited.ok_or(ApiRefusal::NotFound)?.messages > MOST_MESSAGES {
        identity.codes.take(&id, now);
        return Err(ApiRefusal::NotFound);
    }
    apart(&identity, move |identity| {
        let Some(outbox) = &identity.outbox else { return Ok(()) };
        let body = format!(
            "Your code is {}.\n\nIt works once, for the sign-in that asked for it. If that was not you, somebody knows \
             your password: change it.",
            code.expose()
        );
        outbox.put(&Message { to: &address, subject: "Your sign-in code", body }, now)
    })
    .await?;
    Ok(StatusCode::OK.into_response())
}

fn six_digits() -> Secret {
    // Of 2^64 numbers no code has a millionth of a millionth more than another.
    Secret::new(format!(
        "{:06}",
        u64::from_be_bytes(system::random::<8>()) % 1_000_000
    ))
}
