//! The metrics of one provider.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::labels::{CallResult, HookEvent, HookResult, ProviderOperation};
use super::metric_families::{MetricFamilies, Series};

/// The metrics of one provider: counts and durations of the calls to it, and counts of its
/// messages. Every time series exists from the start, at zero.
pub struct ProviderMetrics {
    name: String,
    /// Indexed by operation, then by result.
    calls: Series<IntCounter>,
    /// Indexed by operation.
    seconds: Series<Histogram>,
    /// Indexed by event, then by result.
    hooks: Series<IntCounter>,
}

impl ProviderMetrics {
    pub(super) fn new(name: &str, families: &MetricFamilies) -> Self {
        let (mut calls, mut seconds) = (Vec::new(), Vec::new());
        for operation in ProviderOperation::ALL {
            let operation = operation.as_str();
            for result in CallResult::ALL {
                let labels = [name, operation, result.as_str()];
                calls.push(families.provider_requests.with_label_values(&labels));
            }
            let labels = [name, operation];
            seconds.push(families.provider_seconds.with_label_values(&labels));
        }
        let mut hooks = Vec::new();
        for event in HookEvent::ALL {
            for result in HookResult::ALL {
                let labels = [name, event.as_str(), result.as_str()];
                hooks.push(families.hooks.with_label_values(&labels));
            }
        }
        Self {
            name: name.to_owned(),
            calls: calls.into(),
            seconds: seconds.into(),
            hooks: hooks.into(),
        }
    }

    /// Counts a message of the provider.
    pub fn hook(&self, event: HookEvent, result: HookResult) {
        let index = event as usize * HookResult::ALL.len() + result as usize;
        if let Some(counter) = self.hooks.get(index) {
            counter.inc();
        }
    }

    /// Counts a call to the provider and records its `duration`.
    pub fn call(&self, operation: ProviderOperation, result: CallResult, duration: Duration) {
        let index = operation as usize * CallResult::ALL.len() + result as usize;
        if let Some(counter) = self.calls.get(index) {
            counter.inc();
        }
        if let Some(histogram) = self.seconds.get(operation as usize) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

impl std::fmt::Debug for ProviderMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ProviderMetrics({:?})", self.name)
    }
}
