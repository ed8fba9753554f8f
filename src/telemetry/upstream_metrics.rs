//! The metrics of one upstream of one site.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::labels::{UpstreamError, UpstreamHealth};
use super::metric_families::MetricFamilies;

/// The metrics of one upstream. All of its time series exist from the start, at zero, so that an
/// alert does not miss the first error.
pub struct UpstreamMetrics {
    /// Indexed by error.
    errors: Box<[IntCounter]>,
    request_seconds: Histogram,
    healthy: IntGauge,
}

impl UpstreamMetrics {
    pub(super) fn new(site: &str, upstream: &str, families: &MetricFamilies) -> Self {
        let error = |error: &UpstreamError| {
            let labels = [site, upstream, error.as_str()];
            families.upstream_errors.with_label_values(&labels)
        };
        let labels = [site, upstream];
        Self {
            errors: UpstreamError::ALL.iter().map(error).collect(),
            request_seconds: families.upstream_seconds.with_label_values(&labels),
            healthy: families.upstream_healthy.with_label_values(&labels),
        }
    }

    /// Removes all time series of an upstream.
    pub(super) fn remove(site: &str, upstream: &str, families: &MetricFamilies) {
        // A series that is not there needs no removal.
        let labels = [site, upstream];
        let _ = families.upstream_healthy.remove_label_values(&labels);
        let _ = families.upstream_seconds.remove_label_values(&labels);
        for error in UpstreamError::ALL {
            let labels = [site, upstream, error.as_str()];
            let _ = families.upstream_errors.remove_label_values(&labels);
        }
    }

    /// Counts a failed attempt.
    pub fn failed(&self, error: UpstreamError) {
        if let Some(series) = self.errors.get(error as usize) {
            series.inc();
        }
    }

    /// Records the time until the head of a response.
    pub fn responded(&self, duration: Duration) {
        self.request_seconds.observe(duration.as_secs_f64());
    }

    /// Records whether the upstream gets requests.
    pub fn health(&self, health: UpstreamHealth) {
        self.healthy.set(match health {
            UpstreamHealth::Up => 1,
            UpstreamHealth::Down => 0,
        });
    }
}

impl std::fmt::Debug for UpstreamMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("UpstreamMetrics")
    }
}
