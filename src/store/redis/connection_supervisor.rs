//! The background task behind the stores: it connects, subscribes, synchronises, checks the
//! connection, and starts again when that fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::PushKind;
use tokio::sync::Notify;

use super::super::{StoreConnection, StoreError};
use super::Server;
use super::command_connection::{ConnectOptions, Connection, describe};
use super::leases::RedisLeases;
use super::pubsub::Subscriber;
use super::random::Random;
use super::revocations::{Position, ReadRecent, RedisRevocations};
use crate::system::Clock;

/// The pause before the first attempt to reconnect; it doubles with each further one.
const FIRST_RECONNECT: Duration = Duration::from_millis(50);
/// The longest pause between two attempts.
const MAX_RECONNECT: Duration = Duration::from_secs(1);
/// The pause between two checks of a connection or for new revocations, and before a failed
/// synchronisation is repeated.
const CHECK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct ConnectionSupervisor {
    parts: SupervisorParts,
    /// Since when there has been no connection.
    down_since: Mutex<Option<Duration>>,
    /// Whether this replica has read all revocations since it connected, and published its own.
    in_sync: AtomicBool,
    random: Random,
}

/// What a [`ConnectionSupervisor`] works with.
#[derive(Debug)]
pub(super) struct SupervisorParts {
    pub(super) options: ConnectOptions,
    pub(super) server: Server,
    pub(super) subscriber: Subscriber,
    pub(super) revocations: Arc<RedisRevocations>,
    pub(super) leases: Arc<RedisLeases>,
    pub(super) clock: Clock,
}

/// How an attempt to connect, or the connection that it opened, ended.
enum Ended {
    /// There was no connection.
    NotConnected(String),
    /// There was one until this error.
    Disconnected(String),
}

impl ConnectionSupervisor {
    pub(super) fn new(parts: SupervisorParts) -> Self {
        Self {
            down_since: Mutex::new(Some(parts.clock.monotonic())),
            parts,
            in_sync: AtomicBool::new(false),
            random: Random::new(),
        }
    }

    /// Connects, and returns when the connection fails. Each `attempt` tries the next node.
    async fn connect_once(&self, attempt: usize) -> Ended {
        let closed = Arc::new(Notify::new());
        // Subscribes before anything is read, so that no message in between is missed.
        let subscribed = match self.subscribe(attempt, Arc::clone(&closed)).await {
            Ok(connection) => connection,
            Err(error) => return Ended::NotConnected(error),
        };
        let connection = match self.parts.options.connect(attempt).await {
            Ok(connection) => connection,
            Err(error) => return Ended::NotConnected(error),
        };
        if let Err(error) = self.parts.server.clock.measure(&connection).await {
            return Ended::NotConnected(describe(&error));
        }
        let generation = self.parts.server.connections.set_up(connection.clone());
        *self.down_since() = None;
        tracing::info!("the store answers");
        let error = tokio::select! {
            error = self.check(&subscribed, &connection) => error,
            () = closed.notified() => "the connection was closed".to_owned(),
            () = self.parts.server.connections.failed(generation) => {
                "the connection was lost".to_owned()
            }
            () = self.keep_in_sync() => String::new(),
        };
        Ended::Disconnected(error)
    }

    /// Asks on both connections from time to time, and returns the error of the first that fails.
    async fn check(&self, subscribed: &Connection, connection: &Connection) -> String {
        let ping = redis::cmd("PING");
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let answered = match subscribed.query::<redis::Value>(&ping).await {
                Ok(_) => self.parts.server.clock.measure(connection).await,
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                return describe(&error);
            }
        }
    }

    /// Opens the connection that receives messages. It notifies `closed` when it is closed.
    async fn subscribe(&self, attempt: usize, closed: Arc<Notify>) -> Result<Connection, String> {
        let subscriber = self.parts.subscriber.clone();
        let on_push = move |push: redis::PushInfo| {
            subscriber.on_push(&push);
            if push.kind == PushKind::Disconnection {
                closed.notify_one();
            }
            Ok(())
        };
        self.parts
            .options
            .subscribe(attempt, &self.parts.server.channel, on_push)
            .await
    }

    /// Synchronises the revocations, then follows them, and starts again whenever one could not be
    /// published or read. Never returns.
    async fn keep_in_sync(&self) {
        loop {
            if let Err(error) = self.sync().await {
                tracing::warn!(%error, "revocations could not be exchanged");
            }
            tokio::time::sleep(self.random.jitter(CHECK_EVERY)).await;
        }
    }

    /// Synchronises the revocations, publishes the checkpoints, and follows the revocations.
    async fn sync(&self) -> Result<(), StoreError> {
        let position = self.parts.revocations.sync().await?;
        self.in_sync.store(true, Ordering::Release);
        self.parts.leases.publish_checkpoints().await?;
        self.follow(position).await
    }

    fn down_since(&self) -> MutexGuard<'_, Option<Duration>> {
        self.down_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads new revocations every second: a message of Pub/Sub may be lost without a trace.
    /// Returns when all have to be read or published again.
    async fn follow(&self, mut position: Position) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                () = self.parts.revocations.pending_publish() => return Ok(()),
                () = self.parts.leases.pending_publish() => return Ok(()),
                () = tokio::time::sleep(self.random.jitter(CHECK_EVERY)) => {}
            }
            match self.parts.revocations.read_recent(&mut position).await? {
                ReadRecent::Complete => {}
                ReadRecent::Gap => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl StoreConnection for ConnectionSupervisor {
    async fn run(&self) {
        let mut pause = FIRST_RECONNECT;
        for attempt in 0.. {
            let ended = self.connect_once(attempt).await;
            self.in_sync.store(false, Ordering::Release);
            let error = match ended {
                Ended::NotConnected(error) => {
                    pause = (pause * 2).min(MAX_RECONNECT);
                    error
                }
                Ended::Disconnected(error) => {
                    pause = FIRST_RECONNECT;
                    error
                }
            };
            let now = self.parts.clock.monotonic();
            self.down_since().get_or_insert(now);
            if self.parts.server.connections.set_down(&error) {
                tracing::warn!(error, "the store does not answer");
            }
            tokio::time::sleep(self.random.jitter(pause)).await;
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let ping = redis::cmd("PING");
        let _: redis::Value = self.parts.server.connections.query(&ping).await?;
        if self.in_sync.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(StoreError("revocations are still being read".to_owned()))
        }
    }

    fn down_since(&self) -> Option<Duration> {
        *self.down_since()
    }
}
