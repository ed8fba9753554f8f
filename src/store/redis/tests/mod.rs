//! The stores against real servers.

mod faults;
mod server;
mod topologies;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::contract::{self, Fixture, block_on};
use super::super::{Acquire, LeaseKey, LeaseResult, ReserveError, SessionHash, StoredSession};
use super::*;
use crate::config::settings::{Backoff, Rate, RedisTopology};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use server::TestServer;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// The configuration of the servers.
const CONFIG: &str = "save ''\ndatabases 64";

/// With the clock of this machine, which is the server's too.
fn open(settings: &Redis) -> Result<Stores, StoreError> {
    super::open(settings, &Clock::new())
}

/// The stores of a replica. They stay connected until the test's runtime ends.
fn replica(settings: &Redis) -> Stores {
    connected(open(settings).unwrap())
}

fn connected(stores: Stores) -> Stores {
    let connection = Arc::clone(&stores.connection);
    tokio::runtime::Handle::current().spawn(async move { connection.run().await });
    stores
}

async fn ready_replica(settings: &Redis) -> Stores {
    let stores = replica(settings);
    let is_ready = becomes_ready(&stores).await;
    assert!(is_ready, "{:?}", stores.connection.ready().await);
    stores
}

async fn becomes_ready(stores: &Stores) -> bool {
    eventually(async || is_ready(stores).await).await
}

async fn is_ready(stores: &Stores) -> bool {
    stores.connection.ready().await.is_ok()
}

/// Whether `condition` becomes true within 15 seconds.
async fn eventually(mut condition: impl AsyncFnMut() -> bool) -> bool {
    tokio::time::timeout(Duration::from_secs(15), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .is_ok()
}

/// Replicas of one server; each pair has an empty database.
struct Replicas {
    server: TestServer,
    form: RedisTopology,
    database: AtomicU32,
}

impl Replicas {
    fn of(server: TestServer, form: RedisTopology) -> Self {
        Self {
            server,
            form,
            database: AtomicU32::new(0),
        }
    }

    /// `None` where no server is installed.
    fn of_one_node() -> Option<Self> {
        Some(Self::of(TestServer::start(CONFIG)?, RedisTopology::One))
    }
}

impl Fixture for Replicas {
    async fn replicas(&self) -> (Stores, Stores) {
        let mut settings = self.server.settings(self.form.clone());
        if self.form == RedisTopology::Cluster {
            self.server.command(&["FLUSHALL"]);
        } else {
            settings.database = self.database.fetch_add(1, Ordering::Relaxed) % 64;
            let client = redis::Client::open(format!(
                "redis://127.0.0.1:{}/{}",
                self.server.port, settings.database
            ));
            let () = redis::cmd("FLUSHDB")
                .query(&mut client.unwrap().get_connection().unwrap())
                .unwrap();
        }
        (
            ready_replica(&settings).await,
            ready_replica(&settings).await,
        )
    }

    fn advance(&self, span: Duration) {
        let database = if self.form == RedisTopology::Cluster {
            0
        } else {
            (self.database.load(Ordering::Relaxed) - 1) % 64
        };
        if !span.is_zero() {
            self.server.age_leases(database, span);
        }
    }
}

#[test]
fn sessions_keep_the_contract() {
    if let Some(replicas) = Replicas::of_one_node() {
        block_on(contract::sessions::check(&replicas));
    }
}

#[test]
fn leases_keep_the_contract() {
    if let Some(replicas) = Replicas::of_one_node() {
        block_on(contract::leases::check(&replicas));
    }
}

#[test]
fn revocations_keep_the_contract() {
    if let Some(replicas) = Replicas::of_one_node() {
        block_on(contract::revocations::check(&replicas));
    }
}

#[test]
fn pending_revocations_keep_the_contract() {
    if let Some(replicas) = Replicas::of_one_node() {
        block_on(contract::pending_revocations::check(&replicas));
    }
}

#[test]
fn throttles_keep_the_contract() {
    if let Some(replicas) = Replicas::of_one_node() {
        block_on(contract::throttles::check(&replicas));
    }
}

#[test]
fn never_two_holders() {
    if let Some(replicas) = Replicas::of_one_node() {
        contract::leases::never_two_holders(&replicas, 48);
    }
}

#[test]
fn no_window_holds_more_than_the_limit() {
    if let Some(replicas) = Replicas::of_one_node() {
        contract::throttles::no_window_holds_more_than_the_limit(&replicas, 32);
    }
}

#[test]
fn a_success_always_frees() {
    if let Some(replicas) = Replicas::of_one_node() {
        contract::throttles::a_success_always_frees(&replicas, 32);
    }
}
