//! The upstream phase: which upstream a request is sent to, and with which header.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Version, header};
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::{Error, ErrorType, Result};

use crate::decide::upstream_headers::{
    AuthorizationField, ForwardedFields, IdentityFields, UpstreamHeaders,
};
use crate::model::site::Upstream;
use crate::runtime::SiteRuntime;
use crate::runtime::upstreams::Destination;

use super::request_state::{Granted, RequestState};

/// TCP keep-alive of connections to upstreams: a first probe after 30 s of silence, then two more.
const KEEP_ALIVE_PROBES: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// Selects the next address that has not been tried for this request.
pub(super) async fn select_peer(ctx: &mut RequestState) -> Result<Box<HttpPeer>> {
    let unavailable = || Error::explain(ErrorType::ConnectError, "no upstream is left");
    // The grant is checked here too: whichever way Pingora took, nothing is forwarded without it.
    let (Some(site_runtime), Some(_)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let upstreams = &site_runtime.upstreams;
    let next = upstreams.next(&mut ctx.upstream.attempts).await;
    let Destination { backend, address } = next.ok_or_else(unavailable)?;
    let upstream = upstreams.at(backend).ok_or_else(unavailable)?;
    let mut peer = match upstream {
        Upstream::Http { .. } => {
            HttpPeer::new(address.ok_or_else(unavailable)?, false, String::new())
        }
        Upstream::Https { host, .. } => {
            let mut peer = HttpPeer::new(address.ok_or_else(unavailable)?, true, host.clone());
            // A WebSocket handshake is HTTP/1.1.
            peer.options.alpn = if ctx.upstream.is_websocket {
                ALPN::H1
            } else {
                ALPN::H2H1
            };
            peer
        }
        Upstream::Unix { path } => {
            HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?
        }
    };
    let limits = ctx.runtime.settings().server.limits;
    let site_limit = site_runtime.site.upstream_idle;
    let idle = site_limit.unwrap_or(limits.upstream_idle);
    peer.options.connection_timeout = Some(limits.upstream_connect);
    peer.options.total_connection_timeout = Some(limits.upstream_connect);
    peer.options.read_timeout = Some(idle);
    // The system's send buffer always has room for a head alone: it needs no timer.
    peer.options.write_timeout = ctx.upstream.has_body.then_some(idle);
    // An idle connection is kept until the application closes it. Whether the other end is still
    // there, the system finds out: a timer for each connection would cost every request.
    peer.options.tcp_keepalive =
        (!matches!(upstream, Upstream::Unix { .. })).then_some(KEEP_ALIVE_PROBES);
    Ok(Box::new(peer))
}

/// Notes that no connection came about. Returns whether another address or upstream is left for the
/// request, of which nothing was sent yet.
pub(super) fn connect_failed(ctx: &RequestState) -> bool {
    let Some(site_runtime) = &ctx.site_runtime else {
        return false;
    };
    let attempts = &ctx.upstream.attempts;
    if let Some(destination) = attempts.last() {
        site_runtime.upstreams.connect_failed(destination);
    }
    site_runtime.upstreams.has_next(attempts)
}

/// Lets the last address be selected again. An upstream may close an idle connection just as a
/// request goes out on it, which says nothing about the next connection to it.
pub(super) fn forget_last_try(ctx: &mut RequestState) {
    ctx.upstream.attempts.forget_last();
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
/// `received` is the protocol of the client's request.
pub(super) fn apply_headers(
    request: &mut RequestHeader,
    received: Version,
    ctx: &RequestState,
) -> Result<()> {
    let (Some(site_runtime), Some(granted)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let mut parts = take_parts(request);
    upstream_headers(ctx, received, site_runtime, granted)
        .apply(&mut parts.headers)
        .map_err(|_| Error::explain(ErrorType::InternalError, "text that is no header value"))?;
    *request = RequestHeader::from(parts);
    Ok(())
}

/// The request without what Pingora keeps beside it. The target was validated before, so the URI
/// gives it back byte for byte.
fn take_parts(request: &mut RequestHeader) -> Parts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    Parts::from(std::mem::replace(request, blank))
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
        new_traceparent: ctx.client.new_traceparent.as_deref(),
    }
}
