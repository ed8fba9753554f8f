//! `POST /api/two-factor/login` and `/send`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;

use super::admission::{Proved, Tokens, admit, application, require_active};
use super::answer::{Answer, Fault, Refusal, read, with_database};
use crate::embedded::server::Identity;
use crate::embedded::tokens::Authentication;
use crate::embedded::users::{User, totp_step};

/// Wrong codes before the sign-in must begin again: at most that many in a million are guessed.
const MOST_ATTEMPTS: u32 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TwoFactorLoginRequest {
    code: Option<String>,
    two_factor_id: Option<String>,
    application_id: Option<String>,
    #[serde(rename = "noJWT")]
    no_jwt: Option<bool>,
}

/// Completes a sign-in with a code of the authenticator app or a recovery code.
pub(super) async fn login(State(identity): State<Arc<Identity>>, body: Bytes) -> Answer {
    identity.statistics.two_factor_logins.one_more();
    let request: TwoFactorLoginRequest = read(&body)?;
    let code = request.code.filter(|code| !code.trim().is_empty());
    let code = code.ok_or(Refusal::Invalid("code", Fault::Blank))?;
    let id = request.two_factor_id.ok_or(Refusal::Invalid("twoFactorId", Fault::Blank))?;
    let named = application(request.application_id)?;
    let now = identity.clock.now();
    // Counted before the code is looked at, so that many at once are not more than many in turn.
    let awaited = identity.codes.look(&id, now, |awaited| awaited.attempts += 1).ok_or(Refusal::NotFound)?;
    if awaited.attempts > MOST_ATTEMPTS {
        identity.codes.take(&id, now);
        return Err(Refusal::NotFound);
    }
    let user = Arc::clone(identity.users.by_id(&awaited.user).ok_or(Refusal::NotFound)?);
    require_active(&user)?;
    if !is_right(&identity, &user, code).await? {
        return Err(Refusal::WrongCode);
    }
    identity.codes.take(&id, now).ok_or(Refusal::NotFound)?;
    let proved = Proved {
        user,
        application: named.or(awaited.application),
        authentication: Authentication::Password,
        tokens: Tokens::unless(request.no_jwt),
    };
    admit(&identity, proved).await
}

/// Nothing is ever sent: the only method is an authenticator app, and FusionAuth refuses this for it as well.
pub(super) async fn send(State(identity): State<Arc<Identity>>, Path(id): Path<String>) -> Answer {
    match identity.codes.look(&id, identity.clock.now(), |_| {}) {
        Some(_) => Err(Refusal::Invalid("methodId", Fault::Invalid)),
        None => Ok(StatusCode::NOT_FOUND.into_response()),
    }
}

async fn is_right(identity: &Arc<Identity>, user: &Arc<User>, code: String) -> Result<bool, Refusal> {
    let Some(two_factor) = &user.two_factor else { return Ok(false) };
    let step = totp_step(two_factor.totp.expose(), code.trim(), identity.clock.now());
    let user = Arc::clone(user);
    with_database(identity, move |identity| match step {
        Some(step) => identity.accounts.use_time_step(&user.id, step),
        None => identity.accounts.use_recovery_code(&user, &code),
    })
    .await
}
