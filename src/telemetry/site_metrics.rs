//! The metrics of one site.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::labels::{Limit, RenewalResult};
use super::metric_families::{LazySeries, MetricFamilies, lazy_series};
use super::upstream_metrics::UpstreamMetrics;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

/// The metrics of one site. Counting is a few atomic additions, without a lock or a label lookup.
pub struct SiteMetrics {
    name: String,
    families: MetricFamilies,
    /// Indexed by outcome, then by reason.
    requests: LazySeries<IntCounter>,
    request_seconds: OnceLock<Histogram>,
    decision_seconds: OnceLock<Histogram>,
    login_success: OnceLock<IntCounter>,
    login_refusals: LazySeries<IntCounter>,
    renewals: LazySeries<IntCounter>,
    throttled: LazySeries<IntCounter>,
    open_streams: OnceLock<IntGauge>,
}

/// An open stream. It counts as open until the guard is dropped.
#[must_use = "the stream counts as closed when this is dropped"]
pub struct StreamGuard(IntGauge);

impl SiteMetrics {
    pub(super) fn new(name: &str, families: &MetricFamilies) -> Self {
        Self {
            name: name.to_owned(),
            families: families.clone(),
            requests: lazy_series(OutcomeLabel::ALL.len() * Reason::ALL.len()),
            request_seconds: OnceLock::new(),
            decision_seconds: OnceLock::new(),
            login_success: OnceLock::new(),
            login_refusals: lazy_series(Reason::ALL.len()),
            renewals: lazy_series(RenewalResult::ALL.len()),
            throttled: lazy_series(Limit::ALL.len()),
            open_streams: OnceLock::new(),
        }
    }

    /// Counts a request. `duration` is the time from the first byte of the request to the last byte
    /// of the response.
    pub fn request(&self, outcome: OutcomeLabel, reason: Reason, duration: Duration) {
        let index = outcome as usize * Reason::ALL.len() + reason as usize;
        if let Some(series) = self.requests.get(index) {
            let labels = [self.name.as_str(), outcome.as_str(), reason.as_str()];
            series
                .get_or_init(|| self.families.requests.with_label_values(&labels))
                .inc();
        }
        self.request_seconds
            .get_or_init(|| {
                self.families
                    .request_seconds
                    .with_label_values(&[&self.name])
            })
            .observe(duration.as_secs_f64());
    }

    /// Records how long the gateway took before it contacted the upstream or responded itself.
    pub fn decided(&self, duration: Duration) {
        self.decision_seconds
            .get_or_init(|| {
                self.families
                    .decision_seconds
                    .with_label_values(&[&self.name])
            })
            .observe(duration.as_secs_f64());
    }

    /// Counts a sign-in that started a session.
    pub fn signed_in(&self) {
        self.login_success
            .get_or_init(|| {
                self.families
                    .logins
                    .with_label_values(&[self.name.as_str(), "success"])
            })
            .inc();
    }

    /// Counts a sign-in attempt that failed.
    pub fn sign_in_refused(&self, reason: Reason) {
        if let Some(series) = self.login_refusals.get(reason as usize) {
            series
                .get_or_init(|| {
                    self.families
                        .logins
                        .with_label_values(&[self.name.as_str(), reason.as_str()])
                })
                .inc();
        }
    }

    /// Counts a token refresh.
    pub fn renewal(&self, result: RenewalResult) {
        if let Some(series) = self.renewals.get(result as usize) {
            series
                .get_or_init(|| {
                    self.families
                        .renewals
                        .with_label_values(&[self.name.as_str(), result.as_str()])
                })
                .inc();
        }
    }

    /// Counts a sign-in attempt that a rate limit refused.
    pub fn throttled(&self, limit: Limit) {
        if let Some(series) = self.throttled.get(limit as usize) {
            series
                .get_or_init(|| {
                    self.families
                        .throttled
                        .with_label_values(&[self.name.as_str(), limit.as_str()])
                })
                .inc();
        }
    }

    /// Counts an open WebSocket connection or event stream until the guard is dropped.
    pub fn stream_opened(&self) -> StreamGuard {
        let gauge = self
            .open_streams
            .get_or_init(|| self.families.open_streams.with_label_values(&[&self.name]));
        gauge.inc();
        StreamGuard(gauge.clone())
    }

    /// The metrics of one upstream of the site, by its name in the configuration. It looks up
    /// labels: callers keep the result.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics::new(&self.name, name, &self.families)
    }

    /// Removes the time series of an upstream that a reload removed from the configuration.
    pub fn forget_upstream(&self, upstream: &str) {
        UpstreamMetrics::remove(&self.name, upstream, &self.families);
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl std::fmt::Debug for SiteMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SiteMetrics({:?})", self.name)
    }
}

impl std::fmt::Debug for StreamGuard {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("StreamGuard")
    }
}
