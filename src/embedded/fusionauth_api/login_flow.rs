//! The end of a login, after the user has authenticated: the steps that may still be required, and
//! then the tokens.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::api_error::{ApiError, ApiResult, FieldError};
use super::blocking::with_database;
use super::json_response::{fusionauth_status, json_response};
use super::user_info::describe_user;
use crate::embedded::accounts::password_fingerprint;
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::ids;
use crate::embedded::refresh_sessions::{NewSession, Session};
use crate::embedded::server_state::ServerState;
use crate::embedded::token_issuer::{AuthenticationType, TokenSubject};
use crate::embedded::users::{AccountState, User};
use crate::model::timestamp::Timestamp;

/// A login whose user has authenticated.
pub(super) struct LoginFlow {
    pub(super) user: Arc<User>,
    pub(super) authentication: AuthenticationType,
    pub(super) device_trust: DeviceTrust,
    pub(super) parameters: LoginParameters,
}

/// What a login is for, as the client asks for it.
pub(super) struct LoginParameters {
    /// The id of the application to sign in to.
    pub(super) application: Option<String>,
    pub(super) tokens: TokenIssuance,
    pub(super) client: ClientMetadata,
}

/// Whether the client asks to trust the device, so that it needs no second-factor code next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceTrust {
    Requested,
    NotRequested,
}

/// Whether the client asks for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenIssuance {
    Requested,
    NotRequested,
}

impl TokenIssuance {
    /// From the API's `noJWT`.
    pub(super) fn from_no_jwt(no_jwt: Option<bool>) -> Self {
        if no_jwt == Some(true) {
            Self::NotRequested
        } else {
            Self::Requested
        }
    }
}

/// Requires that the account can be used.
pub(in crate::embedded) fn require_active(user: &User) -> Result<(), ApiError> {
    match user.state {
        AccountState::Active => Ok(()),
        AccountState::Locked => Err(ApiError::AccountLocked),
        AccountState::Expired => Err(ApiError::AccountExpired),
        AccountState::LoginPrevented => Err(ApiError::LoginPrevented),
    }
}

/// Requires that an application's id has a valid form. It is normally a UUID.
pub(super) fn validate_application(id: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > 128 || !id.bytes().all(is_allowed) {
        let error = FieldError::Invalid;
        return Err(ApiError::InvalidField("applicationId", error));
    }
    Ok(Some(id))
}

/// Completes a login. The checks have FusionAuth's order: 203, 212, 213, 202, 200.
pub(super) async fn complete_login(state: &Arc<ServerState>, login: LoginFlow) -> ApiResult {
    let account = Arc::clone(&login.user);
    let current = with_database(state, move |state| {
        state.account_changes.current_password(&account)
    })
    .await?;
    let user = &login.user;
    if let Some(reason) = current.change_reason {
        let id = state
            .pending_password_changes
            .insert(user.id.clone(), state.clock.now());
        let body = json!({ "changePasswordId": id, "changePasswordReason": reason });
        let status = StatusCode::NON_AUTHORITATIVE_INFORMATION;
        return Ok(json_response(status, &body));
    }
    let mut body = Map::from_iter([("user".to_owned(), describe_user(state, user))]);
    if !user.email_verified {
        let id = ids::random_secret();
        body.insert("emailVerificationId".to_owned(), id.into());
        return Ok(json_response(fusionauth_status(212), &body));
    }
    let Some(application) = login.parameters.application.as_deref() else {
        trust_device(state, &login, current.hash, &mut body).await?;
        add_access_token(state, &login, None, &mut body)?;
        return Ok(json_response(StatusCode::OK, &body));
    };
    if user
        .unverified_applications
        .iter()
        .any(|unverified| unverified == application)
    {
        let id = ids::random_secret();
        body.insert("registrationVerificationId".to_owned(), id.into());
        return Ok(json_response(fusionauth_status(213), &body));
    }
    if !user.is_registered(application) {
        add_access_token(state, &login, None, &mut body)?;
        return Ok(json_response(StatusCode::ACCEPTED, &body));
    }
    trust_device(state, &login, current.hash, &mut body).await?;
    if login.parameters.tokens == TokenIssuance::Requested {
        let session = start_session(state, &login, application, &mut body).await?;
        add_access_token(state, &login, Some(&session), &mut body)?;
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// Trusts the device if the client asked for it, and adds the trust id to `body`.
async fn trust_device(
    state: &Arc<ServerState>,
    login: &LoginFlow,
    password_hash: String,
    body: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    if login.device_trust == DeviceTrust::Requested {
        let (user, now) = (login.user.id.clone(), state.clock.now());
        let id = with_database(state, move |state| {
            state.trusted_devices.trust(&user, &password_hash, now)
        })
        .await?;
        body.insert("twoFactorTrustId".to_owned(), id.expose().into());
    }
    Ok(())
}

/// Starts a session and adds its refresh token to `body`.
async fn start_session(
    state: &Arc<ServerState>,
    login: &LoginFlow,
    application: &str,
    body: &mut Map<String, Value>,
) -> Result<Session, ApiError> {
    let (user, application) = (Arc::clone(&login.user), application.to_owned());
    let (client, now) = (login.parameters.client.clone(), state.clock.now());
    let started = with_database(state, move |state| {
        let new = NewSession {
            user: &user.id,
            application: &application,
            password: password_fingerprint(&user),
            client,
            signed_in: now,
            browser_session: None,
        };
        state.sessions().create(new)
    })
    .await?;
    // The users may have changed since the password was checked. Whoever replaces them ends the
    // sessions that were there before, and here ends the one that was not.
    if state.accounts().user_of(&started.session).is_none() {
        with_database(state, move |state| {
            state.sessions().end(&started.session.id)
        })
        .await?;
        return Err(ApiError::NotFound);
    }
    let token = started.refresh_token.expose();
    body.insert("refreshToken".to_owned(), token.into());
    body.insert(
        "refreshTokenId".to_owned(),
        started.session.id.clone().into(),
    );
    Ok(started.session)
}

/// Adds an access token to `body` if the client asked for tokens.
fn add_access_token(
    state: &ServerState,
    login: &LoginFlow,
    session: Option<&Session>,
    body: &mut Map<String, Value>,
) -> Result<(), ApiError> {
    if login.parameters.tokens == TokenIssuance::Requested {
        let now = state.clock.now();
        let subject = TokenSubject {
            user: &login.user,
            application: login.parameters.application.as_deref(),
            session: session.map(|session| session.id.as_str()),
            signed_in: now,
            authentication: login.authentication,
        };
        let issued = state.issuer().issue(&subject, None, now)?;
        let expires = Timestamp::from_secs(issued.claims.exp);
        body.insert("token".to_owned(), issued.token.into());
        body.insert("tokenExpirationInstant".to_owned(), expires.millis().into());
    }
    Ok(())
}
