//! The metric families: their names, help texts, labels and histogram buckets, and their
//! registration. The help texts also stand in `docs/reference/metrics.md`, which a test compares.

use std::sync::{LazyLock, OnceLock};

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// The prefix of every metric name.
const NAMESPACE: &str = "vestibule";

/// Seconds. The time the gateway takes by itself: from a token found in the cache to a slow
/// provider.
const DECISION_BUCKETS: &[f64] = &[
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
    5e-2, 0.1,
];
/// Seconds. Whole requests, including the upstream and slow clients.
const REQUEST_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Seconds. Calls to a provider, up to the longest sensible timeout.
const PROVIDER_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// A metric family as it is documented.
struct Definition {
    /// Without the namespace.
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

const REQUESTS: Definition = Definition {
    name: "requests_total",
    help: "Requests, by outcome and reason code.",
    labels: &["site", "outcome", "reason"],
};
const REQUEST_SECONDS: Definition = Definition {
    name: "request_duration_seconds",
    help: "Duration of whole requests, including the upstream.",
    labels: &["site"],
};
const RESPONSES: Definition = Definition {
    name: "responses_total",
    help: "Responses, by the class of their status.",
    labels: &["site", "class"],
};
const REQUESTS_IN_FLIGHT: Definition = Definition {
    name: "requests_in_flight",
    help: "Requests that are being served, open streams included.",
    labels: &["site"],
};
const SIGN_OUTS: Definition = Definition {
    name: "unexpected_sign_outs_total",
    help: "Visitors who were signed out without asking for it, by cause.",
    labels: &["site", "cause"],
};
const DECISION_SECONDS: Definition = Definition {
    name: "decision_duration_seconds",
    help: "The gateway's own time before it contacts the upstream or responds itself, without waiting for providers, the store and bodies.",
    labels: &["site"],
};
const LOGINS: Definition = Definition {
    name: "logins_total",
    help: "Sign-in attempts. `result` is `success` or a reason code.",
    labels: &["site", "result"],
};
const RENEWALS: Definition = Definition {
    name: "renewals_total",
    help: "Token refreshes, by result.",
    labels: &["site", "result"],
};
const TOKEN_CHECKS: Definition = Definition {
    name: "token_checks_total",
    help: "Access token checks, by result.",
    labels: &["result"],
};
const PROVIDER_REQUESTS: Definition = Definition {
    name: "provider_requests_total",
    help: "Calls to a provider, by operation and result.",
    labels: &["provider", "operation", "result"],
};
const PROVIDER_SECONDS: Definition = Definition {
    name: "provider_request_duration_seconds",
    help: "Duration of calls to a provider.",
    labels: &["provider", "operation"],
};
const HOOKS: Definition = Definition {
    name: "hooks_total",
    help: "Messages of a provider that end sign-ins, by event and result.",
    labels: &["provider", "event", "result"],
};
const OPEN_STREAMS: Definition = Definition {
    name: "open_streams",
    help: "Open WebSocket connections and event streams.",
    labels: &["site"],
};
const UPSTREAM_HEALTHY: Definition = Definition {
    name: "upstream_healthy",
    help: "1 if the upstream gets requests, 0 if it fails its health check or is ejected.",
    labels: &["site", "upstream"],
};
const UPSTREAM_SECONDS: Definition = Definition {
    name: "upstream_request_duration_seconds",
    help: "Time from the attempt to reach an upstream to the head of its response.",
    labels: &["site", "upstream"],
};
const UPSTREAM_ERRORS: Definition = Definition {
    name: "upstream_errors_total",
    help: "Failed attempts to get a response from an upstream, by cause.",
    labels: &["site", "upstream", "error"],
};
const THROTTLED: Definition = Definition {
    name: "throttled_total",
    help: "Sign-in attempts refused by a rate limit.",
    labels: &["site", "limit"],
};
const RELOADS: Definition = Definition {
    name: "config_reloads_total",
    help: "Configuration reloads, by result.",
    labels: &["result"],
};
const RELOAD_SUCCESSFUL: Definition = Definition {
    name: "config_last_reload_successful",
    help: "1 if the last configuration that was read is in force, 0 if it was refused.",
    labels: &[],
};
const RELOAD_TIME: Definition = Definition {
    name: "config_last_reload_successful_timestamp_seconds",
    help: "When the configuration in force was read, in seconds since the Unix epoch.",
    labels: &[],
};
const STORE_EVICTIONS: Definition = Definition {
    name: "store_evictions_total",
    help: "Entries that a full store dropped before they expired.",
    labels: &["store"],
};
const SPANS_DROPPED: Definition = Definition {
    name: "spans_dropped_total",
    help: "Spans of traced requests that no collector got, by reason.",
    labels: &["reason"],
};
const LOG_LINES_DROPPED: Definition = Definition {
    name: "log_lines_dropped_total",
    help: "Log lines that standard output did not take: its reader stalled or had gone, or the disk was full.",
    labels: &[],
};
const COOKIE_KEY_AGE: Definition = Definition {
    name: "cookie_key_age_seconds",
    help: "Age of the key that encrypts cookies. Absent if the age is unknown.",
    labels: &[],
};
const CONNECTIONS: Definition = Definition {
    name: "connections",
    help: "Open connections of clients, by listener and protocol.",
    labels: &["listener", "protocol"],
};
const TLS_HANDSHAKES: Definition = Definition {
    name: "tls_handshakes_total",
    help: "TLS handshakes of clients, by listener and result.",
    labels: &["listener", "result"],
};
const CERTIFICATE_EXPIRY: Definition = Definition {
    name: "certificate_expiry_timestamp_seconds",
    help: "The end of a certificate's validity, in seconds since 1970. The label is its first name.",
    labels: &["name"],
};
const ACME_ORDERS: Definition = Definition {
    name: "acme_orders_total",
    help: "Certificates that were ordered from the ACME server, by result.",
    labels: &["result"],
};
const SESSIONS: Definition = Definition {
    name: "sessions",
    help: "Active server-side sessions that this process knows of.",
    labels: &[],
};
const BUILD_INFO: Definition = Definition {
    name: "build_info",
    help: "Always 1. The label contains the version.",
    labels: &["version"],
};

/// All metric families. Clones share their values.
#[derive(Clone)]
pub(super) struct MetricFamilies {
    pub(super) requests: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) responses: IntCounterVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) sign_outs: IntCounterVec,
    pub(super) decision_seconds: HistogramVec,
    pub(super) logins: IntCounterVec,
    pub(super) renewals: IntCounterVec,
    pub(super) token_checks: IntCounterVec,
    pub(super) provider_requests: IntCounterVec,
    pub(super) provider_seconds: HistogramVec,
    pub(super) hooks: IntCounterVec,
    pub(super) open_streams: IntGaugeVec,
    pub(super) upstream_healthy: IntGaugeVec,
    pub(super) upstream_seconds: HistogramVec,
    pub(super) upstream_errors: IntCounterVec,
    pub(super) throttled: IntCounterVec,
    pub(super) reloads: IntCounterVec,
    pub(super) reload_successful: IntGauge,
    pub(super) reload_time: IntGauge,
    pub(super) store_evictions: IntCounterVec,
    pub(super) spans_dropped: IntCounterVec,
    pub(super) cookie_key_age: IntGaugeVec,
    pub(super) connections: IntGaugeVec,
    pub(super) tls_handshakes: IntCounterVec,
    pub(super) certificate_expiry: IntGaugeVec,
    pub(super) acme_orders: IntCounterVec,
    pub(super) sessions: IntGauge,
    pub(super) build_info: IntGaugeVec,
}

