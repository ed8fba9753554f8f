//! `POST /api/login`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::api_auth::{cookie, require_key};
use super::login_flow::{LoginFlow, Tokens, Trust, admit, application, require_active};
use super::response::{Answer, ApiError, ApiRefusal, read, with_database};
use super::two_factor;
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::server::Identity;
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
    two_factor_trust_id: Option<String>,
    #[serde(rename = "noJWT")]
    no_jwt: Option<bool>,
    #[serde(flatten)]
    from: ClientMetadata,
}

/// Checks a password, or the one-time password that follows a change of password.
pub(super) async fn login(
    State(identity): State<Arc<Identity>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    identity.statistics.logins.one_more();
    require_key(&headers, &identity)?;
    let request: LoginRequest = read(&body)?;
    let application = application(request.application_id)?;
    let (tokens, trust, from) = (
        Tokens::unless(request.no_jwt),
        Trust::Unwanted,
        request.from.bounded(),
    );
    if let Some(once) = request.one_time_password {
        let now = identity.clock.now();
        let id = identity
            .one_time_passwords
            .take(&once, now)
            .ok_or(ApiRefusal::NotFound)?;
        let user = Arc::clone(identity.users.by_id(&id).ok_or(ApiRefusal::NotFound)?);
        require_active(&user)?;
        let authentication = Authentication::OneTimePassword;
        return admit(
            &identity,
            LoginFlow {
                user,
                application,
                authentication,
                tokens,
                trust,
                from,
            },
        )
        .await;
    }
    let login_id = request.login_id.filter(|id| !id.trim().is_empty());
    let login_id = login_id.ok_or(ApiRefusal::Invalid("loginId", ApiError::Blank))?;
    let password = request.password.filter(|password| !password.is_empty());
    let password = password.ok_or(ApiRefusal::Invalid("password", ApiError::Blank))?;
    let user = with_password(&identity, &login_id, Secret::new(password)).await?;
    // Only who knows the password learns the state of the account.
    require_active(&user)?;
    // A cookie wins over the body, as everywhere in this API.
    let proof = cookie(&headers, "fusionauth.trust").or(request.two_factor_trust_id);
    if user.two_factor.is_some() && !is_trusted(&identity, &user, proof).await? {
        return Ok(two_factor::ask(&identity, &user, application));
    }
    let authentication = Authentication::Password;
    admit(
        &identity,
        LoginFlow {
            user,
            application,
            authentication,
            tokens,
            trust,
            from,
        },
    )
    .await
}

/// Whether `proof` says that this device of `user` is trusted.
async fn is_trusted(
    identity: &Arc<Identity>,
    user: &Arc<User>,
    proof: Option<String>,
) -> Result<bool, ApiRefusal> {
    let Some(proof) = proof else { return Ok(false) };
    let (user, now) = (Arc::clone(user), identity.clock.now());
    with_database(identity, move |identity| {
        let (password, _) = identity.accounts.password_of(&user)?;
        identity.trusts.holds(&proof, &user.id, &password, now)
    })
    .await
}

/// The user with this name and password. A hash is computed in every case: the time says nothing
/// about who exists.
pub(super) async fn with_password(
    identity: &Arc<Identity>,
    login_id: &str,
    password: Secret,
) -> Result<Arc<User>, ApiRefusal> {
    let known = identity.users.by_login(login_id).cloned();
    let asked = known.clone();
    let hash = with_database(identity, move |identity| {
        asked
            .map(|user| identity.accounts.password_of(&user))
            .transpose()
    });
    let hash = hash.await?.map(|(hash, _)| hash);
    let right = identity.passwords.matches(hash, password).await;
    known.filter(|_| right).ok_or(ApiRefusal::NotFound)
}
