//! The connection for commands: `connection_supervisor` makes and checks it, all stores use it.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind,
    TlsMode,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::StoreError;
use super::call_span;
use crate::config::settings::{Redis, RedisTopology};

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reply may take. A visitor is waiting for it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// How to connect.
pub(super) struct ConnectOptions {
    settings: Redis,
    /// `None` where the server is no cluster.
    cluster: Option<ClusterClient>,
}

/// A connection that many tasks use at once.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The connection in use, if there is one.
pub(super) struct CommandConnection {
    state: watch::Sender<State>,
    /// The generation of the newest connection that has failed.
    failed: watch::Sender<u64>,
}

/// The connection in use.
pub(super) struct ActiveConnection {
    pub(super) connection: Connection,
    /// Tells this connection from later ones: grows with each.
    pub(super) generation: u64,
}

enum State {
    /// The first attempt to connect has not ended.
    Connecting,
    Up {
        connection: Connection,
        generation: u64,
    },
    Down(String),
}

impl ConnectOptions {
    pub(super) fn new(settings: &Redis) -> Result<Self, StoreError> {
        if settings.tls {
            // Rustls is built with two cryptography libraries, so one has to be installed before
            // the first connection. This fails where one is installed already; that one is kept.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let options = Self {
            settings: settings.clone(),
            cluster: None,
        };
        let cluster = match settings.form {
            RedisTopology::One | RedisTopology::Sentinel(_) => None,
            RedisTopology::Cluster => {
                let client = options.cluster_client();
                Some(client.map_err(|error| StoreError(describe(&error)))?)
            }
        };
        Ok(Self { cluster, ..options })
    }

    fn addresses(&self) -> impl Iterator<Item = ConnectionAddr> + '_ {
        let nodes = self.settings.nodes.iter();
        nodes.map(|(host, port)| self.address(host, *port))
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        if self.settings.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    /// User, password and database. A subscribed connection needs RESP3, which has push messages.
    fn auth(&self, protocol: ProtocolVersion) -> RedisConnectionInfo {
        let mut auth = RedisConnectionInfo::default()
            .set_protocol(protocol)
            .set_db(i64::from(self.settings.database));
        if let Some(user) = &self.settings.user {
            auth = auth.set_username(user);
        }
        if let Some(password) = &self.settings.password {
            auth = auth.set_password(password.expose());
        }
        auth
    }

    fn cluster_client(&self) -> Result<ClusterClient, RedisError> {
        let nodes = self.addresses().map(ConnectionAddr::into_connection_info);
        let mut builder = ClusterClientBuilder::new(nodes.collect::<Result<Vec<_>, _>>()?)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(REPLY_TIMEOUT)
            .retries(2);
        if let Some(user) = &self.settings.user {
            builder = builder.username(user);
        }
        if let Some(password) = &self.settings.password {
            builder = builder.password(password.expose());
        }
        if self.settings.tls {
            builder = builder.tls(TlsMode::Secure);
        }
        builder.build()
    }

    /// A client of the master that the Sentinels name, else of one node: with each `attempt` the
    /// next one.
    async fn node(&self, attempt: usize, protocol: ProtocolVersion) -> Result<Client, RedisError> {
        let RedisTopology::Sentinel(master) = &self.settings.form else {
            let address = self
                .addresses()
                .nth(attempt % self.settings.nodes.len().max(1))
                .ok_or((ErrorKind::InvalidClientConfig, "no node"))?;
            return Client::open(
                address
                    .into_connection_info()?
                    .set_redis_settings(self.auth(protocol)),
            );
        };
        let mut builder =
            SentinelClientBuilder::new(self.addresses(), master, SentinelServerType::Master)?
                .set_client_to_redis_db(i64::from(self.settings.database))
                .set_client_to_redis_protocol(protocol);
        if let Some(user) = &self.settings.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.settings.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if self.settings.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        builder.build()?.async_get_client().await
    }

    /// Opens a connection for commands.
    ///
    /// # Errors
    /// A description for the operator.
    pub(super) async fn connect(&self, attempt: usize) -> Result<Connection, String> {
        let connecting = async {
            if let Some(cluster) = &self.cluster {
                return cluster
                    .get_async_connection()
                    .await
                    .map(Connection::Cluster);
            }
            let node = self.node(attempt, ProtocolVersion::RESP2).await?;
            node.get_multiplexed_async_connection_with_config(&config())
                .await
                .map(Connection::Node)
        };
        in_time(connecting, CONNECT_TIMEOUT * 2).await
    }

