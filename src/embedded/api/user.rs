//! `GET /api/user` and `GET /api/jwt/validate`: what is known of people and tokens.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::api_auth::{ApiAuth, require_key};
use super::response::{Answer, ApiError, ApiRefusal, json_with};
use crate::embedded::ids;
use crate::embedded::server::Identity;
use crate::embedded::users::{AccountState, User};

/// By API key with `loginId`, `email` or `username`; by access token, oneself.
pub(super) async fn find(
    State(identity): State<Arc<Identity>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Answer {
    let user = match ApiAuth::of(&headers, &identity) {
        ApiAuth::Program => {
            let login = ["loginId", "email", "username"]
                .iter()
                .find_map(|name| query.get(*name));
            identity
                .users
                .by_login(login.ok_or(ApiRefusal::Invalid("loginId", ApiError::Blank))?)
        }
        ApiAuth::Person(claims) => identity.users.by_id(&claims.sub),
        ApiAuth::Anybody => return Err(ApiRefusal::Unauthorized),
    };
    let user = user.ok_or(ApiRefusal::NotFound)?;
    Ok(json_with(
        StatusCode::OK,
        &json!({ "user": described(&identity, user) }),
    ))
}

/// By API key and id.
pub(super) async fn by_id(
    State(identity): State<Arc<Identity>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    require_key(&headers, &identity)?;
    let user = identity
        .users
        .by_id(&id.to_ascii_lowercase())
        .ok_or(ApiRefusal::NotFound)?;
    Ok(json_with(
        StatusCode::OK,
        &json!({ "user": described(&identity, user) }),
    ))
}

/// The claims of an access token that is good now. It does not know of revocations, as FusionAuth
/// does not.
pub(super) async fn validate(State(identity): State<Arc<Identity>>, headers: HeaderMap) -> Answer {
    let ApiAuth::Person(claims) = ApiAuth::of(&headers, &identity) else {
        return Err(ApiRefusal::Unauthorized);
    };
    let mut shown = serde_json::to_value(&*claims).map_err(|_| ApiRefusal::Internal)?;
    // Milliseconds here, unlike in the token: that is how FusionAuth documents it.
    for (name, seconds) in [("exp", claims.exp), ("iat", claims.iat)] {
        if let Some(time) = shown.get_mut(name) {
            *time = seconds.saturating_mul(1000).into();
        }
    }
    Ok(json_with(StatusCode::OK, &json!({ "jwt": shown })))
}

/// A user as the API shows them: without the hash, the secret and the codes.
pub(super) fn described(identity: &Identity, user: &User) -> Value {
    let mut applications: Vec<&String> = match &user.applications {
        Some(listed) => listed.iter().collect(),
        None => user.roles.keys().filter(|key| *key != "*").collect(),
    };
    applications.sort();
    let registrations: Vec<Value> = applications
        .into_iter()
        .map(|application| {
            json!({
                "id": ids::stable_uuid(&format!("registration {} {application}", user.id)),
                "applicationId": application,
                "roles": user.roles_in(application),
                "verified": !user.unverified_applications.contains(application),
            })
        })
        .collect();
    let mut shown = json!({
        "id": user.id,
        "tenantId": identity.issuer.tenant(),
        "active": user.state != AccountState::Locked,
        "email": user.email,
        "verified": user.email_verified,
        "registrations": registrations,
    });
    let optional = [("username", &user.username), ("fullName", &user.name)];
    if let Some(members) = shown.as_object_mut() {
        for (member, value) in optional {
            if let Some(value) = value {
                members.insert(member.to_owned(), value.as_str().into());
            }
        }
    }
    shown
}
