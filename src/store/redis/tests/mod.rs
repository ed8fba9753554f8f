//! The store against real servers.

mod faults;
mod forms;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::contract::{self, Open, block_on};
use super::*;
use crate::config::settings::{Backoff, RedisTopology};
use server::Server;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What every server here is told.
const LINES: &str = "save ''\ndatabases 64";

/// A replica, kept until the test's runtime ends.
fn replica(wanted: &Redis) -> Arc<RedisStore> {
    let store = Arc::new(RedisStore::new(wanted).unwrap());
    let kept = Arc::clone(&store);
    tokio::runtime::Handle::current().spawn(async move { kept.keep().await });
    store
}

async fn ready_replica(wanted: &Redis) -> Arc<RedisStore> {
    let store = replica(wanted);
    assert!(becomes_ready(&store).await, "{:?}", store.ready().await);
    store
}

async fn becomes_ready(store: &RedisStore) -> bool {
    within(async || store.ready().await.is_ok()).await
}

/// Whether `question` is answered with yes before anybody loses patience.
async fn within(mut question: impl AsyncFnMut() -> bool) -> bool {
    tokio::time::timeout(Duration::from_secs(15), async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .is_ok()
}

/// Replicas at one server; each pair has an empty database.
struct At<'a> {
    server: &'a Server,
    form: RedisTopology,
    database: AtomicU32,
}

impl At<'_> {
    fn new(server: &Server, form: RedisTopology) -> At<'_> {
        At {
            server,
            form,
            database: AtomicU32::new(0),
        }
    }
}

impl Open for At<'_> {
    async fn two(&self) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let mut wanted = self.server.settings(self.form.clone());
        if self.form == RedisTopology::Cluster {
            self.server.tell(&["FLUSHALL"]);
        } else {
            wanted.database = self.database.fetch_add(1, Ordering::Relaxed) % 64;
            let client = redis::Client::open(format!(
                "redis://127.0.0.1:{}/{}",
                self.server.port, wanted.database
            ));
            let () = redis::cmd("FLUSHDB")
                .query(&mut client.unwrap().get_connection().unwrap())
                .unwrap();
        }
        (ready_replica(&wanted).await, ready_replica(&wanted).await)
    }
}

#[test]
fn keeps_the_contract() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    block_on(contract::holds(&At::new(&server, RedisTopology::One)));
}

#[test]
fn never_two_holders() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    contract::renewals::never_two_holders(&At::new(&server, RedisTopology::One), 48);
}

#[test]
fn no_window_holds_more_than_the_limit() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    contract::throttles::no_window_holds_more_than_the_limit(
        &At::new(&server, RedisTopology::One),
        32,
    );
}

#[test]
fn a_success_always_frees() {
    let Some(server) = Server::start(LINES) else {
        return;
    };
    contract::throttles::a_success_always_frees(&At::new(&server, RedisTopology::One), 32);
}
