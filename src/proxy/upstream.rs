//! The second half of a request's way: which upstream, and what it is sent.

use std::net::SocketAddr;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::{Error, ErrorType, Result};

use crate::decide::upstream_headers;
use crate::model::site::Upstream;
use crate::runtime::{FixedHeaders, SiteRuntime};

use super::context::{Granted, ProxyContext};

const X_AUTH_SITE: HeaderName = HeaderName::from_static("x-auth-site");
const X_AUTH_ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Asked after 30 s of silence, then twice more.
const STILL_THERE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// The next upstream of the round that has not been tried for this request.
pub(super) async fn pick(ctx: &mut ProxyContext) -> Result<Box<HttpPeer>> {
    let unavailable = || Error::explain(ErrorType::ConnectError, "no upstream is left");
    // The proof is asked for here too: whatever path Pingora took to get here, nothing goes on
    // without it.
    let (Some(site_runtime), Some(_)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let index = site_runtime
        .upstreams
        .pick(&ctx.upstream.tried)
        .ok_or_else(unavailable)?;
    ctx.upstream.tried.push(index);
    let upstream = site_runtime.upstreams.at(index).ok_or_else(unavailable)?;
    let mut peer = match upstream {
        Upstream::Http { .. } => {
            HttpPeer::new(resolved(site_runtime, index).await?, false, String::new())
        }
        Upstream::Https { host, .. } => {
            let mut peer = HttpPeer::new(resolved(site_runtime, index).await?, true, host.clone());
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
    peer.options.connection_timeout = Some(limits.upstream_connect);
    peer.options.total_connection_timeout = Some(limits.upstream_connect);
    peer.options.read_timeout = Some(limits.upstream_idle);
    // A head alone is never too much for what the system takes at once.
    peer.options.write_timeout = ctx.upstream.has_body.then_some(limits.upstream_idle);
    // A kept connection lasts until the application ends it, and a timer for each would cost every
    // request: whether the other end is still there at all, the system finds out.
    peer.options.tcp_keepalive =
        (!matches!(upstream, Upstream::Unix { .. })).then_some(STILL_THERE);
    Ok(Box::new(peer))
}

async fn resolved(site_runtime: &SiteRuntime, index: usize) -> Result<SocketAddr> {
    let address = site_runtime.upstreams.address(index).await;
    address.ok_or_else(|| {
        Error::explain(
            ErrorType::ConnectError,
            "the upstream's name has no address",
        )
    })
}

/// Whether a connection that failed before anything was sent may be tried elsewhere.
pub(super) fn another_is_left(ctx: &ProxyContext) -> bool {
    ctx.site_runtime
        .as_ref()
        .is_some_and(|site_runtime| site_runtime.upstreams.pick(&ctx.upstream.tried).is_some())
}

/// An upstream may close a kept connection just as a request goes out on it, which says nothing
/// about the next connection: the same place may be asked again.
pub(super) fn forget_last_try(ctx: &mut ProxyContext) {
    ctx.upstream.tried.pop();
}

/// Makes the upstream's request of the client's: theirs removed first, then ours *set*, never
/// appended, because a retry repeats it. Runs after Pingora has removed the hop-by-hop fields, so
/// that no `Connection` takes ours away.
pub(super) fn edit(request: &mut RequestHeader, ctx: &ProxyContext) -> Result<()> {
    let (Some(site_runtime), Some(granted)) = (&ctx.site_runtime, &ctx.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let mut parts = parts_of(request);
    edit_fields(&mut parts.headers, ctx, site_runtime, granted)?;
    *request = RequestHeader::from(parts);
    Ok(())
}

/// What a request that goes on leaves behind, whichever upstream is asked: the gateway's cookies,
/// of which `cookies` is the rest, and the letter case of field names. Pingora keeps that in a
/// second map, copied, changed and dropped beside the first; names mean the same in any case (RFC
/// 9110, section 5.1).
pub(super) fn leave_behind(request: &mut RequestHeader, cookies: Option<Vec<u8>>) {
    let mut parts = parts_of(request);
    if let Some(rest) = cookies {
        // What was a part of a value is one.
        match HeaderValue::try_from(rest) {
            Ok(rest) if !rest.is_empty() => drop(parts.headers.insert(header::COOKIE, rest)),
            Ok(_) | Err(_) => drop(parts.headers.remove(header::COOKIE)),
        }
    }
    *request = RequestHeader::from(parts);
}

/// The request without what Pingora adds to it. Its target has been judged by now, and is one that
/// the URI gives back byte for byte.
fn parts_of(request: &mut RequestHeader) -> Parts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    Parts::from(std::mem::replace(request, blank))
}

fn edit_fields(
    fields: &mut HeaderMap,
    ctx: &ProxyContext,
    site_runtime: &SiteRuntime,
    granted: &Granted,
) -> Result<()> {
    let site = &site_runtime.site;
    for name in upstream_headers::removals(site, fields) {
        fields.remove(name);
    }
    fields.reserve(MOST_SET);
    for (name, value) in granted
        .principal
        .iter()
        .flat_map(|principal| &principal.headers)
    {
        fields.insert(name.clone(), value.clone());
    }
    fields.insert(X_AUTH_SITE, site_runtime.fixed.site.clone());
    if let (Some(principal), true) = (&granted.principal, site.assertion) {
        fields.insert(
            X_AUTH_ASSERTION,
            ctx.runtime.assertion(site, principal, ctx.now),
        );
    }
    if granted.used_authorization {
        fields.remove(header::AUTHORIZATION);
    }
    if let Some(token) = &granted.token {
        fields.insert(header::AUTHORIZATION, value(format!("Bearer {token}"))?);
    }
    forwarded(fields, ctx, &site_runtime.fixed)?;
    if let Some(host) = &site.upstream_host {
        fields.insert(header::HOST, value(host.as_str())?);
    }
    Ok(())
}

/// About as many fields as are set below.
const MOST_SET: usize = 16;

fn value(text: impl TryInto<HeaderValue>) -> Result<HeaderValue> {
    text.try_into()
        .map_err(|_| Error::explain(ErrorType::InternalError, "text that is no header value"))
}

/// Who asks, and by which name: the same for every route.
fn forwarded(fields: &mut HeaderMap, ctx: &ProxyContext, fixed: &FixedHeaders) -> Result<()> {
    fields.insert(X_REQUEST_ID, value(ctx.request_id.as_str())?);
    fields.insert(X_FORWARDED_PROTO, fixed.proto.clone());
    fields.insert(X_FORWARDED_HOST, fixed.host.clone());
    fields.insert(X_FORWARDED_PORT, fixed.port.clone());
    let (client, peer) = (&ctx.client, &ctx.connection.peer);
    let before = client.forwarded.as_deref();
    let forwarded = upstream_headers::forwarded(before, peer.address, &fixed.forwarded);
    fields.insert(header::FORWARDED, value(forwarded)?);
    let forwarded_for = client.forwarded_for.as_ref().unwrap_or(&peer.text);
    fields.insert(X_FORWARDED_FOR, forwarded_for.clone());
    let real_ip = if client.address == peer.address {
        peer.text.clone()
    } else {
        value(upstream_headers::address(client.address))?
    };
    fields.insert(X_REAL_IP, real_ip);
    // A line of its own is the same as the end of a list (RFC 9110, section 5.3), and no earlier
    // line is lost. Pingora makes each try's request anew of the client's, so a retry does not name
    // the gateway twice.
    fields.append(header::VIA, HeaderValue::from_static("1.1 vestibule"));
    Ok(())
}
