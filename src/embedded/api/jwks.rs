//! What others verify tokens with.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::response::{Answer, ApiRefusal, json_with};
use crate::embedded::server::Identity;

/// `GET /.well-known/jwks.json`.
pub(super) async fn published(State(identity): State<Arc<Identity>>) -> Response {
    identity.statistics.key_fetches.one_more();
    json_with(
        StatusCode::OK,
        &json!({ "keys": [identity.issuer.key().public()] }),
    )
}

/// `GET /api/jwt/public-key`: as PEM, by `kid` (its documented name) or `keyId` (its name in the
/// OpenAPI description).
pub(super) async fn public_key(
    State(identity): State<Arc<Identity>>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let key = identity.issuer.key().public();
    let asked = query.get("kid").or(query.get("keyId"));
    if asked.is_some_and(|kid| *kid != key.kid) {
        return Err(ApiRefusal::NotFound);
    }
    let one = asked.is_some() || query.contains_key("applicationId");
    let body = if one {
        json!({ "publicKey": key.pem() })
    } else {
        json!({ "publicKeys": { &key.kid: key.pem() } })
    };
    Ok(json_with(StatusCode::OK, &body))
}

/// `GET /.well-known/openid-configuration`: of the endpoints there are.
pub(super) fn openid_configuration(identity: &Identity, url: &str) -> Response {
    let body = json!({
        "issuer": identity.issuer.name(),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "token_endpoint": format!("{url}/oauth2/token"),
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "subject_types_supported": ["public"],
        "response_types_supported": [],
        "scopes_supported": ["openid", "offline_access"],
        "id_token_signing_alg_values_supported": [identity.issuer.key().public().alg()],
        "claims_supported": [
            "applicationId", "aud", "auth_time", "email", "email_verified", "exp", "iat", "iss", "jti",
            "preferred_username", "roles", "sid", "sub", "tid",
        ],
    });
    json_with(StatusCode::OK, &body)
}
