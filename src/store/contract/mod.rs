//! What every store promises, one suite per trait.
//!
//! Each test of a suite takes one store, or two replicas that share one, and moves the time: with
//! [`Fixture::advance`] that of the store's own clock.

pub(super) mod leases;
pub(super) mod pending_revocations;
pub(super) mod revocations;
pub(super) mod sessions;
pub(super) mod throttles;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Opens the stores that a suite tests.
pub(super) trait Fixture {
    /// The stores of two replicas, which share their state. All are empty. Where stores belong to
    /// one process, the two are the same.
    async fn replicas(&self) -> (Stores, Stores);

    /// Lets this time pass on the clock of the stores that [`Fixture::replicas`] returned last.
    /// Some more passes by itself.
    fn advance(&self, span: Duration);

    /// Empty stores.
    async fn stores(&self) -> Stores {
        self.replicas().await.0
    }
}

/// All suites.
pub(super) async fn check_all(fixture: &impl Fixture) {
    sessions::check(fixture).await;
    leases::check(fixture).await;
    revocations::check(fixture).await;
    pending_revocations::check(fixture).await;
    throttles::check(fixture).await;
    assert_eq!(fixture.stores().await.connection.ready().await, Ok(()));
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Whether `condition` becomes true within the second that a change may take to reach another
/// replica.
async fn within_a_second(mut condition: impl AsyncFnMut() -> bool) -> bool {
    tokio::time::timeout(secs(1), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .is_ok()
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn hash(name: &str) -> [u8; 32] {
    digest(&SHA256, name.as_bytes())
        .as_ref()
        .try_into()
        .unwrap()
}
