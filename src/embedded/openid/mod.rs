//! Sign-in by redirect: OpenID Connect Core 1.0 with the authorization code flow (RFC 6749, RFC
//! 7636), logout at the request of a client, and logout tokens to clients. This file has the
//! routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};

use super::server_state::ServerState;

mod authorization_code;
mod authorization_endpoint;
mod authorization_grant;
mod browser;
mod client_credentials;
pub mod clients;
mod discovery_document;
mod end_session_endpoint;
mod form_parameters;
mod logout_delivery;
pub(super) mod openid_state;
mod openid_tokens;
mod requested_sign_in;
mod revocation_endpoint;
mod sign_in_page;
mod sign_in_steps;
#[cfg(test)]
mod tests;
mod token_endpoint;
mod userinfo_endpoint;

pub(super) use logout_delivery::deliver_logouts;

/// The maximum size of a request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The router of sign-in by redirect. `url` is the address where the server listens.
pub(super) fn router(state: Arc<ServerState>, url: String) -> Router {
    let discovery = async move |State(state): State<Arc<ServerState>>, headers| {
        discovery_document::openid_configuration(&state, &url, &headers)
    };
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route(
            "/oauth2/authorize",
            get(authorization_endpoint::show).post(authorization_endpoint::submit),
        )
        .route("/oauth2/token", post(token_endpoint::token))
        .route(
            "/oauth2/userinfo",
            get(userinfo_endpoint::userinfo).post(userinfo_endpoint::userinfo),
        )
        .route("/oauth2/revoke", post(revocation_endpoint::revoke))
        .route(
            "/oauth2/logout",
            get(end_session_endpoint::show).post(end_session_endpoint::submit),
        )
        .route("/oauth2/style.css", get(sign_in_page::style))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
