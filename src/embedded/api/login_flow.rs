//! What becomes of somebody who proved who they are: the steps that may still stand between them
//! and their tokens.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::response::{Answer, ApiRefusal, json_with, with_database};
use super::user::described;
use crate::embedded::client_metadata::ClientMetadata;
use crate::embedded::ids;
use crate::embedded::server::Identity;
use crate::embedded::tokens::{Authentication, Subject};
use crate::embedded::users::{AccountState, User};

/// Somebody who proved who they are.
pub(super) struct LoginFlow {
    pub(super) user: Arc<User>,
    pub(super) application: Option<String>,
    pub(super) authentication: Authentication,
    pub(super) tokens: Tokens,
    /// Whether their device shall not be asked for a code again for a while.
    pub(super) trust: Trust,
    /// Where they are.
    pub(super) from: ClientMetadata,
}

/// Whether a device shall be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Wanted,
    Unwanted,
}

/// Whether tokens are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    Wanted,
    Unwanted,
}

impl Tokens {
    /// From the API's `noJWT`.
    pub(super) fn unless(no_jwt: Option<bool>) -> Self {
        if no_jwt == Some(true) {
            Self::Unwanted
        } else {
            Self::Wanted
        }
    }
}

/// Whether the account may be used at all.
pub(super) fn require_active(user: &User) -> Result<(), ApiRefusal> {
    match user.state {
        AccountState::Active => Ok(()),
        AccountState::Locked => Err(ApiRefusal::AccountLocked),
        AccountState::Expired => Err(ApiRefusal::AccountExpired),
        AccountState::LoginPrevented => Err(ApiRefusal::LoginPrevented),
    }
}

/// An application's id as it may be named: normally a UUID.
pub(super) fn application(named: Option<String>) -> Result<Option<String>, ApiRefusal> {
    let Some(name) = named else { return Ok(None) };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(good) {
        return Err(ApiRefusal::Invalid(
            "applicationId",
            super::response::ApiError::Invalid,
        ));
    }
    Ok(Some(name))
}

/// The last steps, in FusionAuth's order: 203, 212, 213, 202, 200.
pub(super) async fn admit(identity: &Arc<Identity>, proved: LoginFlow) -> Answer {
    let user = Arc::clone(&proved.user);
    let (password, must_change) = with_database(identity, move |identity| {
        identity.accounts.password_of(&user)
    })
    .await?;
    let user = &proved.user;
    if let Some(reason) = must_change {
        let id = identity
            .password_changes
            .put(user.id.clone(), identity.clock.now());
        let body = json!({ "changePasswordId": id, "changePasswordReason": reason });
        return Ok(json_with(StatusCode::NON_AUTHORITATIVE_INFORMATION, &body));
    }
    let mut body = Map::from_iter([("user".to_owned(), described(identity, user))]);
    if !user.email_verified {
        body.insert(
            "emailVerificationId".to_owned(),
            ids::random_secret().into(),
        );
        return Ok(json_with(coded(212), &body));
    }
    let Some(application) = proved.application.as_deref() else {
        trust(identity, &proved, password, &mut body).await?;
        return with_tokens(identity, &proved, None, (StatusCode::OK, body));
    };
    if user
        .unverified_applications
        .iter()
        .any(|one| one == application)
    {
        body.insert(
            "registrationVerificationId".to_owned(),
            ids::random_secret().into(),
        );
        return Ok(json_with(coded(213), &body));
    }
    if !user.is_registered(application) {
        return with_tokens(identity, &proved, None, (StatusCode::ACCEPTED, body));
    }
    trust(identity, &proved, password, &mut body).await?;
    if proved.tokens == Tokens::Unwanted {
        return Ok(json_with(StatusCode::OK, &body));
    }
    let (id, application, now) = (
        user.id.clone(),
        application.to_owned(),
        identity.clock.now(),
    );
    let from = proved.from.clone();
    let (session, refresh) = with_database(identity, move |identity| {
        identity.sessions.begin(&id, &application, from, now)
    })
    .await?;
    body.insert("refreshToken".to_owned(), refresh.expose().into());
    body.insert("refreshTokenId".to_owned(), session.id.clone().into());
    with_tokens(identity, &proved, Some(&session.id), (StatusCode::OK, body))
}

/// Gives the proof that this device is trusted, where that is wished.
async fn trust(
    identity: &Arc<Identity>,
    proved: &LoginFlow,
    password: String,
    body: &mut Map<String, Value>,
) -> Result<(), ApiRefusal> {
    if proved.trust == Trust::Wanted {
        let (id, now) = (proved.user.id.clone(), identity.clock.now());
        let trusted = with_database(identity, move |identity| {
            identity.trusts.begin(&id, &password, now)
        })
        .await?;
        body.insert("twoFactorTrustId".to_owned(), trusted.expose().into());
    }
    Ok(())
}

fn with_tokens(
    identity: &Identity,
    proved: &LoginFlow,
    session: Option<&str>,
    (status, mut body): (StatusCode, Map<String, Value>),
) -> Result<Response, ApiRefusal> {
    if proved.tokens == Tokens::Wanted {
        let now = identity.clock.now();
        let subject = Subject {
            user: &proved.user,
            application: proved.application.as_deref(),
            session,
            signed_in: now,
            authentication: proved.authentication,
        };
        let (token, expires) = identity.issuer.issue(&subject, None, now)?;
        body.insert("token".to_owned(), token.into());
        body.insert("tokenExpirationInstant".to_owned(), expires.millis().into());
    }
    Ok(json_with(status, &body))
}

/// FusionAuth's own success codes, which have no name.
pub(super) fn coded(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