impl MetricFamilies {
    /// Creates every family and registers it with `registry`.
    pub(super) fn register(registry: &Registry) -> Self {
        registered(registry, Ok(log_lines_dropped()));
        Self {
            requests: counter(registry, &REQUESTS),
            request_seconds: histogram(registry, &REQUEST_SECONDS, REQUEST_BUCKETS),
            responses: counter(registry, &RESPONSES),
            in_flight: gauge(registry, &REQUESTS_IN_FLIGHT),
            sign_outs: counter(registry, &SIGN_OUTS),
            decision_seconds: histogram(registry, &DECISION_SECONDS, DECISION_BUCKETS),
            logins: counter(registry, &LOGINS),
            renewals: counter(registry, &RENEWALS),
            token_checks: counter(registry, &TOKEN_CHECKS),
            provider_requests: counter(registry, &PROVIDER_REQUESTS),
            provider_seconds: histogram(registry, &PROVIDER_SECONDS, PROVIDER_BUCKETS),
            hooks: counter(registry, &HOOKS),
            open_streams: gauge(registry, &OPEN_STREAMS),
            upstream_healthy: gauge(registry, &UPSTREAM_HEALTHY),
            upstream_seconds: histogram(registry, &UPSTREAM_SECONDS, REQUEST_BUCKETS),
            upstream_errors: counter(registry, &UPSTREAM_ERRORS),
            throttled: counter(registry, &THROTTLED),
            reloads: counter(registry, &RELOADS),
            reload_successful: gauge_without_labels(registry, &RELOAD_SUCCESSFUL),
            reload_time: gauge_without_labels(registry, &RELOAD_TIME),
            store_evictions: counter(registry, &STORE_EVICTIONS),
            spans_dropped: counter(registry, &SPANS_DROPPED),
            cookie_key_age: gauge(registry, &COOKIE_KEY_AGE),
            connections: gauge(registry, &CONNECTIONS),
            tls_handshakes: counter(registry, &TLS_HANDSHAKES),
            certificate_expiry: gauge(registry, &CERTIFICATE_EXPIRY),
            acme_orders: counter(registry, &ACME_ORDERS),
            sessions: gauge_without_labels(registry, &SESSIONS),
            build_info: gauge(registry, &BUILD_INFO),
        }
    }
}

