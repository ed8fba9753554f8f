//! The metrics of one site.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::labels::{Limit, RenewalResult, SignOutCause, StatusClass, status_class};
use super::metric_families::{LazySeries, MetricFamilies, Series, lazy_series};
use super::upstream_metrics::UpstreamMetrics;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

/// The metrics of one site. Counting is a few atomic additions, without a lock or a label lookup.
/// Every time series exists from the start, at zero, except requests whose outcome has another
/// reason than usual.
pub struct SiteMetrics {
    name: String,
    families: MetricFamilies,
    /// Indexed by outcome, then by reason.
    requests: LazySeries<IntCounter>,
    /// Indexed by class.
    responses: Series<IntCounter>,
    in_flight: IntGauge,
    request_seconds: Histogram,
    decision_seconds: Histogram,
    login_success: IntCounter,
    login_refusals: LazySeries<IntCounter>,
    renewals: Series<IntCounter>,
    sign_outs: Series<IntCounter>,
    throttled: Series<IntCounter>,
    open_streams: IntGauge,
}

/// An open stream. It counts as open until the guard is dropped.
#[must_use = "the stream counts as closed when this is dropped"]
pub struct StreamGuard(IntGauge);

/// A request that is being served, until the guard is dropped.
#[must_use = "the request counts as finished when this is dropped"]
pub struct InFlightGuard(IntGauge);

impl SiteMetrics {
    pub(super) fn new(name: &str, families: &MetricFamilies) -> Self {
        let counters = |family: &IntCounterVec, values: Vec<&str>| {
            let counters = values.into_iter();
            counters
                .map(|value| family.with_label_values(&[name, value]))
                .collect()
        };
        let renewals = RenewalResult::ALL.iter().map(|result| result.as_str());
        let causes = SignOutCause::ALL.iter().map(|cause| cause.as_str());
        let limits = Limit::ALL.iter().map(|limit| limit.as_str());
        let classes = StatusClass::ALL.iter().map(|class| class.as_str());
        let metrics = Self {
            name: name.to_owned(),
            families: families.clone(),
            requests: lazy_series(OutcomeLabel::ALL.len() * Reason::ALL.len()),
            responses: counters(&families.responses, classes.collect()),
            in_flight: families.in_flight.with_label_values(&[name]),
            request_seconds: families.request_seconds.with_label_values(&[name]),
            decision_seconds: families.decision_seconds.with_label_values(&[name]),
            login_success: families.logins.with_label_values(&[name, "success"]),
            login_refusals: lazy_series(Reason::ALL.len()),
            renewals: counters(&families.renewals, renewals.collect()),
            sign_outs: counters(&families.sign_outs, causes.collect()),
            throttled: counters(&families.throttled, limits.collect()),
            open_streams: families.open_streams.with_label_values(&[name]),
        };
        for reason in Reason::ALL {
            metrics.requests_of(reason.usual_outcome(), *reason);
            if reason.is_login_result() || *reason == Reason::Throttled || reason.is_failure() {
                metrics.logins_of(*reason);
            }
        }
        metrics.requests_of(OutcomeLabel::Redirected, Reason::SignedOut);
        metrics
    }

    fn requests_of(&self, outcome: OutcomeLabel, reason: Reason) -> Option<&IntCounter> {
        let index = outcome as usize * Reason::ALL.len() + reason as usize;
        let series = self.requests.get(index)?;
        Some(series.get_or_init(|| {
            let labels = [self.name.as_str(), outcome.as_str(), reason.as_str()];
            self.families.requests.with_label_values(&labels)
        }))
    }

    fn logins_of(&self, reason: Reason) -> Option<&IntCounter> {
        let series = self.login_refusals.get(reason as usize)?;
        Some(series.get_or_init(|| {
            let labels = [self.name.as_str(), reason.as_str()];
            self.families.logins.with_label_values(&labels)
        }))
    }

    /// Counts a request. `duration` is the time from the first byte of the request to the last byte
    /// of the response.
    pub fn request(&self, outcome: OutcomeLabel, reason: Reason, duration: Duration) {
        if let Some(counter) = self.requests_of(outcome, reason) {
            counter.inc();
        }
        self.request_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a response with this status; 0 stands for none.
    pub fn response(&self, status: u16) {
        let class = status_class(status);
        if let Some(counter) = class.and_then(|class| self.responses.get(class as usize)) {
            counter.inc();
        }
    }

    /// Counts a request as being served until the guard is dropped.
    pub fn begin_request(&self) -> InFlightGuard {
        self.in_flight.inc();
        InFlightGuard(self.in_flight.clone())
    }

    /// Records the gateway's own time before it contacted the upstream or responded itself.
    pub fn decided(&self, duration: Duration) {
        self.decision_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a sign-in that started a session.
    pub fn signed_in(&self) {
        self.login_success.inc();
    }

    /// Counts a sign-in attempt that failed.
    pub fn sign_in_refused(&self, reason: Reason) {
        if let Some(counter) = self.logins_of(reason) {
            counter.inc();
        }
    }

    /// Counts a token refresh.
    pub fn renewal(&self, result: RenewalResult) {
        if let Some(counter) = self.renewals.get(result as usize) {
            counter.inc();
        }
    }

    /// Counts a visitor who was signed out without asking for it.
    pub fn unexpected_sign_out(&self, cause: SignOutCause) {
        if let Some(counter) = self.sign_outs.get(cause as usize) {
            counter.inc();
        }
    }

    /// Counts a sign-in attempt that a rate limit refused.
    pub fn throttled(&self, limit: Limit) {
        if let Some(counter) = self.throttled.get(limit as usize) {
            counter.inc();
        }
    }

    /// Counts an open WebSocket connection or event stream until the guard is dropped.
    pub fn stream_opened(&self) -> StreamGuard {
        self.open_streams.inc();
        StreamGuard(self.open_streams.clone())
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

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl std::fmt::Debug for InFlightGuard {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("InFlightGuard")
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
