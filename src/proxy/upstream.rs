//! The upstream phase: which upstream a request is sent to, and with which header.

use http::request::Parts;
use http::{HeaderValue, Version, header};
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::decide::request_size;
use crate::decide::upstream_headers::{
    AuthorizationField, ForwardedFields, IdentityFields, UpstreamHeaders,
};
use crate::runtime::SiteRuntime;
use crate::runtime::load_balancer::StickyKey;
use crate::system;
use crate::telemetry::labels::UpstreamError;

use super::request_state::{Granted, RequestState};
use super::request_trace;
use super::upstream_error::UpstreamFailure;
use super::upstream_peer::{self, Exchange};

/// Whether an attempt used a connection that was kept from an earlier request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionUse {
    Kept,
    New,
}

impl From<bool> for ConnectionUse {
    /// From what Pingora calls `reused`.
    fn from(reused: bool) -> Self {
        if reused { Self::Kept } else { Self::New }
    }
}

/// Selects the next address that has not been tried for this request.
pub(super) async fn select_peer(ctx: &mut RequestState) -> Result<Box<HttpPeer>> {
    let unavailable = || Error::explain(ErrorType::ConnectError, "no upstream is left");
    // The grant is checked here too: whichever way Pingora took, nothing is forwarded without it.
    let (Some(site_runtime), Some(granted)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    // Each try sends the body from its start.
    ctx.upstream.body_bytes = 0;
    let principal = granted.principal.as_ref();
    let key = StickyKey {
        user: principal.map(|principal| principal.identity.sub.as_str()),
        address: ctx.client.address,
    };
    let load_balancer = &site_runtime.load_balancer;
    let next = load_balancer.next(&mut ctx.upstream.attempts, key).await;
    let (backend, address) = next.ok_or_else(unavailable)?;
    if let Some(trace) = &mut ctx.trace {
        trace.attempt_began(backend);
    }
    let limits = ctx.runtime.settings().server.limits;
    let site_limit = site_runtime.site.upstream_idle;
    let idle = site_limit.unwrap_or(limits.upstream_idle);
    let exchange = if ctx.upstream.is_websocket {
        Exchange::Upgrade
    } else {
        Exchange::Request(site_runtime.site.upstream_protocol)
    };
    let mut peer = upstream_peer::new(backend, address, exchange)?;
    peer.options.connection_timeout = Some(limits.upstream_connect);
    peer.options.total_connection_timeout = Some(limits.upstream_connect);
    peer.options.read_timeout = Some(idle);
    // The system's send buffer always has room for a head alone: it needs no timer.
    peer.options.write_timeout = ctx.upstream.has_body.then_some(idle);
    Ok(Box::new(peer))
}

/// Counts `length` more bytes of the body, whose end may be unknown.
///
/// # Errors
/// Where the site accepts no body as large as this. Pingora closes the connection to the upstream,
/// which has got a part of it.
pub(super) fn count_body(ctx: &mut RequestState, length: usize) -> Result<()> {
    // What follows a handshake is another protocol.
    if ctx.upstream.is_websocket {
        return Ok(());
    }
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    ctx.upstream.body_bytes = ctx.upstream.body_bytes.saturating_add(length);
    let limits = ctx.site().map(|site| site.limits).unwrap_or_default();
    request_size::validate_body_size(ctx.upstream.body_bytes, limits)
        .map_err(|rejection| Error::new_down(ErrorType::HTTPStatus(rejection.status)))
}

/// Notes that no connection came about. Returns whether another address or upstream is left for the
/// request, of which nothing was sent yet.
pub(super) fn connect_failed(ctx: &mut RequestState, error: &Error) -> bool {
    record_failure(ctx, error);
    let Some(site_runtime) = &ctx.site_runtime else {
        return false;
    };
    let attempts = &ctx.upstream.attempts;
    if let Some(destination) = attempts.last() {
        site_runtime.load_balancer.connect_failed(destination);
    }
    site_runtime.load_balancer.has_next(attempts)
}

/// Notes that an attempt failed over a connection, for a request that may be sent again. Returns
/// whether it is.
pub(super) fn repeat_after(ctx: &mut RequestState, error: &Error, on: ConnectionUse) -> bool {
    let is_broken = error.retry() || is_reset(error);
    if is_broken && on == ConnectionUse::Kept {
        // An upstream may close an idle connection just as a request goes out on it, which says
        // nothing about the next connection to it.
        if let Some(trace) = &mut ctx.trace {
            trace.attempt_failed(UpstreamError::Reset.as_str());
        }
        if let Some(site_runtime) = &ctx.site_runtime {
            site_runtime
                .load_balancer
                .repeat_last(&mut ctx.upstream.attempts);
        }
        return true;
    }
    record_failure(ctx, error);
    // An upstream that died may have done nothing yet: the next one may do it (RFC 9110, section
    // 9.2.2). One that is slow is not helped by more of the same.
    let next = ctx.site_runtime.as_ref().is_some_and(|site_runtime| {
        let attempts = &ctx.upstream.attempts;
        site_runtime.load_balancer.has_next(attempts)
    });
    is_broken && next
}

fn is_reset(error: &Error) -> bool {
    UpstreamFailure::of(error).is_some_and(|failure| failure.error == Some(UpstreamError::Reset))
}

/// Logs and counts a failed attempt where the upstream is the cause of it.
pub(super) fn record_failure(ctx: &mut RequestState, error: &Error) {
    let (Some(site_runtime), Some(last)) = (&ctx.site_runtime, ctx.upstream.attempts.last()) else {
        return;
    };
    let (Some(failure), Some(backend)) = (
        UpstreamFailure::of(error),
        site_runtime.load_balancer.get(last.backend),
    ) else {
        return;
    };
    let label = failure.error.map_or("local", UpstreamError::as_str);
    if let Some(trace) = &mut ctx.trace {
        trace.attempt_failed(label);
    }
    tracing::warn!(
        request_id = ctx.request_id,
        site = site_runtime.site.name,
        upstream = backend.name,
        address = last.address.map(tracing::field::display),
        error = label,
        cause = failure.cause,
        "an upstream failed"
    );
    if let Some(error) = failure.error {
        site_runtime.load_balancer.failed(last.backend, error);
    }
    ctx.upstream.retried = Some(system::stopwatch());
}

/// Notes that the head of the response is there.
pub(super) fn responded(ctx: &mut RequestState) {
    let Some(started) = ctx.upstream.started else {
        return;
    };
    let latency = started.elapsed();
    ctx.upstream.latency = Some(latency);
    let (Some(site_runtime), Some(last)) = (&ctx.site_runtime, ctx.upstream.attempts.last()) else {
        return;
    };
    if let Some(backend) = site_runtime.load_balancer.get(last.backend) {
        // What earlier attempts took is not the time of this upstream.
        let before = ctx.upstream.retried.map(|retried| retried - started);
        backend.responded(latency.saturating_sub(before.unwrap_or_default()));
    }
}

/// Writes the `Upgrade` field as the request is taken: `websocket` for a WebSocket handshake, and
/// none for any other request. Pingora goes by this field alone.
pub(super) fn settle_upgrade(request: &mut RequestHeader, ctx: &RequestState) {
    if ctx.upstream.is_websocket {
        // This is a header value.
        let _ = request.insert_header(header::UPGRADE, "websocket");
    } else {
        request.remove_header(&header::UPGRADE);
    }
}

/// Takes out of a client's header what no upstream gets, before Pingora copies it for each try: the
/// gateway's cookies, of which `cookies` is the rest, and the letter case of field names. Pingora
/// keeps the letter case in a second map, copied, changed and dropped beside the first. Names mean
/// the same in any case (RFC 9110, section 5.1).
pub(super) fn strip_header(request: &mut RequestHeader, cookies: Option<Vec<u8>>) {
    let mut parts = take_parts(request);
    if let Some(rest) = cookies {
        // A part of a header value is a header value.
        match HeaderValue::try_from(rest) {
            Ok(rest) if !rest.is_empty() => drop(parts.headers.insert(header::COOKIE, rest)),
            Ok(_) | Err(_) => drop(parts.headers.remove(header::COOKIE)),
        }
    }
    *request = RequestHeader::from(parts);
}

/// Changes the client's header into the upstream's. Pingora calls this for each try, after it has
/// removed the hop-by-hop fields, so that no `Connection` field takes one of ours away.
///
/// `client` is the client's header, before that.
pub(super) fn apply_headers(
    request: &mut RequestHeader,
    client: &RequestHeader,
    ctx: &RequestState,
) -> Result<()> {
    let headers = headers_for(ctx, client.version)?;
    let mut parts = take_parts(request);
    headers
        .apply(&mut parts.headers)
        .map_err(|_| Error::explain(ErrorType::InternalError, "text that is no header value"))?;
    if parts.version == Version::HTTP_2 && takes_trailers(client) {
        let trailers = HeaderValue::from_static("trailers");
        parts.headers.insert(header::TE, trailers);
    }
    *request = RequestHeader::from(parts);
    Ok(())
}

/// Whether the client takes trailers, which HTTP/2 passes on from one hop to the next. gRPC servers
/// refuse a call without this field.
fn takes_trailers(client: &RequestHeader) -> bool {
    let field = client.headers.get(header::TE);
    client.version == Version::HTTP_2 && field.is_some_and(|value| value == "trailers")
}

/// The request without what Pingora keeps beside it. The target was validated before, so the URI
/// gives it back byte for byte.
fn take_parts(request: &mut RequestHeader) -> Parts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    Parts::from(std::mem::replace(request, blank))
}

