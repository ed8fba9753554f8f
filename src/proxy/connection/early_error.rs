//! The response to a request head that is refused before it is parsed, or that Pingora cannot
//! parse.
//!
//! Pingora would respond with its own name and page, and neither log nor count the request.

use std::net::IpAddr;

use http::StatusCode;
use pingora::protocols::http::date;
use tokio::time::Instant;

use crate::model::local_response::Problem;
use crate::model::outcome_label::OutcomeLabel;
use crate::model::reason::Reason;
use crate::proxy::problem_json::{PROBLEM_TYPE, problem_document};
use crate::runtime::Runtime;
use crate::system;
use crate::telemetry::access_log::AccessRecord;

use super::http1_head::HeadError;

/// A request head that never became a request.
#[derive(Debug)]
pub(super) struct EarlyError {
    reason: Reason,
    status: u16,
    request_id: String,
    /// When the head was refused.
    since: Instant,
}

impl EarlyError {
    pub(super) fn new(error: HeadError) -> Self {
        let (reason, status) = match error {
            HeadError::Malformed => (Reason::MalformedRequest, 400),
            HeadError::TargetTooLong => (Reason::RequestTooLarge, 414),
            HeadError::TooLarge => (Reason::RequestTooLarge, 431),
        };
        Self {
            reason,
            status,
            // An id that the client sent is part of what was not parsed.
            request_id: system::unique_id(),
            since: system::stopwatch(),
        }
    }

    /// The whole response as bytes. The connection is closed after it.
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

    /// Writes the access record and counts the request. The peer counts as the client: no header
    /// was read that could name another.
    pub(super) fn record(&self, runtime: &Runtime, peer: IpAddr) {
        let duration = self.since.elapsed();
        runtime
            .site_metrics(None)
            .request(OutcomeLabel::Refused, self.reason, duration);
        runtime.site_metrics(None).response(self.status);
        if !runtime.settings().log.access.includes(self.status) {
            return;
        }
        AccessRecord {
            request_id: &self.request_id,
            site: "",
            // No other protocol has heads that are refused here.
            protocol: "HTTP/1.1",
            method: "",
            path: "",
            status: self.status,
            outcome: OutcomeLabel::Refused,
            rule: None,
            reason: self.reason,
            duration,
            upstream: None,
            user: None,
            session: None,
            client: Some(peer),
        }
        .write();
    }
}
