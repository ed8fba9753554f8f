//! The file as it is written: one struct for each table, whose comments are the manual.
//!
//! `x-not-yet` marks what the contract names but this version does not do: it is refused with these
//! words, never ignored. `x-from` and `x-to` are the bounds of a duration or size. A `default`
//! stands in wherever a key is left out, so a field with one is not optional here.

pub(super) mod provider;
pub(super) mod site;

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
    /// Where generated keys and the data of the embedded identity server rest.
    #[schemars(extend("default" = "/var/lib/vestibule"))]
    pub state_dir: At<String>,
    /// Listeners and limits.
    #[schemars(extend("default" = {}))]
    pub server: Server,
    /// The identity providers, each under a name of its own.
    #[schemars(required)]
    pub providers: Option<At<BTreeMap<String, At<Provider>>>>,
    /// Where sessions, shared renewals, revocations and throttles rest. A change takes a restart.
    #[schemars(extend("default" = {}))]
    pub store: At<Store>,
    /// Server-side sessions.
    #[schemars(extend("default" = {}))]
    pub session: Session,
    /// The gateway's cookies at all sites.
    #[schemars(extend("default" = {}))]
    pub cookies: Cookies,
    /// Renewal of access tokens.
    #[schemars(extend("default" = {}))]
    pub refresh: Refresh,
    /// Attempts to sign in.
    #[schemars(extend("default" = {}))]
    pub login: Login,
    /// The log on standard output.
    #[schemars(extend("default" = {}))]
    pub log: Log,
    /// The guarded applications, one `[[sites]]` each.
    #[schemars(required)]
    pub sites: Option<At<Vec<At<Site>>>>,
}

/// Listeners and limits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Addresses that take plain HTTP.
    #[schemars(extend("default" = ["127.0.0.1:8080"]))]
    pub listen: At<Vec<At<String>>>,
    /// The address of metrics and health; never a site.
    #[schemars(extend("default" = "127.0.0.1:9090"))]
    pub admin: At<String>,
    /// CIDRs of the peers whose `X-Forwarded-*` are believed; empty: nobody's.
    #[schemars(extend("default" = []))]
    pub trusted_proxies: At<Vec<At<String>>>,
    /// Threads; 0 is one for each core.
    #[schemars(range(min = 0, max = 1024), extend("default" = 0))]
    pub workers: At<usize>,
    /// How long requests in flight may take after `SIGTERM`.
    #[schemars(extend("default" = "30s", "x-from" = "0s", "x-to" = "1d"))]
    pub drain: At<Time>,
    /// Listeners that speak TLS.
    #[serde(default)]
    #[schemars(extend("x-not-yet" = "end TLS in front of vestibule and list that proxy in `trusted_proxies`"))]
    #[expect(dead_code, reason = "refused before it is read")]
    pub tls: Option<Vec<Tls>>,
    /// The limits of one connection.
    #[schemars(extend("default" = {}))]
    pub limits: Limits,
}

/// A listener that speaks TLS.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "refused before it is read")]
pub(super) struct Tls {
    /// Its address.
    pub listen: String,
    /// Picked by SNI, read again when the files change.
    pub certificates: Vec<Certificate>,
}

/// A certificate and its key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "refused before it is read")]
pub(super) struct Certificate {
    /// The PEM file of the chain.
    pub cert: String,
    /// The PEM file of the key.
    pub key: String,
}

/// The limits of one connection.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// For the whole request head.
    #[schemars(extend("default" = "10s", "x-from" = "1ms", "x-to" = "10m"))]
    pub header_timeout: At<Time>,
    /// How long an idle client connection is kept.
    #[schemars(extend("default" = "75s", "x-from" = "1ms", "x-to" = "1d"))]
    pub keep_alive: At<Time>,
    /// For connecting to an upstream.
    #[schemars(extend("default" = "5s", "x-from" = "1ms", "x-to" = "10m"))]
    pub upstream_connect: At<Time>,
    /// Between two reads from an upstream; streams may be silent this long.
    #[schemars(extend("default" = "60s", "x-from" = "1ms", "x-to" = "1d"))]
    pub upstream_idle: At<Time>,
    /// The largest body of a sign-in.
    #[schemars(extend("default" = "16KiB", "x-from" = "1KiB", "x-to" = "1MiB"))]
    pub max_login_body: At<Size>,
}

/// Where sessions, shared renewals, revocations and throttles rest. A change takes a restart.
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
    pub insecure: bool,
}

/// A kind of store.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// In this process; gone with it.
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

/// The gateway's cookies at all sites.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cookies {
    /// The sealing keys, 32 bytes in base64 each: the first seals, all open. Left out, one is made
    /// in `state_dir`.
    #[serde(default)]
    pub keys: Option<Vec<At<SecretSource>>>,
    /// How long cookies live that are to outlive the browser.
    #[schemars(extend("default" = "30d", "x-from" = "1s", "x-to" = "400d"))]
    pub max_age: At<Time>,
}

/// Renewal of access tokens.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    /// Renewal starts this long before the access token ends, and at most a third of its life
    /// before.
    #[schemars(extend("default" = "60s", "x-from" = "0s", "x-to" = "1h"))]
    pub ahead: At<Time>,
    /// How long the result of a renewal is remembered for other requests with the old refresh
    /// token.
    #[schemars(extend("default" = "60s", "x-from" = "1s", "x-to" = "10m"))]
    pub reuse_window: At<Time>,
}

/// Attempts to sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// For one account. Each further time all are used up the wait is twice as long, to 15 minutes
    /// or `per`.
    #[schemars(extend("default" = { "attempts": 5, "per": "1m" }))]
    pub account_limit: Rate,
    /// For one client address (IPv6: one /64), likewise.
    #[schemars(extend("default" = { "attempts": 30, "per": "1m" }))]
    pub address_limit: Rate,
}

/// So many in a span of time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// How many.
    #[schemars(required, range(min = 1, max = 1_000_000))]
    pub attempts: Option<At<u32>>,
    /// In what time.
    #[schemars(required, extend("x-from" = "1ms", "x-to" = "1d"))]
    pub per: Option<At<Time>>,
}

/// The log on standard output.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// The form of a line.
    #[schemars(extend("default" = "json"))]
    pub format: Format,
    /// The least important level that is logged.
    #[schemars(extend("default" = "info"))]
    pub level: Level,
}

/// The form of a log line.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// A level of the log.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// What must be mended.
    Error,
    /// What should be looked at.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Every step.
    Trace,
}