/// What the gateway makes of the header of a granted request, which was received over this version.
pub(super) fn headers_for(ctx: &RequestState, received: Version) -> Result<UpstreamHeaders<'_>> {
    let (Some(site_runtime), Some(granted)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    Ok(upstream_headers(ctx, received, site_runtime, granted))
}

fn upstream_headers<'a>(
    ctx: &'a RequestState,
    received: Version,
    site_runtime: &'a SiteRuntime,
    granted: &'a Granted,
) -> UpstreamHeaders<'a> {
    let (site, headers) = (&*site_runtime.site, &site_runtime.headers);
    let peer = &ctx.connection.peer;
    let principal = granted.principal.as_deref();
    let assertion = principal
        .filter(|_| site.assertion)
        .map(|principal| ctx.runtime.assertions.header(principal, site, ctx.now));
    UpstreamHeaders {
        site,
        identity: IdentityFields {
            principal: principal.map_or(&[], |principal| &principal.identity_headers),
            site: &headers.site,
            assertion,
        },
        authorization: match &granted.token {
            Some(token) => AuthorizationField::SetBearer(token),
            None if granted.used_authorization => AuthorizationField::Remove,
            None => AuthorizationField::Keep,
        },
        forwarded: ForwardedFields {
            request_id: &ctx.request_id,
            received,
            site: headers,
            peer: peer.address,
            peer_text: &peer.text,
            client: ctx.client.address,
            forwarded_for: ctx.client.forwarded_for.as_ref(),
            earlier: ctx.client.forwarded.as_deref(),
        },
        trace: request_trace::upstream_fields(
            ctx.trace.as_deref(),
            ctx.client.new_traceparent.as_deref(),
        ),
    }
}
