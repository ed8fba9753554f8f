//! The stores of many replicas: Redis or Valkey, as a single node, behind Sentinels or as a
//! cluster. All keys begin with `vestibule:`.
//!
//! Every value that expires contains its expiry time on the server's clock, so that the clocks of
//! replicas may differ. The scripts of leases ask the server for it (`TIME`); for all others
//! [`ServerClock`] converts the caller's times. The TTL of a Redis key only removes old data. Each
//! script touches the keys of one hash slot, so that it also runs in a cluster.
//!
//! Each replica keeps a copy of all revocations and answers from it. [`connection_supervisor`] receives
//! what other replicas publish and synchronises after every interruption.

mod call_span;
mod command_connection;
mod connection_supervisor;
mod encoding;
pub mod inspection;
mod leases;
mod near_cache;
mod pending_revocations;
mod pubsub;
mod random;
mod revocations;
mod scripts;
mod server_clock;
mod sessions;
#[cfg(test)]
mod tests;
mod throttles;

use std::sync::Arc;
use std::time::Duration;

use super::wait_queue::WaitQueue;
use super::{MemoryRevocations, SavedStores, Scope, StoreError, Stores};
use crate::config::settings::Redis;
use crate::system::Clock;
use command_connection::{CommandConnection, ConnectOptions};
use connection_supervisor::{ConnectionSupervisor, SupervisorParts};
use leases::RedisLeases;
use near_cache::NearCache;
use pending_revocations::RedisPendingRevocations;
use pubsub::Subscriber;
use revocations::RedisRevocations;
use server_clock::ServerClock;
use sessions::RedisSessions;
use throttles::RedisThrottles;

/// Redis keeps a key this much longer than its value is valid: the clocks of replicas differ, and
/// the fence of a lease must outlive the lease.
const EXPIRY_GRACE: Duration = Duration::from_secs(60);

/// What the stores share: how to reach the server, and other replicas through it.
#[derive(Clone, Debug)]
struct Server {
    connections: Arc<CommandConnection>,
    /// The Pub/Sub channel of all replicas.
    channel: Arc<str>,
    clock: Arc<ServerClock>,
}

/// Opens stores on the server of `settings`. They connect as soon as
/// [`super::StoreConnection::run`] runs.
///
/// # Errors
/// [`StoreError`] when no connection can be made as `settings` say, whatever the server answers.
pub(super) fn open(settings: &Redis, clock: &Clock) -> Result<Stores, StoreError> {
    // Databases share their channels, so the name contains the database.
    let channel = format!("vestibule:told:{}", settings.database);
    open_on_channel(settings, clock, &channel)
}

fn open_on_channel(settings: &Redis, clock: &Clock, channel: &str) -> Result<Stores, StoreError> {
    let options = ConnectOptions::new(settings)?;
    let server = Server {
        connections: Arc::new(CommandConnection::new()),
        channel: channel.into(),
        clock: Arc::new(ServerClock::new(clock.clone())),
    };
    let near_cache = Arc::new(NearCache::new());
    let wait_queue = Arc::new(WaitQueue::new());
    let known = Arc::new(MemoryRevocations::new());
    let subscriber = Subscriber {
        revocations: Arc::clone(&known),
        near_cache: Arc::clone(&near_cache),
        wait_queue: Arc::clone(&wait_queue),
    };
    let saved = SavedStores {
        revocations: Arc::clone(&known),
        ..SavedStores::new(clock)
    };
    let local_leases = Arc::clone(&saved.leases);
    let leases = RedisLeases::new(server.clone(), wait_queue, Arc::clone(&local_leases));
    let leases = Arc::new(leases);
    let revocations = Arc::new(RedisRevocations::new(server.clone(), known));
    Ok(Stores {
        sessions: Arc::new(RedisSessions::new(server.clone(), near_cache)),
        leases: Arc::clone(&leases) as _,
        local_leases,
        revocations: Arc::clone(&revocations) as _,
        pending_revocations: Arc::new(RedisPendingRevocations::new(server.clone())),
        saved,
        throttles: Arc::new(RedisThrottles::new(server.clone())),
        connection: Arc::new(ConnectionSupervisor::new(SupervisorParts {
            options,
            server,
            subscriber,
            revocations,
            leases,
            clock: clock.clone(),
        })),
        scope: Scope::Replicas,
    })
}
