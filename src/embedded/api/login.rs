//! `POST /api/login`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::admission::{Proved, Tokens, admit, application, coded, require_active};
use super::answer::{Answer, Fault, Refusal, json_with, read, with_database};
use super::caller::require_key;
use crate::embedded::server::{CodeAwaited, Identity};
use crate::embedded::tokens::Authentication;
use crate::embedded::users::User;
use crate::model::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginRequest {
    login_id: Option<String>,
    password: Option<String>,
    application_id: Option<String>,
    one_time_password: Option<String>,
    #[serde(rename = "noJWT")]
    no_jwt: Option<bool>,
}

/// Checks a password, or the one-time password that follows a change of password.
pub(super) async fn login(State(identity): State<Arc<Identity>>, headers: HeaderMap, body: Bytes) -> Answer {
    identity.statistics.logins.one_more();
    require_key(&headers, &identity)?;
    let request: LoginRequest = read(&body)?;
    let application = application(request.application_id)?;
    let tokens = Tokens::unless(request.no_jwt);
    if let Some(once) = request.one_time_password {
        let now = identity.clock.now();
        let id = identity.one_time_passwords.take(&once, now).ok_or(Refusal::NotFound)?;
        let user = Arc::clone(identity.users.by_id(&id).ok_or(Refusal::NotFound)?);
        require_active(&user)?;
        let authentication = Authentication::OneTimePassword;
        return admit(&identity, Proved { user, application, authentication, tokens }).await;
    }
    let login_id = request.login_id.filter(|id| !id.trim().is_empty());
    let login_id = login_id.ok_or(Refusal::Invalid("loginId", Fault::Blank))?;
    let password = request.password.filter(|password| !password.is_empty());
    let password = password.ok_or(Refusal::Invalid("password", Fault::Blank))?;
    let user = with_password(&identity, &login_id, Secret::new(password)).await?;
    // Only who knows the password learns the state of the account.
    require_active(&user)?;
    if user.two_factor.is_some() {
        let awaited = CodeAwaited { user: user.id.clone(), application, attempts: 0 };
        let id = identity.codes.put(awaited, identity.clock.now());
        let authenticator = json!({ "algorithm": "HmacSHA1", "codeLength": 6, "timeStep": 30 });
        let method =
            json!({ "id": "TOTP", "method": "authenticator", "authenticator": authenticator, "lastUsed": true });
        return Ok(json_with(coded(242), &json!({ "twoFactorId": id, "methods": [method] })));
    }
    let authentication = Authentication::Password;
    admit(&identity, Proved { user, application, authentication, tokens }).await
}

/// The user with this name and password. A hash is computed in every case: the time says nothing about who exists.
pub(super) async fn with_password(
    identity: &Arc<Identity>,
    login_id: &str,
    password: Secret,
) -> Result<Arc<User>, Refusal> {
    let known = identity.users.by_login(login_id).cloned();
    let asked = known.clone();
    let hash =
        with_database(identity, move |identity| asked.map(|user| identity.accounts.password_of(&user)).transpose());
    let hash = hash.await?.map(|(hash, _)| hash);
    let right = identity.passwords.matches(hash, password).await;
    known.filter(|_| right).ok_or(Refusal::NotFound)
}
