//! What every store promises, whatever it is made of.
//!
//! The promises are functions that take a store and a time they move; where replicas share a store
//! they take two.

pub(super) mod renewals;
mod revocations;
mod sessions;
pub(super) mod throttles;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Makes stores to try.
pub(super) trait Open {
    /// Two replicas of an empty store. Those of a store of one process are one.
    async fn two(&self) -> (Arc<dyn Store>, Arc<dyn Store>);

    /// An empty store.
    async fn one(&self) -> Arc<dyn Store> {
        self.two().await.0
    }
}

/// The suite.
pub(super) async fn holds(open: &impl Open) {
    revocations::hold(open).await;
    sessions::hold(open).await;
    renewals::hold(open).await;
    throttles::hold(open).await;
    assert_eq!(open.one().await.ready().await, Ok(()));
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Whether `question` is answered with yes within the second that a store beyond the network is
/// given to tell.
async fn within_a_second(mut question: impl AsyncFnMut() -> bool) -> bool {
    tokio::time::timeout(secs(1), async {
        while !question().await {
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