    /// Opens a connection that calls `on_push` with each message on `channel`, and when it is
    /// closed. In a cluster any node receives all messages.
    ///
    /// # Errors
    /// A description for the operator.
    pub(super) async fn subscribe(
        &self,
        attempt: usize,
        channel: &str,
        on_push: impl Fn(redis::PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Connection, String> {
        let connecting = async {
            let node = self.node(attempt, ProtocolVersion::RESP3).await?;
            let config = config().set_push_sender(on_push);
            let mut connection = node
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            connection.subscribe(channel).await?;
            Ok(Connection::Node(connection))
        };
        in_time(connecting, CONNECT_TIMEOUT * 2).await
    }
}

/// Only the topology and the nodes: the settings contain a password.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Redis { form, nodes, .. } = &self.settings;
        write!(out, "ConnectOptions({form:?} {nodes:?})")
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(REPLY_TIMEOUT))
        .set_pipeline_buffer_size(1_024)
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, RedisError>>,
    limit: Duration,
) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(result) => result.map_err(|error| describe(&error)),
        Err(_) => Err("no connection in time".to_owned()),
    }
}

impl Connection {
    /// Sends a command and waits for the reply.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let reply = match self.clone() {
            Self::Node(mut node) => timeout(REPLY_TIMEOUT, command.query_async(&mut node)).await,
            Self::Cluster(mut cluster) => {
                timeout(REPLY_TIMEOUT, command.query_async(&mut cluster)).await
            }
        };
        reply.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }
}

impl CommandConnection {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::Connecting),
            failed: watch::Sender::new(0),
        }
    }

    /// Sends a command over the connection in use.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let call = async {
            let active = self.active().await?;
            let reply = active.connection.query(command).await;
            reply.map_err(|error| self.report(&error, active.generation))
        };
        call_span::recorded(|| call_span::command_name(command), call).await
    }

    /// The connection in use. Waits only for the first attempt to connect; while the connection is
    /// down this fails at once.
    pub(super) async fn active(&self) -> Result<ActiveConnection, StoreError> {
        let mut state = self.state.subscribe();
        let connected = timeout(
            CONNECT_TIMEOUT,
            state.wait_for(|state| !matches!(state, State::Connecting)),
        )
        .await;
        match connected.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Up {
                connection,
                generation,
            })) => Ok(ActiveConnection {
                connection: connection.clone(),
                generation: *generation,
            }),
            Ok(Ok(State::Down(error))) => Err(StoreError(error.clone())),
            Ok(Ok(State::Connecting) | Err(_)) | Err(_) => {
                Err(StoreError("not connected yet".to_owned()))
            }
        }
    }

    /// Turns an error of a connection into one for the caller. Where the connection cannot be used
    /// any more, this also makes [`CommandConnection::failed`] return.
    pub(super) fn report(&self, error: &RedisError, generation: u64) -> StoreError {
        let is_no_master = matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        );
        if error.is_unrecoverable_error() || is_no_master {
            self.failed.send_if_modified(|failed| {
                let is_newer = *failed < generation;
                *failed = generation.max(*failed);
                is_newer
            });
        }
        StoreError(describe(error))
    }

    /// Puts `connection` into use and returns its generation.
    pub(super) fn set_up(&self, connection: Connection) -> u64 {
        let generation = *self.failed.borrow() + 1;
        self.state.send_replace(State::Up {
            connection,
            generation,
        });
        generation
    }

    /// Lets commands fail at once with this error. `false` when they did so before.
    pub(super) fn set_down(&self, error: &str) -> bool {
        self.failed.send_modify(|failed| *failed += 1);
        !matches!(
            self.state.send_replace(State::Down(error.to_owned())),
            State::Down(_)
        )
    }

    /// Waits until the connection of this generation has failed.
    pub(super) async fn failed(&self, generation: u64) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self
            .failed
            .subscribe()
            .wait_for(|failed| generation <= *failed)
            .await;
    }
}

impl fmt::Debug for CommandConnection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::Connecting => "connecting",
            State::Up { .. } => "up",
            State::Down(_) => "down",
        };
        write!(out, "CommandConnection({state})")
    }
}

/// An error for the operator. Of a server's error only the code (its first word): the rest may
/// repeat what was sent.
pub(super) fn describe(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    match (error.kind(), error.code()) {
        (ErrorKind::Io, _) => error.to_string(),
        (_, Some(code)) => format!("the server says {code}"),
        (_, None) => error.category().to_owned(),
    }
}
