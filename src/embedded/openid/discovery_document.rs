//! `GET /.well-known/openid-configuration` (OpenID Connect Discovery 1.0, section 4).

use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::embedded::fusionauth_api::json_response::json_response;
use crate::embedded::server_state::ServerState;

/// The document. Browsers go to the public origin. A client that asks at `url`, where the server
/// listens, finds the endpoints for its own calls there too, so that they need neither DNS nor TLS.
pub fn openid_configuration(state: &ServerState, url: &str, headers: &HeaderMap) -> Response {
    let issuer = state.issuer();
    let mut document = json!({
        "issuer": issuer.name(),
        "jwks_uri": format!("{url}/.well-known/jwks.json"),
        "token_endpoint": format!("{url}/oauth2/token"),
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "subject_types_supported": ["public"],
        "response_types_supported": [],
        "scopes_supported": ["openid", "offline_access"],
        "id_token_signing_alg_values_supported": [issuer.key().public().alg()],
        "claims_supported": [
            "applicationId", "aud", "auth_time", "email", "email_verified", "exp", "family_name",
            "given_name", "iat", "iss", "jti", "name", "preferred_username", "roles", "sid", "sub",
            "tid",
        ],
    });
    if let Some(settings) = state.openid_settings() {
        let public = &settings.url;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_direct = host.is_some_and(|host| url.strip_prefix("http://") == Some(host));
        let called = if is_direct { url } else { public };
        merge(&mut document, by_redirect(public, called));
    }
    json_response(StatusCode::OK, &document)
}

/// The members of sign-in by redirect: `public` is for browsers, `called` for clients.
fn by_redirect(public: &str, called: &str) -> Value {
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    json!({
        "authorization_endpoint": format!("{public}/oauth2/authorize"),
        "end_session_endpoint": format!("{public}/oauth2/logout"),
        "jwks_uri": format!("{called}/.well-known/jwks.json"),
        "token_endpoint": format!("{called}/oauth2/token"),
        "userinfo_endpoint": format!("{called}/oauth2/userinfo"),
        "revocation_endpoint": format!("{called}/oauth2/revoke"),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            "at_hash", "aud", "auth_time", "email", "email_verified", "exp", "family_name",
            "given_name", "iat", "iss", "jti", "name", "nonce", "preferred_username", "roles",
            "sid", "sub",
        ],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

fn merge(document: &mut Value, members: Value) {
    if let (Some(document), Value::Object(members)) = (document.as_object_mut(), members) {
        document.extend(members);
    }
}
