//! `GET` and `POST /oauth2/userinfo`: the user of an access token (OpenID Connect Core 1.0, section
//! 5.3).

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::openid_tokens::profile;
use crate::embedded::fusionauth_api::api_error::{ApiError, ApiResult};
use crate::embedded::fusionauth_api::blocking::with_database;
use crate::embedded::fusionauth_api::json_response::json_response;
use crate::embedded::server_state::ServerState;

/// Claims of the token that say nothing about the user.
const OF_THE_TOKEN: [&str; 6] = ["iss", "aud", "exp", "iat", "jti", "auth_time"];

/// Answers while the session of the token has not ended.
pub async fn userinfo(State(state): State<Arc<ServerState>>, headers: HeaderMap) -> ApiResult {
    if state.openid_settings().is_none() {
        return Err(ApiError::NotFound);
    }
    let claims = bearer(&headers).and_then(|token| state.issuer().verify(token, state.clock.now()));
    let Some(claims) = claims else {
        return Ok(invalid_token());
    };
    let (sid, now) = (claims.sid.clone(), state.clock.now());
    let session = with_database(&state, move |state| {
        let session = sid
            .map(|sid| state.sessions().by_id(&sid, now))
            .transpose()?;
        Ok(session.flatten())
    })
    .await?;
    let accounts = state.accounts();
    if session.is_none_or(|session| accounts.user_of(&session).is_none()) {
        return Ok(invalid_token());
    }
    let mut members = profile(&claims)?;
    members.retain(|name, _| !OF_THE_TOKEN.contains(&name.as_str()));
    Ok(json_response(StatusCode::OK, &members))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// RFC 6750, section 3.1.
fn invalid_token() -> Response {
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
}
