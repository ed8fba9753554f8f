//! The file as it is written: one struct for each table, whose comments are the manual.
//!
//! `x-not-yet` marks what is planned but not supported yet: it is refused with these words, never
//! ignored. `x-from` and `x-to` are the bounds of a duration or size. A `default` stands in
//! wherever a key is left out, so a field with one is not optional here.

pub(super) mod provider;
pub(super) mod site;
pub(super) mod site_headers;
pub(super) mod site_theme;
pub(super) mod upstream;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret_source::SecretSource;
use super::spans::At;
use super::units::{Size, Time};
use provider::Provider;
use site::Site;

/// The configuration of Vestibule. Unknown keys are errors. Secrets are a string, `{ env = "NAME"
/// }` or `{ file = "PATH" }` (one newline at the end is cut). Durations are written `"500ms"`,
/// `"30s"`, `"5m"`, `"12h"`, `"30d"`, sizes `"16KiB"`. Relative paths start from the folder of the
/// configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The directory for generated keys and the data of the embedded identity server.
    #[schemars(extend("default" = "/var/lib/vestibule"))]
    pub state_dir: At<String>,
    /// Listeners and limits.
    #[schemars(extend("default" = {}))]
    pub server: Server,
    /// The identity providers, one `[providers.NAME]` each.
    #[schemars(required)]
    pub providers: Option<At<BTreeMap<String, At<Provider>>>>,
    /// The store of sessions, refresh leases, revocations and throttles. A change needs a restart.
    #[schemars(extend("default" = {}))]
    pub store: At<Store>,
    /// Server-side sessions.
    #[schemars(extend("default" = {}))]
    pub session: Session,
    /// The gateway's cookies, for all sites.
    #[schemars(extend("default" = {}))]
    pub cookies: Cookies,
    /// Refresh of access tokens.
    #[schemars(extend("default" = {}))]
    pub refresh: Refresh,
    /// Limits on attempts to sign in.
    #[schemars(extend("default" = {}))]
    pub login: Login,
    /// The log on standard output.
    #[schemars(extend("default" = {}))]
    pub log: Log,
    /// Traces of requests, for an OpenTelemetry collector.
    #[serde(default)]
    pub telemetry: Option<At<Telemetry>>,
    /// The guarded applications, one `[[sites]]` each.
    #[schemars(required)]
    pub sites: Option<At<Vec<At<Site>>>>,
}

/// Listeners and limits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// The addresses that accept HTTP without TLS: HTTP/1.1, and HTTP/2 with prior knowledge.
    #[schemars(extend("default" = ["127.0.0.1:8080"]))]
    pub listen: At<Vec<At<String>>>,
    /// The address of the admin listener: metrics and health checks. It serves no site.
    #[schemars(extend("default" = "127.0.0.1:9090"))]
    pub admin: At<String>,
    /// The CIDRs of proxies whose `X-Forwarded-*` and `Forwarded` headers are trusted. Empty: none.
    #[schemars(extend("default" = []))]
    pub trusted_proxies: At<Vec<At<String>>>,
    /// The number of worker threads; 0 is one for each core.
    #[schemars(range(min = 0, max = 1024), extend("default" = 0))]
    pub workers: At<usize>,
    /// How long requests in flight may take to finish after `SIGTERM`.
    #[schemars(extend("default" = "30s", "x-from" = "0s", "x-to" = "1d"))]
    pub drain: At<Time>,
    /// How long connections are still accepted after `SIGTERM`, while health checks say `503`: the
    /// time that load balancers take to notice.
    #[schemars(extend("default" = "0s", "x-from" = "0s", "x-to" = "1h"))]
    pub shutdown_delay: At<Time>,
    /// Whether the plain listeners expect the header of the PROXY protocol, version 1 or 2, from
    /// `trusted_proxies`. It is required from them and not accepted from others.
    #[schemars(extend("default" = false))]
    pub proxy_protocol: At<bool>,
    /// Where certificates come from by themselves, for listeners with `acme = true`.
    #[serde(default)]
    pub acme: Option<At<Acme>>,
    /// The listeners that accept TLS, one `[[server.tls]]` each. A change of the addresses needs a
    /// restart.
    #[schemars(extend("default" = []))]
    pub tls: Vec<At<Tls>>,
    /// Limits of one connection.
    #[schemars(extend("default" = {}))]
    pub limits: Limits,
}

