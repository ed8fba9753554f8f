//! The answer to a head that Pingora cannot read: it would speak for itself, with its name, and
//! tell nobody.

use std::net::IpAddr;
use std::time::Instant;

use http::StatusCode;
use pingora::protocols::http::date;

use crate::model::local_response::Problem;
use crate::model::reason::Reason;
use crate::runtime::Runtime;
use crate::system;
use crate::telemetry::access_log::AccessRecord;
use crate::telemetry::labels::OutcomeLabel;

use super::problem_json::{PROBLEM_TYPE, problem_document};
use super::request;

/// A head that never became a request.
#[derive(Debug)]
pub(super) struct EarlyError {
    reason: Reason,
    status: u16,
    request_id: String,
    since: Instant,
}

impl EarlyError {
    /// It is not well-formed.
    pub(super) fn malformed() -> Self {
        Self::new(Reason::MalformedRequest, 400)
    }

    /// It is larger than any that is taken.
    pub(super) fn too_large() -> Self {
        Self::new(Reason::RequestTooLarge, 431)
    }

    fn new(reason: Reason, status: u16) -> Self {
        // Whatever id the client gave stands in what could not be read.
        Self {
            reason,
            status,
            request_id: request::request_id(None),
            since: system::stopwatch(),
        }
    }

    /// The whole answer as it goes over the wire; the connection ends with it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let document = problem_document(
            &Problem::new(self.reason).with_status(self.status),
            &self.request_id,
        );
        let phrase = StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {PROBLEM_TYPE}\r\nCache-Control: no-store\r\nX-Request-Id: {}\r\n\
             Content-Length: {}\r\nDate: {}\r\nConnection: close\r\n\r\n",
            self.status,
            phrase.unwrap_or_default(),
            self.request_id,
            document.len(),
            date::get_cached_date().to_str().unwrap_or_default(),
        );
        [head, document].concat().into_bytes()
    }

    /// The line in the log and the count. The peer stands for the client: no header was read that
    /// could name another.
    pub(super) fn record(&self, runtime: &Runtime, peer: IpAddr) {
        let took = self.since.elapsed();
        runtime
            .site_metrics(None)
            .request(OutcomeLabel::Refused, self.reason, took);
        AccessRecord {
            request_id: &self.request_id,
            site: "",
            method: "",
            path: "",
            status: self.status,
            outcome: OutcomeLabel::Refused,
            rule: None,
            reason: self.reason,
            duration: took,
            upstream: None,
            user: None,
            client: Some(peer),
        }
        .write();
    }
}
