//! `POST /api/jwt/refresh`, the refresh grant of `POST /oauth2/token`, and looking sessions up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Form, Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api_auth::{ApiAuth, cookie};
use super::login_flow::require_active;
use super::response::{Answer, ApiError, ApiRefusal, json_with, read_or_default, with_database};
use crate::embedded::refresh_sessions::{Renewal, Selection, Session};
use crate::embedded::server::Identity;
use crate::embedded::tokens::{Authentication, Subject};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    refresh_token: Option<String>,
    time_to_live_in_seconds: Option<u64>,
}

/// Exchanges a refresh token for an access token and its successor. A cookie wins over the body.
pub(super) async fn refresh(
    State(identity): State<Arc<Identity>>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    identity.statistics.refreshes.one_more();
    let request: RefreshRequest = read_or_default(&body)?;
    let lifetime = request.time_to_live_in_seconds.map(Duration::from_secs);
    if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime >= identity.issuer.lifetime())
    {
        return Err(ApiRefusal::Invalid(
            "timeToLiveInSeconds",
            ApiError::Invalid,
        ));
    }
    let presented = cookie(&headers, "refresh_token").or(request.refresh_token);
    let presented = presented.filter(|token| !token.is_empty());
    let presented = presented.ok_or(ApiRefusal::Invalid("refreshToken", ApiError::Blank))?;
    let renewed = renew(&identity, presented, lifetime).await?;
    let renewed = renewed.ok_or(ApiRefusal::Invalid("refreshToken", ApiError::Invalid))?;
    let body = json!({
        "token": renewed.access,
        "refreshToken": renewed.refresh.expose(),
        "refreshTokenId": renewed.session.id,
    });
    Ok(json_with(StatusCode::OK, &body))
}

#[derive(Deserialize)]
pub(super) struct TokenRequest {
    grant_type: Option<String>,
    refresh_token: Option<String>,
    client_id: Option<String>,
}

