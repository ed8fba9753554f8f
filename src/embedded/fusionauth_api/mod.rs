//! FusionAuth's API over HTTP. This file has the routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use super::server_state::ServerState;

pub(super) mod api_auth;
pub(super) mod api_error;
pub(super) mod blocking;
pub(super) mod change_password;
pub(super) mod json_response;
pub(super) mod login;
pub(super) mod login_flow;
mod logout;
mod public_keys;
pub(super) mod refresh_grant;
mod request_body;
mod revoke;
mod session_list;
#[cfg(test)]
mod tests;
pub(super) mod two_factor;
mod user_info;

/// The maximum size of a request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The router of the API.
pub(super) fn router(state: Arc<ServerState>) -> Router {
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
        .route("/api/logout", post(logout::logout))
        .route("/api/jwt/validate", get(user_info::validate))
        .route("/api/user", get(user_info::find))
        .route("/api/user/{id}", get(user_info::by_id))
        .route("/api/jwt/public-key", get(public_keys::pem))
        .route("/.well-known/jwks.json", get(public_keys::jwks))
        .route("/api/status", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
