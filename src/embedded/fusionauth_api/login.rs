//! `POST /api/login`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::api_auth::{cookie, require_api_key};
use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::login_flow::{
    DeviceTrust, LoginFlow, LoginParameters, TokenIssuance, complete_login, require_active,
    validate_application,
};
use super::request_body::parse_json;
use super::two_factor;
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::AuthenticationType;
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
    client: ClientMetadata,
}

/// Signs a user in with a password, or with the one-time password that a change of password
/// returned.
pub(super) async fn login(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult {
    state.statistics.logins.increment();
    require_api_key(&headers, &state)?;
    let request: LoginRequest = parse_json(&body)?;
    let parameters = LoginParameters {
        application: validate_application(request.application_id)?,
        tokens: TokenIssuance::from_no_jwt(request.no_jwt),
        client: request.client.sanitized(),
    };
    if let Some(password) = request.one_time_password {
        return login_with_one_time_password(&state, &password, parameters).await;
    }
    let login_id = request.login_id.filter(|id| !id.trim().is_empty());
    let login_id = login_id.ok_or(ApiError::InvalidField("loginId", FieldError::Blank))?;
    let password = request.password.filter(|password| !password.is_empty());
    let password = password.ok_or(ApiError::InvalidField("password", FieldError::Blank))?;
    let user = verify_password(&state, &login_id, Secret::new(password)).await?;
    // The state of the account is told only to a client that knows the password.
    require_active(&user)?;
    // A cookie takes precedence over the body, as everywhere in this API.
    let trust_id = cookie(&headers, "fusionauth.trust").or(request.two_factor_trust_id);
    if user.two_factor.is_some() && !is_trusted(&state, &user, trust_id).await? {
        let application = parameters.application;
        return Ok(two_factor::require_code(&state, &user, application));
    }
    let login = LoginFlow {
        user,
        authentication: AuthenticationType::Password,
        device_trust: DeviceTrust::NotRequested,
        parameters,
    };
    complete_login(&state, login).await
}

async fn login_with_one_time_password(
    state: &Arc<ServerState>,
    password: &str,
    parameters: LoginParameters,
) -> ApiResult {
    let id = state
        .one_time_passwords
        .take(password, state.clock.now())
        .ok_or(ApiError::NotFound)?;
    let user = Arc::clone(state.users().by_id(&id).ok_or(ApiError::NotFound)?);
    require_active(&user)?;
    let login = LoginFlow {
        user,
        authentication: AuthenticationType::OneTimePassword,
        device_trust: DeviceTrust::NotRequested,
        parameters,
    };
    complete_login(state, login).await
}

/// Whether `trust_id` belongs to a trusted device of `user`.
async fn is_trusted(
    state: &Arc<ServerState>,
    user: &Arc<User>,
    trust_id: Option<String>,
) -> Result<bool, ApiError> {
    let Some(trust_id) = trust_id else {
        return Ok(false);
    };
    let (user, now) = (Arc::clone(user), state.clock.now());
    with_database(state, move |state| {
        let current = state.account_changes.current_password(&user)?;
        state
            .trusted_devices
            .is_trusted(&trust_id, &user.id, &current.hash, now)
    })
    .await
}

/// The user with this name and password. A hash is verified in every case, so that the time does
/// not tell which users exist.
pub(in crate::embedded) async fn verify_password(
    state: &Arc<ServerState>,
    login_id: &str,
    password: Secret,
) -> Result<Arc<User>, ApiError> {
    let user = state.users().by_login(login_id).cloned();
    let known_user = user.clone();
    let current = with_database(state, move |state| {
        known_user
            .map(|user| state.account_changes.current_password(&user))
            .transpose()
    });
    let hash = current.await?.map(|current| current.hash);
    let is_match = state.password_hasher().verify(hash, password).await;
    user.filter(|_| is_match).ok_or(ApiError::NotFound)
}
