//! The metrics of one provider.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::labels::{CallResult, ProviderOperation};
use super::metric_families::{LazySeries, MetricFamilies, lazy_series};

/// The metrics of one provider: counts and durations of the calls to it.
pub struct ProviderMetrics {
    name: String,
    families: MetricFamilies,
    /// Indexed by operation, then by result.
    calls: LazySeries<IntCounter>,
    /// Indexed by operation.
    seconds: LazySeries<Histogram>,
}

impl ProviderMetrics {
    pub(super) fn new(name: &str, families: &MetricFamilies) -> Self {
        Self {
            name: name.to_owned(),
            families: families.clone(),
            calls: lazy_series(ProviderOperation::ALL.len() * CallResult::ALL.len()),
            seconds: lazy_series(ProviderOperation::ALL.len()),
        }
    }

    /// Counts a call to the provider and records its `duration`.
    pub fn call(&self, operation: ProviderOperation, result: CallResult, duration: Duration) {
        let index = operation as usize * CallResult::ALL.len() + result as usize;
        if let Some(series) = self.calls.get(index) {
            let labels = [self.name.as_str(), operation.as_str(), result.as_str()];
            series
                .get_or_init(|| self.families.provider_requests.with_label_values(&labels))
                .inc();
        }
        if let Some(series) = self.seconds.get(operation as usize) {
            let labels = [self.name.as_str(), operation.as_str()];
            series
                .get_or_init(|| self.families.provider_seconds.with_label_values(&labels))
                .observe(duration.as_secs_f64());
        }
    }
}

impl std::fmt::Debug for ProviderMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ProviderMetrics({:?})", self.name)
    }
}
