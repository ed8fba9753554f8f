//! The trace of a request that is recorded: the spans of the request, of its decision, and of each
//! attempt to get a response from an upstream.

use std::sync::Arc;

use tokio::time::Instant;

use crate::decide::trace_context::recorded_traceparent;
use crate::decide::upstream_headers::TraceFields;
use crate::model::upstream::UpstreamAddress;
use crate::runtime::load_balancer::Backend;
use crate::system;
use crate::telemetry::span::{Attribute, SpanKind, SpanOutcome, SpanParent, Work};
use crate::telemetry::trace::{SpanContext, SpanFrame, Trace};

/// The trace of a request that is recorded.
pub(super) struct RequestTrace {
    trace: Arc<Trace>,
    parent: SpanParent,
    /// The span of the whole request.
    request: u64,
    /// The span of the decision, which calls to providers and the store are parts of.
    decision: u64,
    /// The attempt that is under way.
    attempt: Option<Attempt>,
}

/// An attempt to get a response from an upstream.
struct Attempt {
    span: u64,
    began: Instant,
    attributes: Vec<Attribute>,
    /// The `traceparent` that the upstream gets.
    traceparent: String,
}

impl RequestTrace {
    /// The trace, of which the request's span is a part of `parent`.
    pub(super) fn new(trace: Arc<Trace>, parent: SpanParent) -> Self {
        Self {
            parent,
            request: trace.new_span_id(),
            decision: trace.new_span_id(),
            attempt: None,
            trace,
        }
    }

    /// The `traceparent` of the request's own span.
    pub(super) fn traceparent(&self) -> String {
        recorded_traceparent(self.trace.id, self.request)
    }

    /// What calls on behalf of the decision are parts of.
    pub(super) fn decision_context(&self) -> SpanContext {
        SpanContext {
            trace: Arc::clone(&self.trace),
            span: self.decision,
        }
    }

    /// Records the decision.
    pub(super) fn decided(&self, began: Instant, ended: Instant, verdict: Vec<Attribute>) {
        let frame = SpanFrame {
            id: self.decision,
            parent: SpanParent::Own(self.request),
            began,
            ended,
        };
        let work = Work {
            name: "decision".into(),
            kind: SpanKind::Internal,
            attributes: verdict,
            outcome: SpanOutcome::Unset,
        };
        self.trace.record(frame, work);
    }

    /// Begins an attempt at `backend`.
    pub(super) fn attempt_began(&mut self, backend: &Backend) {
        let span = self.trace.new_span_id();
        self.attempt = Some(Attempt {
            span,
            began: system::stopwatch(),
            attributes: match &backend.upstream.address {
                UpstreamAddress::Http { host, port } | UpstreamAddress::Https { host, port } => {
                    vec![
                        ("server.address", host.clone().into()),
                        ("server.port", (*port).into()),
                    ]
                }
                UpstreamAddress::Unix { path } => {
                    vec![("server.address", path.display().to_string().into())]
                }
            },
            traceparent: recorded_traceparent(self.trace.id, span),
        });
    }

    /// Records that the attempt failed for this cause.
    pub(super) fn attempt_failed(&mut self, cause: &'static str) {
        self.end_attempt(|attributes| {
            attributes.push(("error.type", cause.into()));
            SpanOutcome::Error
        });
    }

    /// Records the attempt that led to a response with this status; 0 where none came.
    pub(super) fn attempt_ended(&mut self, status: u16) {
        self.end_attempt(|attributes| {
            if status != 0 {
                attributes.push(("http.response.status_code", status.into()));
            }
            let outcome = SpanOutcome::of_client(status);
            if outcome == SpanOutcome::Error {
                attributes.push(("error.type", status.to_string().into()));
            }
            outcome
        });
    }

    fn end_attempt(&mut self, describe: impl FnOnce(&mut Vec<Attribute>) -> SpanOutcome) {
        let Some(mut attempt) = self.attempt.take() else {
            return;
        };
        let outcome = describe(&mut attempt.attributes);
        let frame = SpanFrame {
            id: attempt.span,
            parent: SpanParent::Own(self.request),
            began: attempt.began,
            ended: system::stopwatch(),
        };
        let work = Work {
            name: "upstream".into(),
            kind: SpanKind::Client,
            attributes: attempt.attributes,
            outcome,
        };
        self.trace.record(frame, work);
    }

    /// Records the request, which began at this moment and has just ended.
    pub(super) fn request_ended(&self, began: Instant, work: Work) {
        let frame = SpanFrame {
            id: self.request,
            parent: self.parent,
            began,
            ended: system::stopwatch(),
        };
        self.trace.record(frame, work);
    }
}

/// What becomes of the client's trace at the upstream: in a request that is recorded, and where
/// another trace `begins` because the client's is none.
pub(super) fn upstream_fields<'a>(
    trace: Option<&'a RequestTrace>,
    begins: Option<&'a str>,
) -> TraceFields<'a> {
    let attempt = trace.and_then(|trace| trace.attempt.as_ref());
    match (attempt, begins) {
        (Some(attempt), None) => TraceFields::Continue(&attempt.traceparent),
        (Some(attempt), Some(_)) => TraceFields::Begin(&attempt.traceparent),
        (None, Some(traceparent)) => TraceFields::Begin(traceparent),
        (None, None) => TraceFields::Keep,
    }
}