/// A TLS listener.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// The address.
    #[schemars(required)]
    pub listen: Option<At<String>>,
    /// The certificates, each a PEM file of the chain and a PEM file of its key. A client gets the
    /// one for the name that it asks for (SNI): an exact name before a wildcard, the first
    /// certificate for an unknown name and for none. Changed files are read within five seconds.
    /// While they do not fit together, the certificates in use stay.
    #[schemars(extend("default" = []))]
    pub certificates: At<Vec<At<Certificate>>>,
    /// Whether hosts of https sites that none of `certificates` is for get one by themselves, from
    /// the ACME server of `[server.acme]`.
    #[schemars(extend("default" = false))]
    pub acme: At<bool>,
    /// The oldest version of TLS that is accepted.
    #[schemars(extend("default" = "1.2"))]
    pub minimum: TlsVersion,
    /// A PEM file with the authorities that issue the certificates of clients. Left out, clients
    /// are not asked for one.
    #[serde(default)]
    pub client_ca: Option<At<String>>,
    /// With `client_ca`: whether clients without a certificate are refused. `true` if left out. A
    /// certificate that is presented must be valid in any case.
    #[serde(default)]
    pub required: Option<At<bool>>,
    /// Whether the listener expects the header of the PROXY protocol before the TLS handshake, as
    /// `server.proxy_protocol`.
    #[schemars(extend("default" = false))]
    pub proxy_protocol: At<bool>,
}

/// The ACME server (RFC 8555) that issues certificates.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acme {
    /// Its directory URL.
    #[schemars(extend("default" = "https://acme-v02.api.letsencrypt.org/directory"))]
    pub directory: At<String>,
    /// Where it may write to about problems, like `mailto:ops@example.com`.
    #[serde(default)]
    pub contact: Option<At<String>>,
    /// Whether you accept its terms of service. It issues nothing without.
    #[schemars(extend("default" = false))]
    pub accept_terms: bool,
    /// A PEM file with the authorities that the server's own certificate is verified against. Left
    /// out, those of the system.
    #[serde(default)]
    pub ca: Option<At<String>>,
    /// The profile of the certificates, where the server offers several.
    #[serde(default)]
    pub profile: Option<At<String>>,
}

/// A version of TLS.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// A certificate and its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// The PEM file of the chain, the server's certificate first.
    #[schemars(required)]
    pub cert: Option<At<String>>,
    /// The PEM file of the key, without a password.
    #[schemars(required)]
    pub key: Option<At<String>>,
}

/// The limits of one connection.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// The time limit for receiving a whole request head, or the preface of HTTP/2.
    #[schemars(extend("default" = "10s", "x-from" = "1ms", "x-to" = "10m"))]
    pub header_timeout: At<Time>,
    /// How long a client connection without a request is kept.
    #[schemars(extend("default" = "75s", "x-from" = "1ms", "x-to" = "1d"))]
    pub keep_alive: At<Time>,
    /// The time limit for connecting to an upstream.
    #[schemars(extend("default" = "5s", "x-from" = "1ms", "x-to" = "10m"))]
    pub upstream_connect: At<Time>,
    /// The time limit between two reads from an upstream. A stream may be silent for this long.
    /// Also the time limit between two reads of a client's body, and how long a client may take
    /// nothing of a response.
    #[schemars(extend("default" = "60s", "x-from" = "1ms", "x-to" = "1d"))]
    pub upstream_idle: At<Time>,
    /// The largest accepted body of a sign-in request.
    #[schemars(extend("default" = "16KiB", "x-from" = "1KiB", "x-to" = "1MiB"))]
    pub max_login_body: At<Size>,
    /// The most open connections of clients. Further ones are closed at once.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 20_000))]
    pub connections: At<usize>,
    /// The most open connections from one client address (IPv6: one /64). `trusted_proxies` are
    /// excepted.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 1000))]
    pub connections_per_address: At<usize>,
}

