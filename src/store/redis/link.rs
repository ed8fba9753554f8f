//! The connection that questions go over: made and watched by [`super::keeping`], used by
//! everybody.

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
use crate::config::settings::{Redis, RedisTopology};

/// For a connection.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// For an answer: behind it stands a person who waits.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How to get a connection.
pub(super) struct Plan {
    wanted: Redis,
    cluster: Option<ClusterClient>,
}

/// A connection that many use at once.
#[derive(Clone)]
pub(super) enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The connection in use, if there is one.
pub(super) struct Link {
    state: watch::Sender<State>,
    /// The number of the latest connection that is good for nothing any more.
    lost: watch::Sender<u64>,
}

enum State {
    /// Nobody has tried yet.
    New,
    Up {
        connection: Connection,
        number: u64,
    },
    Down(String),
}

impl Plan {
    pub(super) fn new(wanted: &Redis) -> Result<Self, StoreError> {
        if wanted.tls {
            // Two libraries are built in, so one must be chosen before the first connection.
            // Whoever chose first is heard.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let plan = Self {
            wanted: wanted.clone(),
            cluster: None,
        };
        let cluster = match wanted.form {
            RedisTopology::One | RedisTopology::Sentinel(_) => None,
            RedisTopology::Cluster => {
                Some(plan.cluster().map_err(|error| StoreError(words(&error)))?)
            }
        };
        Ok(Self { cluster, ..plan })
    }

    fn address(&self, (host, port): &(String, u16)) -> ConnectionAddr {
        let (host, port) = (host.clone(), *port);
        if self.wanted.tls {
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

    /// Who we are, in the newer protocol where a connection is to be told things unasked.
    fn proof(&self, protocol: ProtocolVersion) -> RedisConnectionInfo {
        let mut proof = RedisConnectionInfo::default()
            .set_protocol(protocol)
            .set_db(i64::from(self.wanted.database));
        if let Some(user) = &self.wanted.user {
            proof = proof.set_username(user);
        }
        if let Some(password) = &self.wanted.password {
            proof = proof.set_password(password.expose());
        }
        proof
    }

    fn cluster(&self) -> Result<ClusterClient, RedisError> {
        let nodes = self
            .wanted
            .nodes
            .iter()
            .map(|node| self.address(node).into_connection_info());
        let mut builder = ClusterClientBuilder::new(nodes.collect::<Result<Vec<_>, _>>()?)
            .connection_timeout(CONNECT_WITHIN)
            .response_timeout(ANSWER_WITHIN)
            .retries(2);
        if let Some(user) = &self.wanted.user {
            builder = builder.username(user);
        }
        if let Some(password) = &self.wanted.password {
            builder = builder.password(password.expose());
        }
        if self.wanted.tls {
            builder = builder.tls(TlsMode::Secure);
        }
        builder.build()
    }

    /// The node to hear from and, unless it is a cluster, to ask. With each `turn` another one is
    /// tried.
    async fn node(&self, turn: usize, protocol: ProtocolVersion) -> Result<Client, RedisError> {
        let RedisTopology::Sentinel(master) = &self.wanted.form else {
            let node = self.wanted.nodes.get(turn % self.wanted.nodes.len().max(1));
            let address = node
                .map(|node| self.address(node))
                .ok_or((ErrorKind::InvalidClientConfig, "no node"))?;
            return Client::open(
                address
                    .into_connection_info()?
                    .set_redis_settings(self.proof(protocol)),
            );
        };
        let sentinels = self.wanted.nodes.iter().map(|node| self.address(node));
        let mut builder =
            SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
                .set_client_to_redis_db(i64::from(self.wanted.database))
                .set_client_to_redis_protocol(protocol);
        if let Some(user) = &self.wanted.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.wanted.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if self.wanted.tls {
            let (redis, sentinel) = (TlsMode::Secure, TlsMode::Secure);
            builder = builder
                .set_client_to_redis_tls_mode(redis)
                .set_client_to_sentinel_tls_mode(sentinel);
        }
        builder.build()?.async_get_client().await
    }

    /// Connects for questions.
    pub(super) async fn connect(&self, turn: usize) -> Result<Connection, String> {
        let connecting = async {
            if let Some(cluster) = &self.cluster {
                return cluster
                    .get_async_connection()
                    .await
                    .map(Connection::Cluster);
            }
            let node = self.node(turn, ProtocolVersion::RESP2).await?;
            node.get_multiplexed_async_connection_with_config(&limits())
                .await
                .map(Connection::Node)
        };
        in_time(connecting, CONNECT_WITHIN * 2).await
    }

    /// Connects to a node that tells `hear` what is said on `channel`.
    pub(super) async fn listen(
        &self,
        turn: usize,
        channel: &str,
        hear: impl Fn(redis::PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    ) -> Result<Connection, String> {
        let connecting = async {
            let node = self.node(turn, ProtocolVersion::RESP3).await?;
            let config = limits().set_push_sender(hear);
            let mut connection = node
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            connection.subscribe(channel).await?;
            Ok(Connection::Node(connection))
        };
        in_time(connecting, CONNECT_WITHIN * 2).await
    }
}

/// Only where a connection goes.
impl fmt::Debug for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Plan({:?} {:?})", self.wanted.form, self.wanted.nodes)
    }
}

fn limits() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_pipeline_buffer_size(1_024)
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, RedisError>>,
    limit: Duration,
) -> Result<T, String> {
    match timeout(limit, work).await {
        Ok(result) => result.map_err(|error| words(&error)),
        Err(_) => Err("no connection in time".to_owned()),
    }
}

