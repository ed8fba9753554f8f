//! Request bodies in JSON.

use axum::body::Bytes;
use serde::de::DeserializeOwned;

use super::api_error::ApiError;

/// Parses `body` as JSON. Members that `T` does not have are ignored.
pub(super) fn parse_json<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::MalformedBody)
}

/// Like [`parse_json`], for a body that may be left out.
pub(super) fn parse_optional_json<T: DeserializeOwned + Default>(
    body: &Bytes,
) -> Result<T, ApiError> {
    if body.is_empty() {
        Ok(T::default())
    } else {
        parse_json(body)
    }
}
