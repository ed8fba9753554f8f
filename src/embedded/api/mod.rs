//! FusionAuth's API over HTTP: the table of contents.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};

use super::server::Identity;

mod api_auth;
mod jwks;
mod login;
mod login_flow;
mod logout;
mod password;
mod refresh;
mod response;
mod revoke;
#[cfg(test)]
mod tests;
mod two_factor;
mod user;

/// The largest request body, in bytes.
const MOST_BODY: usize = 64 * 1024;

/// The whole API; `url` is where it is reached.
pub(super) fn router(identity: Arc<Identity>, url: String) -> Router {
    let discovery = async move |State(identity): State<Arc<Identity>>| {
        jwks::openid_configuration(&identity, &url)
    };
    Router::new()
        .route("/api/login", post(login::login))
        .route("/api/two-factor/login", post(two_factor::login))
        .route("/api/two-factor/send/{id}", post(two_factor::send))
        .route("/api/user/change-password", post(password::change))
        .route(
            "/api/user/change-password/{id}",
            post(password::change_by_id).get(password::check),
        )
        .route(
            "/api/jwt/refresh",
            post(refresh::refresh)
                .delete(revoke::revoke)
                .get(refresh::list),
        )
        .route(
            "/api/jwt/refresh/{id}",
            delete(revoke::revoke_by_id).get(refresh::by_id),
        )
        .route("/oauth2/token", post(refresh::token))
        .route("/api/logout", post(logout::logout))
        .route("/api/jwt/validate", get(user::validate))
        .route("/api/user", get(user::find))
        .route("/api/user/{id}", get(user::by_id))
        .route("/api/jwt/public-key", get(jwks::public_key))
        .route("/.well-known/jwks.json", get(jwks::published))
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/api/status", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .with_state(identity)
}
