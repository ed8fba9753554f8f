//! Errors of the API and their responses.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::json_response::json_response;
use crate::embedded::password_policy::PolicyViolation;

/// The result of a handler.
pub(in crate::embedded) type ApiResult = Result<Response, ApiError>;

/// An error of the API. Each has its own status code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum ApiError {
    /// 400: a member of the request is missing or invalid. The body names it.
    InvalidField(&'static str, FieldError),
    /// 400: the new password violates the policy. The body lists the violations.
    RejectedPassword(Vec<PolicyViolation>),
    /// 400: the body is not a JSON object of the expected form.
    MalformedBody,
    /// 401: the API key or the access token is missing or invalid.
    Unauthorized,
    /// 404: unknown, wrong password, or expired. The response does not tell which.
    NotFound,
    /// 409: an administrator's action prevents the login.
    LoginPrevented,
    /// 410: the account has expired.
    AccountExpired,
    /// 421: the second-factor code is wrong.
    WrongCode,
    /// 423: the account is locked.
    AccountLocked,
    /// 500: an internal error, which was logged.
    Internal,
}

/// What is wrong with a member of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum FieldError {
    /// It is missing or empty.
    Blank,
    /// Its value is not allowed.
    Invalid,
}

impl FieldError {
    const fn code(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Invalid => "invalid",
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::InvalidField(field, error) => {
                let code = format!("[{}]{field}", error.code());
                let message = format!("The field {field} is refused: {}.", error.code());
                let error = json!({ "code": code, "message": message });
                bad_request(&json!({ "fieldErrors": { field: [error] } }))
            }
            Self::RejectedPassword(violations) => {
                let describe = |violation: &PolicyViolation| {
                    let code = format!("[{}]password", violation.code());
                    json!({ "code": code, "message": violation.message() })
                };
                let errors: Vec<Value> = violations.iter().map(describe).collect();
                bad_request(&json!({ "fieldErrors": { "password": errors } }))
            }
            Self::MalformedBody => {
                let message = "The request body is not a JSON object of the expected form.";
                let error = json!({ "code": "[invalidJSON]", "message": message });
                bad_request(&json!({ "generalErrors": [error] }))
            }
            Self::LoginPrevented => {
                let action = json!({ "name": "Prevent login", "localizedName": "Prevent login" });
                json_response(StatusCode::CONFLICT, &json!({ "actions": [action] }))
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

fn bad_request(body: &Value) -> Response {
    json_response(StatusCode::BAD_REQUEST, body)
}

impl From<redb::Error> for ApiError {
    fn from(error: redb::Error) -> Self {
        tracing::error!(%error, "the database of the identity server failed");
        Self::Internal
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "the identity server failed");
        Self::Internal
    }
}
