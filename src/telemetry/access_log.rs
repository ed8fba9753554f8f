//! One line per request.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

/// What is told of one request. The path goes without its query, which may carry tokens and names.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// The request's id, as in problem documents.
    pub request_id: &'a str,
    /// The site's name; empty when none was found.
    pub site: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path as the client sent it, without query.
    pub path: &'a str,
    /// The status code the client got.
    pub status: u16,
    /// How it ended.
    pub outcome: OutcomeLabel,
    /// The pattern of the rule that matched.
    pub rule: Option<&'a str>,
    /// Why it ended so.
    pub reason: Reason,
    /// From the first byte to the last of the answer.
    pub duration: Duration,
    /// From asking the upstream to its response head.
    pub upstream: Option<Duration>,
    /// The provider's id of the person.
    pub user: Option<&'a str>,
    /// The believed client address.
    pub client: Option<IpAddr>,
}

/// Whether lines are written at all: what they are made of need not be found out otherwise.
#[must_use]
pub fn is_on() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

impl AccessRecord<'_> {
    /// Writes the line, at `info` with the target `access`.
    pub fn write(&self) {
        // The query never gets here; should it, it is cut off.
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            site = self.site,
            method = self.method,
            path = self.path.split('?').next(),
            status = self.status,
            outcome = self.outcome.as_str(),
            rule = self.rule,
            reason = self.reason.as_str(),
            duration_ms = millis(self.duration),
            upstream_ms = self.upstream.map(millis),
            user = self.user,
            client = self.client.map(tracing::field::display),
        );
    }
}

/// Milliseconds with three decimals, the precision worth reading.
fn millis(span: Duration) -> f64 {
    let micros = u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}
