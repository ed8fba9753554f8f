//! Answers, and refusals as the API words them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::embedded::password_rules::Broken;
use crate::embedded::server::Identity;

/// What an endpoint comes to.
pub(super) type Answer = Result<Response, ApiRefusal>;

/// Why an endpoint does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ApiRefusal {
    /// 400 with an Errors object about this field.
    Invalid(&'static str, ApiError),
    /// 400 with an Errors object about the new password.
    Unfit(Vec<Broken>),
    /// 400 with an Errors object about the body as a whole.
    Malformed,
    /// 401: the API key or token is missing or wrong.
    Unauthorized,
    /// 404: unknown, wrong password, or expired; deliberately one answer.
    NotFound,
    /// 409.
    LoginPrevented,
    /// 410.
    AccountExpired,
    /// 421.
    WrongCode,
    /// 423.
    AccountLocked,
    /// 500; what happened is in the log.
    Internal,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Missing or empty.
    Blank,
    /// Not what it must be.
    Invalid,
}

impl ApiError {
    const fn word(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Invalid => "invalid",
        }
    }
}

impl IntoResponse for ApiRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(field, fault) => {
                let code = format!("[{}]{field}", fault.word());
                let message = format!("The field {field} is refused: {}.", fault.word());
                let errors =
                    json!({ "fieldErrors": { field: [{ "code": code, "message": message }] } });
                json_with(StatusCode::BAD_REQUEST, &errors)
            }
            Self::Unfit(broken) => {
                let errors: Vec<Value> = broken
                    .iter()
                    .map(|rule| json!({ "code": format!("[{}]password", rule.word()), "message": rule.message() }))
                    .collect();
                json_with(
                    StatusCode::BAD_REQUEST,
                    &json!({ "fieldErrors": { "password": errors } }),
                )
            }
            Self::Malformed => {
                let error = json!({ "code": "[invalidJSON]", "message": "The request body is no such JSON object." });
                json_with(
                    StatusCode::BAD_REQUEST,
                    &json!({ "generalErrors": [error] }),
                )
            }
            Self::LoginPrevented => {
                let action = json!({ "name": "Prevent login", "localizedName": "Prevent login" });
                json_with(StatusCode::CONFLICT, &json!({ "actions": [action] }))
            }
            Self::Unauthorized => StatusCode::UNAUTHORIZED.into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::AccountExpired => StatusCode::GONE.into_response(),
            Self::WrongCode => StatusCode::MISDIRECTED_REQUEST.into_response(),
            Self::AccountLocked => StatusCode::LOCKED.into_response(),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl From<redb::Error> for ApiRefusal {
    fn from(error: redb::Error) -> Self {
        tracing::error!(%error, "the identity database failed");
        Self::Internal
    }
}

impl From<std::io::Error> for ApiRefusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "the identity server failed");
        Self::Internal
    }
}

/// `body` as JSON that no cache may keep.
pub(super) fn json_with(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(text) = serde_json::to_vec(body) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=UTF-8"),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text).into_response()
}

/// The body, read; members the API does not use are passed over.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiRefusal> {
    serde_json::from_slice(body).map_err(|_| ApiRefusal::Malformed)
}

/// As [`read`], where the body may be left out.
pub(super) fn read_or_default<T: DeserializeOwned + Default>(
    body: &Bytes,
) -> Result<T, ApiRefusal> {
    if body.is_empty() {
        Ok(T::default())
    } else {
        read(body)
    }
}

/// [`apart`], for the database.
pub(super) async fn with_database<T: Send + 'static>(
    identity: &Arc<Identity>,
    work: impl FnOnce(&Identity) -> Result<T, redb::Error> + Send + 'static,
) -> Result<T, ApiRefusal> {
    apart(identity, work).await
}

/// Runs what waits for the disk away from the threads that serve requests.
pub(super) async fn apart<T: Send + 'static, E: Into<ApiRefusal> + Send + 'static>(
    identity: &Arc<Identity>,
    work: impl FnOnce(&Identity) -> Result<T, E> + Send + 'static,
) -> Result<T, ApiRefusal> {
    let identity = Arc::clone(identity);
    match tokio::task::spawn_blocking(move || work(&identity)).await {
        Ok(result) => result.map_err(E::into),
        Err(_) => Err(ApiRefusal::Internal),
    }
}
