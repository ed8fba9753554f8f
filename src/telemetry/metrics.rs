//! The numbers of `GET /metrics`, each listed in `docs/reference/metrics.md`.
//!
//! The request path never looks a label up: it holds an [`Arc<SiteMetrics>`](SiteMetrics) whose
//! counters are resolved on first use, so that combinations that never happen never appear.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use prometheus::core::Collector;
#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::labels::{ReloadResult, TokenCheck};
use super::site_metrics::{ProviderMetrics, SiteMetrics};

/// Seconds: our own work, from a remembered token to a provider that dawdles.
const DECISION_BUCKETS: &[f64] = &[
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
    5e-2, 0.1,
];
/// Seconds: whole requests, with the upstream's part and slow clients.
const REQUEST_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Seconds: calls to the provider, up to the longest time-out anybody should set.
const PROVIDER_BUCKETS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Every number the gateway keeps. Made once for the life of the process: a reload goes on
/// counting.
pub struct Metrics {
    registry: Registry,
    pub(super) families: Families,
    sites: RwLock<HashMap<String, Arc<SiteMetrics>>>,
    providers: RwLock<HashMap<String, Arc<ProviderMetrics>>>,
    token_checks: Box<[OnceLock<IntCounter>]>,
}

/// The families as Prometheus knows them; clones count together.
#[derive(Clone)]
pub(super) struct Families {
    pub(super) requests: IntCounterVec,
    pub(super) request_seconds: HistogramVec,
    pub(super) decision_seconds: HistogramVec,
    pub(super) logins: IntCounterVec,
    pub(super) renewals: IntCounterVec,
    token_checks: IntCounterVec,
    pub(super) provider_requests: IntCounterVec,
    pub(super) provider_seconds: HistogramVec,
    pub(super) open_streams: IntGaugeVec,
    pub(super) upstream_healthy: IntGaugeVec,
    pub(super) throttled: IntCounterVec,
    reloads: IntCounterVec,
    sessions: IntGauge,
    cookie_key_age: IntGaugeVec,
    build_info: IntGaugeVec,
}

impl Metrics {
    /// All counters at nothing.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        // It cannot fail: no other name is registered yet.
        #[cfg(target_os = "linux")]
        let _ = registry.register(Box::new(ProcessCollector::for_self()));
        let families = Families::registered(&registry);
        families
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Self {
            registry,
            families,
            sites: RwLock::default(),
            providers: RwLock::default(),
            token_checks: TokenCheck::ALL.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// The numbers of one site, to be kept: the same for every call with this name. The name is one
    /// of the configuration, or empty for requests that belong to no site.
    #[must_use]
    pub fn site(&self, name: &str) -> Arc<SiteMetrics> {
        resolve(&self.sites, name, || SiteMetrics::new(name, &self.families))
    }

    /// The numbers of one provider of the configuration, to be kept.
    #[must_use]
    pub fn provider(&self, name: &str) -> Arc<ProviderMetrics> {
        resolve(&self.providers, name, || {
            ProviderMetrics::new(name, &self.families)
        })
    }

    /// Counts a look at an access token.
    pub fn token_checked(&self, check: TokenCheck) {
        if let Some(slot) = self.token_checks.get(check as usize) {
            slot.get_or_init(|| {
                self.families
                    .token_checks
                    .with_label_values(&[check.as_str()])
            })
            .inc();
        }
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, result: ReloadResult) {
        self.families
            .reloads
            .with_label_values(&[result.as_str()])
            .inc();
    }

    /// Records how many server-side sessions are alive.
    pub fn sessions(&self, alive: usize) {
        self.families
            .sessions
            .set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    /// Records how old the key is that seals cookies.
    pub fn cookie_key_age(&self, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.families
            .cookie_key_age
            .with_label_values::<&str>(&[])
            .set(seconds);
    }

    /// Everything in Prometheus's text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, and a family without samples is not gathered: what could
        // be written is there either way.
        let _ = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

fn resolve<T>(
    known: &RwLock<HashMap<String, Arc<T>>>,
    name: &str,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(found) = known
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
    {
        return Arc::clone(found);
    }
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(
        known
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(make())),
    )
}

impl Families {
    fn registered(registry: &Registry) -> Self {
        let [request_seconds, decision_seconds, provider_seconds] = durations(registry);
        Self {
            requests: counter(
                registry,
                "requests_total",
                "Requests, by how they ended and why.",
                &["site", "outcome", "reason"],
            ),
            request_seconds,
            decision_seconds,
            logins: counter(
                registry,
                "logins_total",
                "Attempts to sign in: `success` or the reason.",
                &["site", "result"],
            ),
            renewals: counter(
                registry,
                "renewals_total",
                "Wishes for new tokens, by how they ended.",
                &["site", "result"],
            ),
            token_checks: counter(
                registry,
                "token_checks_total",
                "Looks at access tokens, by what was found.",
                &["result"],
            ),
            provider_requests: counter(
                registry,
                "provider_requests_total",
                "Calls to a provider.",
                &["provider", "operation", "result"],
            ),
            provider_seconds,
            open_streams: gauge(
                registry,
                "open_streams",
                "WebSockets and event streams open now.",
                &["site"],
            ),
            upstream_healthy: gauge(
                registry,
                "upstream_healthy",
                "1: answers its health check; 0: does not.",
                &["site", "upstream"],
            ),
            throttled: counter(
                registry,
                "throttled_total",
                "Attempts to sign in refused by a limit.",
                &["site", "limit"],
            ),
            reloads: counter(
                registry,
                "config_reloads_total",
                "Reloads of the configuration.",
                &["result"],
            ),
            cookie_key_age: gauge(
                registry,
                "cookie_key_age_seconds",
                "Age of the key that seals cookies; absent where nobody knows.",
                &[],
            ),
            sessions: single(
                registry,
                "sessions",
                "Server-side sessions alive, as far as this process knows.",
            ),
            build_info: gauge(
                registry,
                "build_info",
                "Always 1; the version is in the label.",
                &["version"],
            ),
        }
    }
}

fn durations(registry: &Registry) -> [HistogramVec; 3] {
    [
        histogram(
            registry,
            (
                "request_duration_seconds",
                "Whole requests, the upstream's part included.",
            ),
            &["site"],
            REQUEST_BUCKETS,
        ),
        histogram(
            registry,
            (
                "decision_duration_seconds",
                "The gateway's own time before the upstream is asked.",
            ),
            &["site"],
            DECISION_BUCKETS,
        ),
        histogram(
            registry,
            (
                "provider_request_duration_seconds",
                "Calls to a provider, all in all.",
            ),
            &["provider", "operation"],
            PROVIDER_BUCKETS,
        ),
    ]
}

#[expect(
    clippy::expect_used,
    reason = "the names are constants of this file, and every test makes them"
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

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(
        registry,
        IntCounterVec::new(Opts::new(name, help).namespace("vestibule"), labels),
    )
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(
        registry,
        IntGaugeVec::new(Opts::new(name, help).namespace("vestibule"), labels),
    )
}

/// A gauge without labels: it is there from the start.
fn single(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(
        registry,
        IntGauge::with_opts(Opts::new(name, help).namespace("vestibule")),
    )
}

fn histogram(
    registry: &Registry,
    (name, help): (&str, &str),
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help)
        .namespace("vestibule")
        .buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(options, labels))
}