impl Connection {
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, RedisError> {
        let answer = match self.clone() {
            Self::Node(mut node) => timeout(ANSWER_WITHIN, question.query_async(&mut node)).await,
            Self::Cluster(mut cluster) => {
                timeout(ANSWER_WITHIN, question.query_async(&mut cluster)).await
            }
        };
        answer.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::New),
            lost: watch::Sender::new(0),
        }
    }

    /// Asks over the connection there is. Only before the first attempt to connect is there
    /// anything to wait for.
    pub(super) async fn ask<T: FromRedisValue>(&self, question: &Cmd) -> Result<T, StoreError> {
        let (connection, number) = self.connection().await?;
        connection
            .ask(question)
            .await
            .map_err(|error| self.failed(&error, number))
    }

    pub(super) async fn connection(&self) -> Result<(Connection, u64), StoreError> {
        let mut watching = self.state.subscribe();
        let tried = timeout(
            CONNECT_WITHIN,
            watching.wait_for(|state| !matches!(state, State::New)),
        )
        .await;
        match tried.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Up { connection, number })) => Ok((connection.clone(), *number)),
            Ok(Ok(State::Down(words))) => Err(StoreError(words.clone())),
            Ok(Ok(State::New) | Err(_)) | Err(_) => Err(StoreError("not connected yet".to_owned())),
        }
    }

    /// What to say of `error`, after which nobody may use that connection again if it is not good
    /// for anything.
    pub(super) fn failed(&self, error: &RedisError, number: u64) -> StoreError {
        let no_master = matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        );
        if error.is_unrecoverable_error() || no_master {
            self.lost.send_if_modified(|lost| {
                let news = *lost < number;
                *lost = number.max(*lost);
                news
            });
        }
        StoreError(words(error))
    }

    /// From now on questions go over `connection`. Gives its number.
    pub(super) fn up(&self, connection: Connection) -> u64 {
        let number = *self.lost.borrow() + 1;
        self.state.send_replace(State::Up { connection, number });
        number
    }

    /// From now on questions fail at once, with these words. Whether that is news.
    pub(super) fn down(&self, words: &str) -> bool {
        self.lost.send_modify(|lost| *lost += 1);
        !matches!(
            self.state.send_replace(State::Down(words.to_owned())),
            State::Down(_)
        )
    }

    /// Backoff until somebody finds the connection of this number to be good for nothing.
    pub(super) async fn lost(&self, number: u64) {
        // The sender lives as long as we do.
        let _ = self.lost.subscribe().wait_for(|lost| number <= *lost).await;
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.borrow() {
            State::New => "new",
            State::Up { .. } => "up",
            State::Down(_) => "down",
        };
        write!(out, "Link({state})")
    }
}

/// What an operator may read. Of a server's answer only its first word: the rest may repeat what
/// was sent.
pub(super) fn words(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    match (error.kind(), error.code()) {
        (ErrorKind::Io, _) => error.to_string(),
        (_, Some(code)) => format!("the server says {code}"),
        (_, None) => error.category().to_owned(),
    }
}
