//! The access log: one line per request.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;

use super::audit::SignInHash;

/// What the access log records about a request. The query is left out because it may contain
/// tokens and names.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// The request id, as in problem documents (RFC 9457).
    pub request_id: &'a str,
    /// The site's name; empty if the request belongs to no site.
    pub site: &'a str,
    /// The protocol of the request: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// The HTTP method; at most 32 bytes of it are written.
    pub method: &'a str,
    /// The path as the client sent it, without the query.
    pub path: &'a str,
    /// The status code of the response.
    pub status: u16,
    /// The outcome: forwarded, refused and so on.
    pub outcome: OutcomeLabel,
    /// The path pattern of the rule that matched.
    pub rule: Option<&'a str>,
    /// The reason code for the outcome.
    pub reason: Reason,
    /// From the first byte of the request to the last byte of the response.
    pub duration: Duration,
    /// From the request to the upstream until its response head.
    pub upstream: Option<Duration>,
    /// The user's id at the provider (`sub`).
    pub user: Option<&'a str>,
    /// The sign-in of the user.
    pub session: Option<SignInHash>,
    /// The client address, from `X-Forwarded-For` if a trusted proxy sent it.
    pub client: Option<IpAddr>,
}

/// How much of a method is written, in bytes. A client may send any token, of which no more than
/// this tells anything.
const MAX_METHOD: usize = 32;

/// Whether the log level includes the access log. If not, the caller need not collect the values.
#[must_use]
pub fn is_on() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

impl AccessRecord<'_> {
    /// Writes the line at level `info` with the target `access`.
    pub fn write(&self) {
        // Callers pass no query. If one does, it is cut off here.
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            site = self.site,
            protocol = self.protocol,
            method = self.method.get(..MAX_METHOD).unwrap_or(self.method),
            path = self.path.split('?').next(),
            status = self.status,
            outcome = self.outcome.as_str(),
            rule = self.rule,
            reason = self.reason.as_str(),
            duration_ms = millis(self.duration),
            upstream_ms = self.upstream.map(millis),
            user = self.user,
            session = self.session.as_ref().map(SignInHash::as_str),
            client = self.client.map(tracing::field::display),
        );
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}