/// The store of sessions, refresh leases, revocations and throttles. A change needs a restart.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// The kind of store.
    #[schemars(extend("default" = "memory"))]
    pub backend: Backend,
    /// Where Redis or Valkey answers, with `backend = "redis"`:
    /// `redis://USER:PASSWORD@HOST:PORT/DATABASE` or `rediss://…` for TLS, all but the host
    /// optional. Behind sentinels `redis+sentinel://…@HOST:PORT,HOST:PORT/MASTER/DATABASE`, a
    /// cluster `redis+cluster://…@HOST:PORT,HOST:PORT`; both also with `rediss+`. Name and password
    /// are those of the servers, percent-encoded where needed; sentinels are asked without.
    #[serde(default)]
    pub url: Option<At<SecretSource>>,
    /// Allows a password in a URL without TLS whose host is not loopback: it then travels in the
    /// clear.
    #[schemars(extend("default" = false))]
    pub insecure: At<bool>,
}

/// A kind of store.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// In the memory of this process. Sessions are lost when it ends.
    Memory,
    /// Redis (6.2 or later) or Valkey, shared by all replicas; they need the same `cookies.keys`.
    Redis,
}

/// Server-side sessions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// How long a session lives without a request.
    #[schemars(extend("default" = "30m", "x-from" = "1s", "x-to" = "400d"))]
    pub idle: At<Time>,
    /// How long a session lives at most.
    #[schemars(extend("default" = "12h", "x-from" = "1s", "x-to" = "400d"))]
    pub absolute: At<Time>,
}

/// The gateway's cookies, for all sites.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cookies {
    /// The sealing keys, 32 bytes in base64 each. The first seals new cookies, all open existing
    /// ones. Left out, a key is generated in `state_dir`.
    #[serde(default)]
    pub keys: Option<Vec<At<SecretSource>>>,
    /// The lifetime of cookies that outlive the browser ("keep me signed in").
    #[schemars(extend("default" = "30d", "x-from" = "1s", "x-to" = "400d"))]
    pub max_age: At<Time>,
}

/// Refresh of access tokens.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    /// How long before an access token expires it is refreshed early; at most a third of its
    /// lifetime.
    #[schemars(extend("default" = "60s", "x-from" = "0s", "x-to" = "1h"))]
    pub ahead: At<Time>,
    /// How long the result of a refresh is kept for other requests with the old refresh token.
    #[schemars(extend("default" = "60s", "x-from" = "1s", "x-to" = "10m"))]
    pub reuse_window: At<Time>,
}

/// Limits on attempts to sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// Attempts for one account. Each further time the limit is reached the wait doubles, up to 15
    /// minutes or `per`, whichever is longer.
    #[schemars(extend("default" = { "attempts": 5, "per": "1m" }))]
    pub account_limit: Rate,
    /// Attempts from one client address (IPv6: one /64), with the same growing wait.
    #[schemars(extend("default" = { "attempts": 30, "per": "1m" }))]
    pub address_limit: Rate,
}

/// A number of attempts in a span of time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// The number of attempts.
    #[schemars(required, range(min = 1, max = 1_000_000))]
    pub attempts: Option<At<u32>>,
    /// The span of time.
    #[schemars(required, extend("x-from" = "1ms", "x-to" = "1d"))]
    pub per: Option<At<Time>>,
}

/// The log on standard output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// The format of a line.
    #[schemars(extend("default" = "json"))]
    pub format: Format,
    /// The least important level that is logged.
    #[schemars(extend("default" = "info"))]
    pub level: Level,
    /// Which requests are recorded: `all`, those with a status of 400 or more (`errors`), or
    /// `none`. Audit records are written in any case.
    #[schemars(extend("default" = "all"))]
    pub access: Access,
}

/// Traces of requests, for an OpenTelemetry collector.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Telemetry {
    /// Where the collector takes OTLP over HTTP, like `http://127.0.0.1:4318`. The path
    /// `/v1/traces` is added.
    #[schemars(required)]
    pub otlp: Option<At<String>>,
    /// The share of requests that are traced: 0 none, 1 all. It is decided by the id of the trace,
    /// so that all replicas agree.
    #[schemars(range(min = 0, max = 1), extend("default" = 0.01))]
    pub sample: f64,
}

/// Which requests are recorded.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    /// Every request.
    All,
    /// Requests with a status of 400 or more, and those without a response.
    Errors,
    /// No request.
    None,
}

/// The format of a log line.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// A line for people to read.
    Text,
}

/// A log level.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Something an operator must fix.
    Error,
    /// Something an operator should look at.
    Warn,
    /// Normal events: requests, sign-ins, reloads.
    Info,
    /// What was decided for each request, and each call to a provider.
    Debug,
    /// The same as `debug`.
    Trace,
}
