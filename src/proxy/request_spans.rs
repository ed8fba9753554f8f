//! Begins the trace of a request that is recorded, and records the request at its end. Names and
//! attributes follow OpenTelemetry's semantic conventions.
//!
//! No span holds a query, a header, a body, or anything that names the user.

use http::{HeaderName, Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::decide::client_address::is_trusted;
use crate::decide::trace_context::parse_traceparent;
use crate::runtime::traces::{ClientTrace, Sender};
use crate::telemetry::span::{Attribute, SpanKind, SpanOutcome, SpanParent, Work};

use super::log_path;
use super::request_state::RequestState;
use super::request_trace::RequestTrace;
use super::response_filter;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Begins the trace of a request. `None` where it is not recorded.
pub(super) fn begin(request: &RequestHeader, ctx: &RequestState) -> Option<Box<RequestTrace>> {
    let traces = ctx.runtime.traces.as_ref()?;
    let client = client_trace(request, ctx);
    let trace = traces.begin(client, ctx.started, ctx.now)?;
    let parent = client.map_or(SpanParent::None, |it| SpanParent::Client(it.parent.parent));
    Some(Box::new(RequestTrace::new(trace, parent)))
}

/// The trace that a valid `traceparent` names.
fn client_trace(request: &RequestHeader, ctx: &RequestState) -> Option<ClientTrace> {
    let mut fields = request.headers.get_all(TRACEPARENT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let parent = parse_traceparent(field.as_bytes())?;
    let trusted = &ctx.runtime.settings().server.trusted_proxies;
    let sender = if is_trusted(ctx.connection.peer.address, trusted) {
        Sender::TrustedProxy
    } else {
        Sender::Anybody
    };
    Some(ClientTrace { parent, sender })
}

/// Records the request, after its last byte.
pub(super) fn finish(session: &Session, ctx: &mut RequestState) {
    let Some(mut trace) = ctx.trace.take() else {
        return;
    };
    let is_forwarded = ctx.response.is_forwarded;
    trace.attempt_ended(if is_forwarded { ctx.status } else { 0 });
    let status = response_filter::sent_status(session, ctx);
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
    trace.request_ended(ctx.started, work);
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
