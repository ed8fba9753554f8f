//! The public keys that verify access tokens, as JWKS and as PEM.

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
