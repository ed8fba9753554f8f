//! The public keys that verify access tokens, as JWKS and as PEM, and the discovery document.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::api_error::{ApiError, ApiResult};
use super::json_response::json_response;
use crate::embedded::server_state::ServerState;

/// `GET /.well-known/jwks.json`.
pub(super) async fn jwks(State(state): State<Arc<ServerState>>) -> Response {
    state.statistics.key_fetches.increment();
    let body = json!({ "keys": [state.issuer().key().public()] });
    json_response(StatusCode::OK, &body)
}

/// `GET /api/jwt/public-key`: as PEM. A key is selected by `kid` (its documented name) or `keyId`
/// (its name in the OpenAPI description).
pub(super) async fn pem(
    State(state): State<Arc<ServerState>>,
    Query(query): Query<HashMap<String, String>>,
) -> ApiResult {
    let issuer = state.issuer();
    let key = issuer.key().public();
    let requested = query.get("kid").or(query.get("keyId"));
    if requested.is_some_and(|kid| *kid != key.kid) {
        return Err(ApiError::NotFound);
    }
    let is_single = requested.is_some() || query.contains_key("applicationId");
    let body = if is_single {
        json!({ "publicKey": key.pem() })
    } else {
        json!({ "publicKeys": { &key.kid: key.pem() } })
    };
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /.well-known/openid-configuration`: the endpoints that exist.
pub(super) fn openid_configuration(state: &ServerState, url: &str) -> Response {
    let body = json!({
        "issuer": state.issuer().name(),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "token_endpoint": format!("{url}/oauth2/token"),
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "subject_types_supported": ["public"],
        "response_types_supported": [],
        "scopes_supported": ["openid", "offline_access"],
        "id_token_signing_alg_values_supported": [state.issuer().key().public().alg()],
        "claims_supported": [
            "applicationId", "aud", "auth_time", "email", "email_verified", "exp", "family_name",
            "given_name", "iat", "iss", "jti", "name", "preferred_username", "roles", "sid", "sub",
            "tid",
        ],
    });
    json_response(StatusCode::OK, &body)
}