#[cfg(test)]
mod tests {
    use super::super::labels::{
        CallResult, Limit, ProviderOperation, RenewalResult, UpstreamHealth,
    };
    use super::*;
    use crate::model::outcome_label::OutcomeLabel;
    use crate::model::reason::Reason;

    const REFERENCE: &str = include_str!("../../docs/reference/metrics.md");

    fn one_of_each() -> Metrics {
        let metrics = Metrics::new();
        let site = metrics.site("store");
        site.request(
            OutcomeLabel::Forwarded,
            Reason::SignedIn,
            Duration::from_millis(3),
        );
        site.decided(Duration::from_micros(9));
        site.signed_in();
        site.sign_in_refused(Reason::InvalidCredentials);
        site.renewal(RenewalResult::Shared);
        site.throttled(Limit::Address);
        site.upstream_health("127.0.0.1:80", UpstreamHealth::Down);
        std::mem::forget(site.stream_opened());
        metrics.provider("main").call(
            ProviderOperation::Keys,
            CallResult::Ok,
            Duration::from_millis(20),
        );
        metrics.token_checked(TokenCheck::Revoked);
        metrics.reloaded(ReloadResult::Refused);
        metrics.cookie_key_age(Duration::from_secs(7));
        metrics
    }

    #[test]
    fn what_happened_is_counted_and_nothing_else_appears() {
        let metrics = one_of_each();
        let text = metrics.render();
        for line in [
            r#"vestibule_requests_total{outcome="forwarded",reason="signed_in",site="store"} 1"#,
            r#"vestibule_request_duration_seconds_count{site="store"} 1"#,
            r#"vestibule_decision_duration_seconds_bucket{site="store",le="0.00001"} 1"#,
            r#"vestibule_logins_total{result="success",site="store"} 1"#,
            r#"vestibule_logins_total{result="invalid_credentials",site="store"} 1"#,
            r#"vestibule_renewals_total{result="shared",site="store"} 1"#,
            r#"vestibule_throttled_total{limit="address",site="store"} 1"#,
            r#"vestibule_upstream_healthy{site="store",upstream="127.0.0.1:80"} 0"#,
            r#"vestibule_open_streams{site="store"} 1"#,
            r#"vestibule_provider_requests_total{operation="keys",provider="main",result="ok"} 1"#,
            r#"vestibule_token_checks_total{result="revoked"} 1"#,
            r#"vestibule_config_reloads_total{result="refused"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert_eq!(
            text.matches("vestibule_requests_total{").count(),
            1,
            "{text}"
        );
        assert!(!text.contains(r#"result="renewed""#), "{text}");
    }

    #[test]
    fn every_combination_has_its_own_counter() {
        let metrics = Metrics::new();
        let site = metrics.site("");
        for outcome in OutcomeLabel::ALL {
            for reason in Reason::ALL {
                site.request(*outcome, *reason, Duration::ZERO);
            }
        }
        let text = metrics.render();
        for outcome in OutcomeLabel::ALL {
            for reason in Reason::ALL {
                let (outcome, reason) = (outcome.as_str(), reason.as_str());
                let line = format!(
                    "vestibule_requests_total{{outcome=\"{outcome}\",reason=\"{reason}\",site=\"\"}} 1\n"
                );
                assert!(text.contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn a_site_counts_on_after_it_was_asked_for_again() {
        let metrics = Metrics::new();
        metrics.site("store").signed_in();
        metrics.site("store").signed_in();
        assert!(
            metrics
                .render()
                .contains(r#"vestibule_logins_total{result="success",site="store"} 2"#)
        );
    }

    #[test]
    fn a_closed_stream_and_a_removed_upstream_are_gone() {
        let metrics = Metrics::new();
        let site = metrics.site("store");
        let stream = site.stream_opened();
        assert!(
            metrics
                .render()
                .contains(r#"vestibule_open_streams{site="store"} 1"#)
        );
        drop(stream);
        assert!(
            metrics
                .render()
                .contains(r#"vestibule_open_streams{site="store"} 0"#)
        );
        site.upstream_health("a:1", UpstreamHealth::Up);
        assert!(metrics.render().contains(r#"upstream="a:1"} 1"#));
        site.forget_upstream("a:1");
        assert!(!metrics.render().contains("a:1"));
    }

    #[test]
    fn the_reference_lists_every_metric_and_no_other() {
        let families = one_of_each().registry.gather();
        let rows: Vec<String> = families
            .iter()
            .map(|family| {
                let sample = &family.get_metric()[0];
                let mut labels: Vec<_> = sample
                    .get_label()
                    .iter()
                    .map(|label| format!("`{}`", label.name()))
                    .collect();
                labels.sort();
                let kind = format!("{:?}", family.get_field_type()).to_lowercase();
                format!(
                    "| `{}` | {kind} | {} | {} |",
                    family.name(),
                    labels.join(", "),
                    family.help()
                )
            })
            .collect();
        let listed: Vec<&str> = REFERENCE
            .lines()
            .filter(|line| line.starts_with("| `vestibule_") || line.starts_with("| `process_"))
            .collect();
        assert_eq!(listed, rows);
    }

    #[test]
    fn the_reference_lists_every_value_of_the_closed_labels() {
        fn row(metric: &str, label: &str, words: impl Iterator<Item = &'static str>) -> String {
            let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
            format!("* `{metric}`, `{label}`: {}", words.join(", "))
        }
        let operations = ProviderOperation::ALL.iter().map(|word| word.as_str());
        let rows = [
            row(
                "requests_total",
                "outcome",
                OutcomeLabel::ALL.iter().map(|word| word.as_str()),
            ),
            row(
                "renewals_total",
                "result",
                RenewalResult::ALL.iter().map(|word| word.as_str()),
            ),
            row(
                "token_checks_total",
                "result",
                TokenCheck::ALL.iter().map(|word| word.as_str()),
            ),
            row("provider_requests_total", "operation", operations),
            row(
                "provider_requests_total",
                "result",
                CallResult::ALL.iter().map(|word| word.as_str()),
            ),
            row(
                "throttled_total",
                "limit",
                Limit::ALL.iter().map(|word| word.as_str()),
            ),
            row(
                "config_reloads_total",
                "result",
                ReloadResult::ALL.iter().map(|word| word.as_str()),
            ),
        ];
        let listed: Vec<&str> = REFERENCE
            .lines()
            .filter(|line| line.starts_with("* `"))
            .collect();
        assert_eq!(listed, rows);
    }

    #[test]
    fn the_reference_of_reasons_lists_every_one_with_its_title() {
        let reference = include_str!("../../docs/reference/reasons.md");
        let listed: Vec<String> = reference
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('|').take(3).collect::<Vec<_>>().join("|"))
            .collect();
        let rows: Vec<String> = Reason::ALL
            .iter()
            .map(|reason| format!("| `{}` | {} ", reason.as_str(), reason.title()))
            .collect();
        assert_eq!(listed, rows);
    }
}