/// Time series that exist from the start, each in a fixed position.
pub(super) type Series<T> = Box<[T]>;

/// Time series that are created when they are first used, each in a fixed position.
pub(super) type LazySeries<T> = Box<[OnceLock<T>]>;

/// `count` time series, none of them created yet.
pub(super) fn lazy_series<T>(count: usize) -> LazySeries<T> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

fn options(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help).namespace(NAMESPACE)
}

fn counter(registry: &Registry, definition: &Definition) -> IntCounterVec {
    let family = IntCounterVec::new(options(definition), definition.labels);
    registered(registry, family)
}

fn gauge(registry: &Registry, definition: &Definition) -> IntGaugeVec {
    let family = IntGaugeVec::new(options(definition), definition.labels);
    registered(registry, family)
}

/// The counter of lost log lines. Logging is one for the process, and so is its counter, which each
/// registry exports.
#[expect(
    clippy::expect_used,
    reason = "the name is a constant of this file, which the tests create"
)]
pub(super) fn log_lines_dropped() -> IntCounter {
    static COUNTER: LazyLock<IntCounter> = LazyLock::new(|| {
        IntCounter::with_opts(options(&LOG_LINES_DROPPED)).expect("the name is well-formed")
    });
    COUNTER.clone()
}

/// A gauge without labels. It is exported from the start, with the value 0.
fn gauge_without_labels(registry: &Registry, definition: &Definition) -> IntGauge {
    registered(registry, IntGauge::with_opts(options(definition)))
}

fn histogram(registry: &Registry, definition: &Definition, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(definition.name, definition.help)
        .namespace(NAMESPACE)
        .buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(options, definition.labels))
}

#[expect(
    clippy::expect_used,
    reason = "the definitions are constants of this file, and every test registers them"
)]
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("the name and labels are well-formed");
    registry
        .register(Box::new(family.clone()))
        .expect("each name is registered once");
    family
}
