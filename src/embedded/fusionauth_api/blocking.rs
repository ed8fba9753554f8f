//! Work that blocks on the disk, on threads that do not serve requests.

use std::sync::Arc;

use super::api_error::ApiError;
use crate::embedded::server_state::ServerState;

/// Runs `work`, which accesses the database, on a blocking thread.
pub(in crate::embedded) async fn with_database<T: Send + 'static>(
    state: &Arc<ServerState>,
    work: impl FnOnce(&ServerState) -> Result<T, redb::Error> + Send + 'static,
) -> Result<T, ApiError> {
    run_blocking(state, work).await
}

/// Runs `work` on a blocking thread.
pub(in crate::embedded) async fn run_blocking<
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
>(
    state: &Arc<ServerState>,
    work: impl FnOnce(&ServerState) -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    let state = Arc::clone(state);
    match tokio::task::spawn_blocking(move || work(&state)).await {
        Ok(result) => result.map_err(E::into),
        Err(_) => Err(ApiError::Internal),
    }
}
