//! The numbers of one site and of one provider, resolved once and kept by whoever counts.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::labels::{CallResult, Limit, ProviderOperation, RenewalResult, UpstreamHealth};
use super::metrics::Families;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

/// Counters that come into being when they first count.
type Slots<T> = Box<[OnceLock<T>]>;

/// The numbers of one site. Counting is a few atomic additions: no lock, no label is looked up.
pub struct SiteMetrics {
    name: String,
    families: Families,
    /// By outcome, then reason.
    requests: Slots<IntCounter>,
    request_seconds: OnceLock<Histogram>,
    decision_seconds: OnceLock<Histogram>,
    login_success: OnceLock<IntCounter>,
    login_refusals: Slots<IntCounter>,
    renewals: Slots<IntCounter>,
    throttled: Slots<IntCounter>,
    open_streams: OnceLock<IntGauge>,
}

/// One open stream: counted until it is dropped.
#[must_use = "the stream counts as closed when this is dropped"]
pub struct StreamGuard(IntGauge);

/// The numbers of one provider.
pub struct ProviderMetrics {
    name: String,
    families: Families,
    /// By operation, then result.
    calls: Slots<IntCounter>,
    seconds: Slots<Histogram>,
}

impl SiteMetrics {
    pub(super) fn new(name: &str, families: &Families) -> Self {
        Self {
            name: name.to_owned(),
            families: families.clone(),
            requests: slots(OutcomeLabel::ALL.len() * Reason::ALL.len()),
            request_seconds: OnceLock::new(),
            decision_seconds: OnceLock::new(),
            login_success: OnceLock::new(),
            login_refusals: slots(Reason::ALL.len()),
            renewals: slots(RenewalResult::ALL.len()),
            throttled: slots(Limit::ALL.len()),
            open_streams: OnceLock::new(),
        }
    }

    /// Counts a request that took `took` from its first byte to the last of the answer.
    pub fn request(&self, outcome: OutcomeLabel, reason: Reason, took: Duration) {
        if let Some(slot) = self
            .requests
            .get(outcome as usize * Reason::ALL.len() + reason as usize)
        {
            let labels = [self.name.as_str(), outcome.as_str(), reason.as_str()];
            slot.get_or_init(|| self.families.requests.with_label_values(&labels))
                .inc();
        }
        self.request_seconds
            .get_or_init(|| {
                self.families
                    .request_seconds
                    .with_label_values(&[&self.name])
            })
            .observe(took.as_secs_f64());
    }

    /// Records the gateway's own time before the upstream is asked or the answer is given.
    pub fn decided(&self, took: Duration) {
        self.decision_seconds
            .get_or_init(|| {
                self.families
                    .decision_seconds
                    .with_label_values(&[&self.name])
            })
            .observe(took.as_secs_f64());
    }

    /// Counts a sign-in that led to a session.
    pub fn signed_in(&self) {
        self.login_success
            .get_or_init(|| {
                self.families
                    .logins
                    .with_label_values(&[self.name.as_str(), "success"])
            })
            .inc();
    }

    /// Counts an attempt to sign in that did not.
    pub fn sign_in_refused(&self, reason: Reason) {
        if let Some(slot) = self.login_refusals.get(reason as usize) {
            slot.get_or_init(|| {
                self.families
                    .logins
                    .with_label_values(&[self.name.as_str(), reason.as_str()])
            })
            .inc();
        }
    }

    /// Counts a wish for new tokens.
    pub fn renewal(&self, result: RenewalResult) {
        if let Some(slot) = self.renewals.get(result as usize) {
            slot.get_or_init(|| {
                self.families
                    .renewals
                    .with_label_values(&[self.name.as_str(), result.as_str()])
            })
            .inc();
        }
    }

    /// Counts an attempt to sign in that a limit refused.
    pub fn throttled(&self, limit: Limit) {
        if let Some(slot) = self.throttled.get(limit as usize) {
            slot.get_or_init(|| {
                self.families
                    .throttled
                    .with_label_values(&[self.name.as_str(), limit.as_str()])
            })
            .inc();
        }
    }

    /// Counts an open WebSocket or event stream for as long as the guard lives.
    pub fn stream_opened(&self) -> StreamGuard {
        let gauge = self
            .open_streams
            .get_or_init(|| self.families.open_streams.with_label_values(&[&self.name]));
        gauge.inc();
        StreamGuard(gauge.clone())
    }

    /// Records what a health check found. Not for the request path: looks its label up.
    pub fn upstream_health(&self, upstream: &str, health: UpstreamHealth) {
        let value = match health {
            UpstreamHealth::Up => 1,
            UpstreamHealth::Down => 0,
        };
        self.families
            .upstream_healthy
            .with_label_values(&[self.name.as_str(), upstream])
            .set(value);
    }

    /// Drops the number of an upstream that a reload took out of the configuration.
    pub fn forget_upstream(&self, upstream: &str) {
        // One that was never checked has no number to drop.
        let _ = self
            .families
            .upstream_healthy
            .remove_label_values(&[self.name.as_str(), upstream]);
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ProviderMetrics {
    pub(super) fn new(name: &str, families: &Families) -> Self {
        Self {
            name: name.to_owned(),
            families: families.clone(),
            calls: slots(ProviderOperation::ALL.len() * CallResult::ALL.len()),
            seconds: slots(ProviderOperation::ALL.len()),
        }
    }

    /// Counts a call that took `took`, all in all.
    pub fn call(&self, operation: ProviderOperation, result: CallResult, took: Duration) {
        if let Some(slot) = self
            .calls
            .get(operation as usize * CallResult::ALL.len() + result as usize)
        {
            let labels = [self.name.as_str(), operation.as_str(), result.as_str()];
            slot.get_or_init(|| self.families.provider_requests.with_label_values(&labels))
                .inc();
        }
        if let Some(slot) = self.seconds.get(operation as usize) {
            let labels = [self.name.as_str(), operation.as_str()];
            slot.get_or_init(|| self.families.provider_seconds.with_label_values(&labels))
                .observe(took.as_secs_f64());
        }
    }
}

impl std::fmt::Debug for SiteMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SiteMetrics({:?})", self.name)
    }
}

impl std::fmt::Debug for ProviderMetrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ProviderMetrics({:?})", self.name)
    }
}

impl std::fmt::Debug for StreamGuard {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("StreamGuard")
    }
}

fn slots<T>(count: usize) -> Slots<T> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}
