//! The configuration after it was checked: no text left to interpret, no contradiction left to
//! find.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::RootCertStore;
use url::Url;

use super::certificate::{CertificateFiles, ClientAuthorities};
use crate::model::algorithm::Algorithm;
use crate::model::identity::ClaimNames;
use crate::model::recorded_requests::RecordedRequests;
use crate::model::secret::Secret;
use crate::model::site::{SignIn, Site};
use crate::model::timestamp::Timestamp;

/// Everything the operator wrote.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where generated keys and the embedded identity server's data rest.
    pub state_dir: PathBuf,
    /// Listeners and limits.
    pub server: Server,
    /// By name; never empty.
    pub providers: BTreeMap<String, Provider>,
    /// Where sessions, shared renewals, revocations and throttles rest.
    pub store: Store,
    /// The sealing keys, decoded, the first seals; empty: one is made in `state_dir`.
    pub cookie_keys: Vec<SealingKeyBytes>,
    /// When the first of them was written, where it stands in a file of its own.
    pub cookie_key_made: Option<Timestamp>,
    /// How long the result of a renewal is remembered under the old refresh token.
    pub reuse_window: Duration,
    /// Attempts to sign in.
    pub login: Login,
    /// Where and how much is logged.
    pub log: Log,
    /// Where traces are sent; `None` where none are recorded.
    pub traces: Option<Traces>,
    /// Never empty; no two answer to one host.
    pub sites: Vec<Arc<Site>>,
    /// Where each rule stands in the file: its line, from 1, for every site in the order of
    /// `sites`.
    pub rule_lines: Vec<Vec<usize>>,
    /// The files and folders that were read besides the configuration: secrets, certificates,
    /// themes. When one of them changes, the configuration is read again.
    pub files: BTreeSet<PathBuf>,
}

/// Where traces are sent, and of how many requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// The address that takes the spans.
    pub endpoint: Url,
    /// The share of requests, from 0 to 1.
    pub sample: f64,
}

/// 32 bytes that seal cookies; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKeyBytes(pub [u8; 32]);

impl std::fmt::Debug for SealingKeyBytes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[secret]")
    }
}

/// Listeners and limits.
#[derive(Clone, Debug)]
pub struct Server {
    /// Plain HTTP listeners; empty only where there are TLS listeners.
    pub listen: Vec<SocketAddr>,
    /// Whether the plain listeners expect the header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// The ACME server; there is one where a TLS listener needs it.
    pub acme: Option<Acme>,
    /// TLS listeners.
    pub tls: Vec<Tls>,
    /// Metrics and health; never a site.
    pub admin: Option<SocketAddr>,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Threads; 0 is one per core.
    pub workers: usize,
    /// How long requests in flight may take after `SIGTERM`.
    pub drain: Duration,
    /// How long connections are accepted after `SIGTERM`.
    pub shutdown_delay: Duration,
    /// The limits of one connection.
    pub limits: Limits,
}

/// A TLS listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its address. No two have the same.
    pub listen: SocketAddr,
    /// Its certificates, in the order of the file; empty only with `acme`.
    pub certificates: Vec<CertificateFiles>,
    /// Whether names without one of them get one from the ACME server.
    pub acme: bool,
    /// The oldest version that is accepted.
    pub minimum: TlsVersion,
    /// The authorities of client certificates, where clients are asked for one.
    pub client_authorities: Option<ClientAuthorities>,
    /// The file they stand in.
    pub client_ca_file: Option<PathBuf>,
    /// Whether it expects the header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
}

/// The ACME server that issues certificates.
#[derive(Clone, Debug)]
pub struct Acme {
    /// The URL of its directory.
    pub directory: String,
    /// Where it may write to.
    pub contact: Option<String>,
    /// The authorities of its own certificate; `None` for those of the system.
    pub roots: Option<Arc<RootCertStore>>,
    /// The file they stand in.
    pub ca_file: Option<PathBuf>,
    /// The profile of the certificates.
    pub profile: Option<String>,
}

/// Whether a listener expects the header of the PROXY protocol from trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// It does, and takes none from others.
    Expected,
    /// It takes none.
    Unknown,
}

