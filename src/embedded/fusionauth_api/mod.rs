//! FusionAuth's API over HTTP. This file has the routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use super::server_state::ServerState;

mod api_auth;
mod api_error;
mod blocking;
mod change_password;
mod json_response;
mod login;
mod login_flow;
mod logout;
mod public_keys;
mod refresh_grant;
mod request_body;
mod revoke;
mod session_list;
#[cfg(test)]
mod tests;
mod two_factor;
mod user_info;

/// The maximum size of a request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The router of the API. `url` is the address of the server for clients.
pub(super) fn router(state: Arc<ServerState>, url: String) -> Router {
    let discovery = async move |State(state): State<Arc<ServerState>>| {
        public_keys::openid_configuration(&state, &url)
    };
    Router::new()
        .route("/api/login", post(login::login))
        .route("/api/two-factor/login", post(two_factor::login))
        .route("/api/two-factor/send/{id}", post(two_factor::send))
        .route("/api/user/change-password", post(change_password::change))
        .route(
            "/api/user/change-password/{id}",
            post(change_password::change_by_id).get(change_password::check),
        )
        .route(
            "/api/jwt/refresh",
            post(refresh_grant::refresh)
                .delete(revoke::revoke)
                .get(session_list::list),
        )
        .route(
            "/api/jwt/refresh/{id}",
            delete(revoke::revoke_by_id).get(session_list::by_id),
        )
        .route("/oauth2/token", post(refresh_grant::token))
        .route("/api/logout", post(logout::logout))
        .route("/api/jwt/validate", get(user_info::validate))
        .route("/api/user", get(user_info::find))
        .route("/api/user/{id}", get(user_info::by_id))
        .route("/api/jwt/public-key", get(public_keys::pem))
        .route("/.well-known/jwks.json", get(public_keys::jwks))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/api/status", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
