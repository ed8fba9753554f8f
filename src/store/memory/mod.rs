//! The stores of a single process. When it ends, leases, counted attempts and server-side sessions
//! are lost; revocations and checkpoints are saved (`snapshot`).

mod checkpoints;
mod lease_table;
mod leases;
mod pending_revocations;
mod revocations;
mod sessions;
#[cfg(test)]
mod tests;
mod throttles;

use async_trait::async_trait;

use super::{StoreConnection, StoreError};

pub use checkpoints::StoredCheckpoint;
pub use leases::MemoryLeases;
pub use pending_revocations::MemoryPendingRevocations;
pub use revocations::MemoryRevocations;
pub use sessions::MemorySessions;
pub use throttles::MemoryThrottles;

pub(super) use pending_revocations::MAX_PENDING;
pub(super) use revocations::MAX_REVOCATIONS;

/// Stands in for a connection where the stores have no server.
#[derive(Debug)]
pub(super) struct NoConnection;

#[async_trait]
impl StoreConnection for NoConnection {
    async fn run(&self) {
        std::future::pending::<()>().await;
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
