//! `GET /api/user`, `GET /api/user/{userId}` and `GET /api/jwt/validate`: information about users
//! and access tokens.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::api_auth::{ApiAuth, require_api_key};
use super::api_error::{ApiError, ApiResult, FieldError};
use super::json_response::json_response;
use crate::embedded::ids;
use crate::embedded::server_state::ServerState;
use crate::embedded::users::{AccountState, User};

/// With the API key, the user with the `loginId`, `email` or `username` of the query. With an
/// access token, its own user.
pub(super) async fn find(
    State(state): State<Arc<ServerState>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> ApiResult {
    let users = state.users();
    let user = match ApiAuth::of(&headers, &state) {
        ApiAuth::ApiKey => {
            let login = ["loginId", "email", "username"]
                .iter()
                .find_map(|name| query.get(*name));
            let login = login.ok_or(ApiError::InvalidField("loginId", FieldError::Blank))?;
            users.by_login(login)
        }
        ApiAuth::User(claims) => users.by_id(&claims.sub),
        ApiAuth::Anonymous => return Err(ApiError::Unauthorized),
    };
    let user = user.ok_or(ApiError::NotFound)?;
    Ok(user_response(&state, user))
}

/// The user with this id. It requires the API key.
pub(super) async fn by_id(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    require_api_key(&headers, &state)?;
    let users = state.users();
    let user = users
        .by_id(&id.to_ascii_lowercase())
        .ok_or(ApiError::NotFound)?;
    Ok(user_response(&state, user))
}

fn user_response(state: &ServerState, user: &User) -> Response {
    let body = json!({ "user": describe_user(state, user) });
    json_response(StatusCode::OK, &body)
}

/// The claims of a valid access token. As in FusionAuth, revocations are not checked.
pub(super) async fn validate(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
) -> ApiResult {
    let ApiAuth::User(claims) = ApiAuth::of(&headers, &state) else {
        return Err(ApiError::Unauthorized);
    };
    let mut body = serde_json::to_value(&*claims).map_err(|_| ApiError::Internal)?;
    // In milliseconds, unlike in the token: FusionAuth documents it so.
    for (name, seconds) in [("exp", claims.exp), ("iat", claims.iat)] {
        if let Some(time) = body.get_mut(name) {
            *time = seconds.saturating_mul(1000).into();
        }
    }
    Ok(json_response(StatusCode::OK, &json!({ "jwt": body })))
}

/// A user as the API describes them, without the password hash, the TOTP secret and the recovery
/// codes.
pub(super) fn describe_user(state: &ServerState, user: &User) -> Value {
    let mut applications: Vec<&String> = match &user.applications {
        Some(registered) => registered.iter().collect(),
        None => user.roles.keys().filter(|key| *key != "*").collect(),
    };
    applications.sort();
    let registrations: Vec<Value> = applications
        .into_iter()
        .map(|application| {
            json!({
                "id": ids::uuid_of_name(&format!("registration {} {application}", user.id)),
                "applicationId": application,
                "roles": user.roles_in(application),
                "verified": !user.unverified_applications.contains(application),
            })
        })
        .collect();
    let mut described = json!({
        "id": user.id,
        "tenantId": state.issuer().tenant(),
        "active": user.state != AccountState::Locked,
        "email": user.email,
        "verified": user.email_verified,
        "registrations": registrations,
    });
    let optional = [
        ("username", &user.username),
        ("fullName", &user.name),
        ("firstName", &user.given_name),
        ("lastName", &user.family_name),
    ];
    if let Some(members) = described.as_object_mut() {
        for (member, value) in optional {
            if let Some(value) = value {
                members.insert(member.to_owned(), value.as_str().into());
            }
        }
    }
    described
}
