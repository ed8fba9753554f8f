//! The spans of a request that is recorded: the request, its decision, and each attempt to get a
//! response from an upstream. Names and attributes follow OpenTelemetry's semantic conventions.
//!
//! No span holds a query, a header, a body, or anything that names the user.

use std::sync::Arc;

use http::{HeaderName, Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use tokio::time::Instant;

use crate::decide::client_address::resolve_client_ip;
use crate::decide::trace_context::{parse_traceparent, recorded_traceparent};
use crate::decide::upstream_headers::TraceFields;
use crate::model::upstream::UpstreamAddress;
use crate::runtime::traces::{ClientTrace, Sender};
use crate::runtime::upstreams::Backend;
use crate::system;
use crate::telemetry::span::{Attribute, SpanKind, SpanOutcome, SpanParent, Work};
use crate::telemetry::trace::{SpanContext, SpanFrame, Trace};

use super::log_path;
use super::request_state::RequestState;
use super::response_filter;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// Begins the trace of a request. `None` where it is not recorded.
pub(super) fn begin(request: &RequestHeader, ctx: &RequestState) -> Option<Box<RequestTrace>> {
    let traces = ctx.runtime.traces.as_ref()?;
    let client = client_trace(request, ctx);
    let trace = traces.begin(client, ctx.started, ctx.now)?;
    Some(Box::new(RequestTrace {
        parent: client.map_or(SpanParent::None, |it| SpanParent::Client(it.parent.parent)),
        request: trace.new_span_id(),
        decision: trace.new_span_id(),
        attempt: None,
        trace,
    }))
}

/// The trace that a valid `traceparent` names.
fn client_trace(request: &RequestHeader, ctx: &RequestState) -> Option<ClientTrace> {
    let mut fields = request.headers.get_all(TRACEPARENT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let parent = parse_traceparent(field.as_bytes())?;
    let trusted = &ctx.runtime.settings().server.trusted_proxies;
    let peer = resolve_client_ip(ctx.connection.peer.address, std::iter::empty(), trusted);
    let sender = if peer.peer_is_trusted {
        Sender::TrustedProxy
    } else {
        Sender::Anybody
    };
    Some(ClientTrace { parent, sender })
}

/// What becomes of the client's trace at the upstream.
pub(super) fn upstream_fields(ctx: &RequestState) -> TraceFields<'_> {
    let attempt = ctx.trace.as_ref().and_then(|trace| trace.attempt.as_ref());
    match (attempt, &ctx.client.new_traceparent) {
        (Some(attempt), None) => TraceFields::Continue(&attempt.traceparent),
        (Some(attempt), Some(_)) => TraceFields::Begin(&attempt.traceparent),
        (None, Some(traceparent)) => TraceFields::Begin(traceparent),
        (None, None) => TraceFields::Keep,
    }
}

impl RequestTrace {
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

    /// Records the decision, which began with the request.
    pub(super) fn decided(&self, ctx: &RequestState, ended: Instant) {
        let frame = SpanFrame {
            id: self.decision,
            parent: SpanParent::Own(self.request),
            began: ctx.started,
            ended,
        };
        let work = Work {
            name: "decision".into(),
            kind: SpanKind::Internal,
            attributes: vec![
                ("vestibule.outcome", ctx.outcome.as_str().into()),
                ("vestibule.reason", ctx.reason.as_str().into()),
            ],
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
    fn attempt_ended(&mut self, status: u16) {
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
}

/// Records the request, after its last byte.
pub(super) fn finish(session: &Session, ctx: &mut RequestState) {
    let Some(mut trace) = ctx.trace.take() else {
        return;
    };
    if ctx.is_health_check {
        return;
    }
    let is_forwarded = ctx.response.is_forwarded;
    trace.attempt_ended(if is_forwarded { ctx.status } else { 0 });
    let status = response_filter::sent_status(session, ctx);
    let frame = SpanFrame {
        id: trace.request,
        parent: trace.parent,
        began: ctx.started,
        ended: system::stopwatch(),
    };
    let (method, target) = response_filter::described_request(session, ctx);
    let known = known_method(method);
    let verb = known.unwrap_or("HTTP");
    let mut attributes = request_attributes(session, ctx);
    attributes.push(("http.request.method", known.unwrap_or("_OTHER").into()));
    attributes.push(("url.path", log_path::path_for_logs(target).into()));
    if status != 0 {
        attributes.push(("http.response.status_code", status.into()));
    }
    let outcome = SpanOutcome::of_server(status);
    if outcome == SpanOutcome::Error {
        attributes.push(("error.type", status.to_string().into()));
    }
    let work = Work {
        name: match &ctx.rule {
            Some(rule) => format!("{verb} {rule}").into(),
            None => verb.into(),
        },
        kind: SpanKind::Server,
        attributes,
        outcome,
    };
    trace.trace.record(frame, work);
}

/// What the request's span tells besides its line and its response.
fn request_attributes(session: &Session, ctx: &RequestState) -> Vec<Attribute> {
    let site = ctx.site();
    let scheme = ctx.client.arrival.scheme;
    let scheme = scheme.or_else(|| site.map(|site| site.origin.scheme));
    let scheme = scheme.unwrap_or_else(|| ctx.connection.transport.scheme());
    let version = match session.req_header().version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    let mut attributes = vec![
        ("url.scheme", scheme.as_str().into()),
        ("client.address", ctx.client.address.to_string().into()),
        ("network.protocol.version", version.into()),
        ("vestibule.request_id", ctx.request_id.clone().into()),
        ("vestibule.outcome", ctx.outcome.as_str().into()),
        ("vestibule.reason", ctx.reason.as_str().into()),
    ];
    if let Some(site) = site {
        attributes.push(("vestibule.site", site.name.clone().into()));
        attributes.push(("server.address", site.origin.name.clone().into()));
        attributes.push(("server.port", site.origin.port.into()));
    }
    if let Some(rule) = &ctx.rule {
        attributes.push(("http.route", rule.to_string().into()));
    }
    attributes
}

/// The name of a method that everybody knows. A client may send any other word, which would be a
/// name of a span too.
fn known_method(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}