/// The refresh token grant of OAuth 2.0 (RFC 6749, section 6).
pub(super) async fn token(
    State(identity): State<Arc<Identity>>,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Answer {
    identity.statistics.refreshes.one_more();
    match request.grant_type.as_deref() {
        Some("refresh_token") => {}
        Some(_) => return Ok(oauth_error("unsupported_grant_type", "invalid_grant_type")),
        None => return Ok(oauth_error("invalid_request", "missing_grant_type")),
    }
    let Some(presented) = request.refresh_token.filter(|token| !token.is_empty()) else {
        return Ok(oauth_error("invalid_request", "missing_refresh_token"));
    };
    let Some(client) = request.client_id.or_else(|| basic_user(&headers)) else {
        return Ok(oauth_error("invalid_request", "missing_client_id"));
    };
    let (asked, now) = (presented.clone(), identity.clock.now());
    let session = with_database(&identity, move |identity| {
        identity.sessions.of_token(&asked, now)
    })
    .await?;
    // Before it is used up: a client that presents another one's token must not end it.
    if session.is_some_and(|session| session.application != client) {
        return Ok(oauth_error("invalid_grant", "client_id_mismatch"));
    }
    let Some(renewed) = renew(&identity, presented, None).await? else {
        return Ok(oauth_error("invalid_grant", "refresh_token_not_found"));
    };
    let body = json!({
        "access_token": renewed.access,
        "expires_in": identity.clock.now().until(renewed.expires).as_secs(),
        "token_type": "Bearer",
        "userId": renewed.session.user,
        "refresh_token": renewed.refresh.expose(),
        "refresh_token_id": renewed.session.id,
    });
    Ok(json_with(StatusCode::OK, &body))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    user_id: Option<String>,
}

/// `GET /api/jwt/refresh`: the sessions of a user.
pub(super) async fn list(
    State(identity): State<Arc<Identity>>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Answer {
    let user = query
        .user_id
        .ok_or(ApiRefusal::Invalid("userId", ApiError::Blank))?;
    if !ApiAuth::of(&headers, &identity).may_act_on(&user) {
        return Err(ApiRefusal::Unauthorized);
    }
    let selection = Selection {
        user: Some(user),
        application: None,
    };
    let now = identity.clock.now();
    let sessions = with_database(&identity, move |identity| {
        identity.sessions.list(&selection, now)
    })
    .await?;
    let described: Vec<Value> = sessions
        .iter()
        .map(|session| described(&identity, session))
        .collect();
    Ok(json_with(
        StatusCode::OK,
        &json!({ "refreshTokens": described }),
    ))
}

/// `GET /api/jwt/refresh/{tokenId}`: whether a session lives.
pub(super) async fn by_id(
    State(identity): State<Arc<Identity>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    let now = identity.clock.now();
    let session =
        with_database(&identity, move |identity| identity.sessions.by_id(&id, now)).await?;
    let caller = ApiAuth::of(&headers, &identity);
    match session {
        Some(session) if caller.may_act_on(&session.user) => Ok(json_with(
            StatusCode::OK,
            &json!({ "refreshToken": described(&identity, &session) }),
        )),
        None if matches!(caller, ApiAuth::Program | ApiAuth::Person(_)) => {
            Err(ApiRefusal::NotFound)
        }
        Some(_) | None => Err(ApiRefusal::Unauthorized),
    }
}

struct Renewed {
    session: Session,
    refresh: Secret,
    access: String,
    expires: Timestamp,
}

async fn renew(
    identity: &Arc<Identity>,
    presented: String,
    lifetime: Option<Duration>,
) -> Result<Option<Renewed>, ApiRefusal> {
    let now = identity.clock.now();
    let renewal = with_database(identity, move |identity| {
        identity.sessions.renew(&presented, now)
    })
    .await?;
    let (session, refresh) = match renewal {
        Renewal::Renewed(session, refresh) => (session, refresh),
        Renewal::Reused(user) => {
            tracing::warn!(
                user,
                "a used refresh token was presented again; its session is over"
            );
            return Ok(None);
        }
        Renewal::Dead => return Ok(None),
    };
    let Some(user) = identity
        .users
        .by_id(&session.user)
        .filter(|user| require_active(user).is_ok())
    else {
        with_database(identity, move |identity| identity.sessions.end(&session.id)).await?;
        return Ok(None);
    };
    let subject = Subject {
        user,
        application: Some(&session.application),
        session: Some(&session.id),
        signed_in: Timestamp::from_millis(session.started),
        authentication: Authentication::RefreshToken,
    };
    let (access, expires) = identity.issuer.issue(&subject, lifetime, now)?;
    Ok(Some(Renewed {
        session,
        refresh,
        access,
        expires,
    }))
}

fn described(identity: &Identity, session: &Session) -> Value {
    let mut device = session
        .from
        .device()
        .map_or_else(|| json!({}), |device| json!(device));
    if let (Some(address), Some(members)) = (&session.from.ip_address, device.as_object_mut()) {
        members.insert("lastAccessedAddress".to_owned(), address.as_str().into());
        members.insert("lastAccessedInstant".to_owned(), session.started.into());
    }
    json!({
        "metaData": { "device": device },
        "id": session.id,
        "userId": session.user,
        "applicationId": session.application,
        "tenantId": identity.issuer.tenant(),
        "insertInstant": session.started,
        "startInstant": session.started,
    })
}

fn oauth_error(error: &str, reason: &str) -> Response {
    let description = format!("The refresh token grant is refused: {reason}.");
    let body = json!({ "error": error, "error_reason": reason, "error_description": description });
    json_with(StatusCode::BAD_REQUEST, &body)
}

/// The client's id where it authenticates with HTTP Basic (RFC 6749, section 2.3.1).
fn basic_user(headers: &HeaderMap) -> Option<String> {
    let encoded = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded
        .split_once(':')
        .map(|(user, _)| user.to_owned())
        .filter(|user| !user.is_empty())
}
