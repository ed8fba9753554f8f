//! The metrics of `GET /metrics`. `docs/reference/metrics.md` lists each of them.
//!
//! The request path never looks up a label: it holds an [`Arc<SiteMetrics>`](SiteMetrics). Time
//! series with labels of closed lists exist from the start, at zero, so that the first event is
//! seen as an increase.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

#[cfg(target_os = "linux")]
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, Registry, TextEncoder};

use super::labels::{OrderResult, ReloadResult, SpanDrop, Store, TokenCheck};
use super::listener_metrics::ListenerMetrics;
use super::metric_families::{MetricFamilies, Series};
use super::provider_metrics::ProviderMetrics;
use super::site_metrics::SiteMetrics;
use crate::model::timestamp::Timestamp;

/// All metrics of the process. They are created once, so that counters continue over a reload.
pub struct Metrics {
    registry: Registry,
    families: MetricFamilies,
    sites: RwLock<HashMap<String, Arc<SiteMetrics>>>,
    providers: RwLock<HashMap<String, Arc<ProviderMetrics>>>,
    listeners: RwLock<HashMap<String, Arc<ListenerMetrics>>>,
    /// Indexed by result.
    token_checks: Series<IntCounter>,
}

impl Metrics {
    /// Registers all metrics, every counter at zero.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        // It cannot fail: no other name is registered yet.
        #[cfg(target_os = "linux")]
        let _ = registry.register(Box::new(ProcessCollector::for_self()));
        let families = MetricFamilies::register(&registry);
        families
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        // These exist from the start: an alert on them must not miss the first eviction.
        for result in OrderResult::ALL {
            families.acme_orders.with_label_values(&[result.as_str()]);
        }
        for store in Store::ALL {
            families
                .store_evictions
                .with_label_values(&[store.as_str()]);
        }
        for reason in SpanDrop::ALL {
            families.spans_dropped.with_label_values(&[reason.as_str()]);
        }
        for result in ReloadResult::ALL {
            families.reloads.with_label_values(&[result.as_str()]);
        }
        let token_checks = TokenCheck::ALL.iter();
        let token_checks =
            token_checks.map(|check| families.token_checks.with_label_values(&[check.as_str()]));
        let token_checks = token_checks.collect();
        Self {
            registry,
            families,
            sites: RwLock::default(),
            providers: RwLock::default(),
            listeners: RwLock::default(),
            token_checks,
        }
    }

    /// The metrics of one site; every call with the same name returns the same ones. `name` is a
    /// site name from the configuration, or empty for requests that belong to no site. Takes a
    /// lock: callers keep the result.
    #[must_use]
    pub fn site(&self, name: &str) -> Arc<SiteMetrics> {
        get_or_create(&self.sites, name, || SiteMetrics::new(name, &self.families))
    }

    /// The metrics of the provider `name` of the configuration. Takes a lock: callers keep the
    /// result.
    #[must_use]
    pub fn provider(&self, name: &str) -> Arc<ProviderMetrics> {
        get_or_create(&self.providers, name, || {
            ProviderMetrics::new(name, &self.families)
        })
    }

    /// The metrics of the listener with this address, all of them at zero. Takes a lock: callers
    /// keep the result.
    #[must_use]
    pub fn listener(&self, address: &str) -> Arc<ListenerMetrics> {
        get_or_create(&self.listeners, address, || {
            ListenerMetrics::new(address, &self.families)
        })
    }

    /// Records the certificates in use, with the end of each one's validity. Of several with one
    /// name the earliest end counts.
    pub fn certificates(&self, certificates: impl Iterator<Item = (String, Timestamp)>) {
        let mut expiry = BTreeMap::new();
        for (name, expires) in certificates {
            let earliest = expiry.entry(name).or_insert(expires);
            *earliest = expires.min(*earliest);
        }
        // Those that are gone are not exported any more.
        self.families.certificate_expiry.reset();
        for (name, expires) in expiry {
            let seconds = i64::try_from(expires.secs()).unwrap_or(i64::MAX);
            self.families
                .certificate_expiry
                .with_label_values(&[&*name])
                .set(seconds);
        }
    }

    /// Counts the check of an access token.
    pub fn token_checked(&self, check: TokenCheck) {
        if let Some(counter) = self.token_checks.get(check as usize) {
            counter.inc();
        }
    }

    /// Counts an order at the ACME server.
    pub fn acme_order(&self, result: OrderResult) {
        self.families
            .acme_orders
            .with_label_values(&[result.as_str()])
            .inc();
    }

    /// Counts a reload of the configuration at `now`.
    pub fn reloaded(&self, result: ReloadResult, now: Timestamp) {
        let reloads = &self.families.reloads;
        reloads.with_label_values(&[result.as_str()]).inc();
        match result {
            ReloadResult::Ok => self.configured(now),
            ReloadResult::Refused => self.families.reload_successful.set(0),
        }
    }

    /// Records that the configuration that was read at `now` is in force.
    pub fn configured(&self, now: Timestamp) {
        self.families.reload_successful.set(1);
        let seconds = i64::try_from(now.secs()).unwrap_or(i64::MAX);
        self.families.reload_time.set(seconds);
    }

    /// Records the number of active server-side sessions.
    pub fn sessions(&self, active: usize) {
        self.families
            .sessions
            .set(i64::try_from(active).unwrap_or(i64::MAX));
    }

    /// Records how many entries a store has evicted since the start.
    pub fn store_evictions(&self, store: Store, evicted: u64) {
        let series = self
            .families
            .store_evictions
            .with_label_values(&[store.as_str()]);
        series.inc_by(evicted.saturating_sub(series.get()));
    }

    /// Counts spans that no collector got.
    pub fn spans_dropped(&self, reason: SpanDrop, spans: u64) {
        let labels = [reason.as_str()];
        self.families
            .spans_dropped
            .with_label_values(&labels)
            .inc_by(spans);
    }

    /// How many spans were dropped for this reason.
    #[must_use]
    pub fn dropped_spans(&self, reason: SpanDrop) -> u64 {
        let labels = [reason.as_str()];
        self.families.spans_dropped.with_label_values(&labels).get()
    }

    /// Records the age of the key that encrypts cookies.
    pub fn cookie_key_age(&self, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.families
            .cookie_key_age
            .with_label_values::<&str>(&[])
            .set(seconds);
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, and a family without samples is not gathered. If
        // encoding failed anyway, the families before the failure would still be served.
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

/// The entry `name` of `entries`, created by `create` on first use.
fn get_or_create<T>(
    entries: &RwLock<HashMap<String, Arc<T>>>,
    name: &str,
    create: impl FnOnce() -> T,
) -> Arc<T> {
    if let Some(existing) = entries
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(name)
    {
        return Arc::clone(existing);
    }
    let mut entries = entries.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(
        entries
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(create())),
    )
}

#[cfg(test)]
mod tests;