impl From<bool> for ProxyProtocol {
    /// From the value of a `proxy_protocol` key.
    fn from(expected: bool) -> Self {
        if expected {
            Self::Expected
        } else {
            Self::Unknown
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the whole request head.
    pub header_timeout: Duration,
    /// How long an idle client connection is kept.
    pub keep_alive: Duration,
    /// For connecting to an upstream.
    pub upstream_connect: Duration,
    /// Between two reads from an upstream, between two reads of a client's body, and while a client
    /// takes nothing of a response.
    pub upstream_idle: Duration,
    /// The largest sign-in body, in bytes.
    pub max_login_body: usize,
    /// The most open connections of clients.
    pub connections: usize,
    /// The most open connections from one address, but for trusted proxies.
    pub connections_per_address: usize,
}

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Which API it speaks and where.
    pub kind: ProviderKind,
    /// The `iss` its tokens must carry, exactly.
    pub issuer: String,
    /// The `alg` values that are accepted; never empty, never HS beside asymmetric ones.
    pub algorithms: Vec<Algorithm>,
    /// The key of HS256 and kin.
    pub hmac_secret: Option<Secret>,
    /// One call, all in all.
    pub timeout: Duration,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Whether expired and locked accounts are told so.
    pub reveal_account_state: bool,
    /// Which claims hold roles and username.
    pub claims: ClaimNames,
    /// The client that the gateway is at an OIDC provider, or at FusionAuth where visitors sign in
    /// by redirect.
    pub client: Option<OidcClient>,
    /// The secret that FusionAuth sends with its webhooks.
    pub webhook_secret: Option<Secret>,
    /// Whether its messages are taken at its sites too.
    pub public_hooks: bool,
}

impl Provider {
    /// Whether the keys of one provider are those of the other: they come from the same place, and
    /// may be used alike. Time limits, API key and tenant do not concern them.
    #[must_use]
    pub fn has_same_keys(&self, other: &Self) -> bool {
        self.kind.key_source() == other.kind.key_source()
            && self.issuer == other.issuer
            && self.algorithms == other.algorithms
            && self.hmac_secret == other.hmac_secret
    }
}

/// Which API a provider speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// FusionAuth's.
    Fusionauth {
        /// Base URL without a trailing slash.
        url: String,
        /// The API key.
        api_key: Secret,
        /// Where the server has several tenants.
        tenant_id: Option<String>,
    },
    /// OpenID Connect.
    Oidc {
        /// The issuer's URL without a trailing slash, beneath which the discovery document is.
        url: String,
    },
    /// The identity server inside this program, reached over loopback like FusionAuth.
    Embedded {
        /// The TOML file of its users.
        users: PathBuf,
    },
}

impl ProviderKind {
    /// Whether it sends FusionAuth's webhooks.
    #[must_use]
    pub const fn sends_webhooks(&self) -> bool {
        match self {
            Self::Fusionauth { .. } | Self::Embedded { .. } => true,
            Self::Oidc { .. } => false,
        }
    }

    /// The tenant, where the server has several.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        match self {
            Self::Fusionauth { tenant_id, .. } => tenant_id.as_deref(),
            Self::Oidc { .. } | Self::Embedded { .. } => None,
        }
    }

    /// Where the keys are published. The embedded server has an address once it is opened.
    fn key_source(&self) -> &str {
        match self {
            Self::Fusionauth { url, .. } | Self::Oidc { url } => url,
            Self::Embedded { .. } => "",
        }
    }
}

/// A client of an OIDC provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcClient {
    /// The client id.
    pub id: String,
    /// How the client proves who it is.
    pub proof: ClientProof,
    /// Where visitors type their password.
    pub sign_in: SignIn,
    /// What is asked for; `openid` is among them.
    pub scopes: Vec<String>,
    /// The values of `acr_values`, separated by blanks.
    pub acr_values: Option<String>,
    /// The values of `prompt`, separated by blanks.
    pub prompt: Option<String>,
    /// Whether endpoints may be `http` ones that are not loopback.
    pub insecure: bool,
}

/// How a client proves to an OIDC provider who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// By a secret (`client_secret_basic`, `client_secret_post`).
    Secret(Secret),
    /// By a signature of this private key in PEM (`private_key_jwt`).
    PrivateKey(Secret),
}

/// Where sessions, shared renewals, revocations and throttles rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In this process.
    Memory,
    /// On servers that all replicas share.
    Redis(Redis),
}

/// How to reach Redis or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// What listens at the nodes.
    pub form: RedisTopology,
    /// Names or addresses (IPv6 without brackets) with ports; never empty, one for
    /// [`RedisTopology::One`].
    pub nodes: Vec<(String, u16)>,
    /// Whether TLS is spoken, verified.
    pub tls: bool,
    /// The user of the servers.
    pub user: Option<String>,
    /// Their password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: u32,
}

/// How several servers are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// There is one.
    One,
    /// The nodes are sentinels; they know which server is the master of this name.
    Sentinel(String),
    /// The nodes are some of a cluster; they know the others.
    Cluster,
}

/// Attempts to sign in.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    /// For one account, whatever the spelling.
    pub account_limit: Rate,
    /// For one client address (IPv6: /64).
    pub address_limit: Rate,
}

/// So many in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub attempts: u32,
    /// In what time.
    pub per: Duration,
    /// How long the next one waits, each further time.
    pub waits: Backoff,
}

/// How waits follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// All alike: for what somebody wants often and may have, at this rate.
    Fixed,
    /// Each is twice the last: for guesses.
    Exponential,
}

/// Where and how much is logged.
#[derive(Clone, Debug)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Which requests are recorded.
    pub access: RecordedRequests,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
