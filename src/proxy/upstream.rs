//! The second half of a request's way: which upstream, and what it is sent.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;
use pingora::prelude::HttpPeer;
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use crate::decide::forward;
use crate::model::cookie;
use crate::model::site::Upstream;
use crate::system;

use super::passage::Passage;

const X_AUTH_SITE: HeaderName = HeaderName::from_static("x-auth-site");
const X_AUTH_ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The next upstream of the round that has not been tried for this request.
pub(super) async fn pick(passage: &mut Passage) -> Result<Box<HttpPeer>> {
    let unavailable = || Error::explain(ErrorType::ConnectError, "no upstream is left");
    // The proof is asked for here too: whatever path Pingora took to get here, nothing goes on without it.
    let (Some(guarded), Some(_)) = (passage.guarded.clone(), &passage.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let index = guarded.upstreams.pick(&passage.tried).ok_or_else(unavailable)?;
    passage.tried.push(index);
    let upstream = guarded.upstreams.at(index).ok_or_else(unavailable)?;
    let mut peer = match upstream {
        Upstream::Http { .. } => HttpPeer::new(resolved(&guarded, index).await?, false, String::new()),
        Upstream::Https { host, .. } => {
            let mut peer = HttpPeer::new(resolved(&guarded, index).await?, true, host.clone());
            // A WebSocket handshake is HTTP/1.1.
            peer.options.alpn = if passage.websocket { ALPN::H1 } else { ALPN::H2H1 };
            peer
        }
        Upstream::Unix { path } => HttpPeer::new_uds(&path.to_string_lossy(), false, String::new())?,
    };
    let limits = passage.runtime.settings().server.limits;
    peer.options.connection_timeout = Some(limits.upstream_connect);
    peer.options.total_connection_timeout = Some(limits.upstream_connect);
    peer.options.read_timeout = Some(limits.upstream_idle);
    peer.options.write_timeout = Some(limits.upstream_idle);
    peer.options.idle_timeout = Some(limits.upstream_idle);
    passage.asked_upstream.get_or_insert_with(system::stopwatch);
    Ok(Box::new(peer))
}

async fn resolved(guarded: &crate::runtime::Guarded, index: usize) -> Result<SocketAddr> {
    let address = guarded.upstreams.address(index).await;
    address.ok_or_else(|| Error::explain(ErrorType::ConnectError, "the upstream's name has no address"))
}

/// Whether a connection that failed before anything was sent may be tried elsewhere.
pub(super) fn another_is_left(passage: &Passage) -> bool {
    passage.guarded.as_ref().is_some_and(|guarded| guarded.upstreams.pick(&passage.tried).is_some())
}

/// An upstream may close a kept connection just as a request goes out on it, which says nothing about the next
/// connection: the same place may be asked again.
pub(super) fn forget_last_try(passage: &mut Passage) {
    passage.tried.pop();
}

/// Makes the upstream's request of the client's: theirs removed first, then ours *set*, never appended, because a
/// retry repeats it. Runs after Pingora has removed the hop-by-hop fields, so that no `Connection` takes ours away.
pub(super) fn edit(session: &Session, request: &mut RequestHeader, passage: &Passage) -> Result<()> {
    let (Some(guarded), Some(granted)) = (&passage.guarded, &passage.granted) else {
        return Err(Error::explain(ErrorType::InternalError, "no grant"));
    };
    let site = &guarded.site;
    for name in forward::removals(site, &request.headers) {
        request.remove_header(&name);
    }
    if passage.own_cookies || request.headers.get_all(header::COOKIE).iter().nth(1).is_some() {
        let fields = session.req_header().headers.get_all(header::COOKIE);
        match cookie::for_upstream(&site.cookies, fields.iter().map(HeaderValue::as_bytes)) {
            Some(joined) => request.insert_header(header::COOKIE, joined)?,
            None => drop(request.remove_header(&header::COOKIE)),
        }
    }
    for (name, value) in granted.visitor.iter().flat_map(|visitor| &visitor.headers) {
        request.insert_header(name.clone(), value.clone())?;
    }
    request.insert_header(X_AUTH_SITE, guarded.fixed.site.clone())?;
    if let (Some(visitor), true) = (&granted.visitor, site.assertion) {
        request.insert_header(X_AUTH_ASSERTION, passage.runtime.assertion(site, visitor, passage.now))?;
    }
    if granted.used_authorization {
        request.remove_header(&header::AUTHORIZATION);
    }
    if let Some(token) = &granted.token {
        request.insert_header(header::AUTHORIZATION, format!("Bearer {token}"))?;
    }
    forwarded(request, passage, &guarded.fixed)?;
    if let Some(host) = &site.upstream_host {
        request.insert_header(header::HOST, host.as_str())?;
    }
    Ok(())
}

/// Who asks, and by which name: the same for every route.
fn forwarded(request: &mut RequestHeader, passage: &Passage, fixed: &crate::runtime::FixedHeaders) -> Result<()> {
    request.insert_header(X_REQUEST_ID, passage.request_id.as_str())?;
    let chain = HeaderValue::from_str(&passage.forwarded_for)
        .map_err(|_| Error::explain(ErrorType::InternalError, "a chain that is no header value"))?;
    let client = match (passage.client, passage.peer) {
        // Nobody stands between: the chain is the client.
        (Some(client), Some(peer)) if client == peer && !passage.forwarded_for.contains(',') => Some(chain.clone()),
        (Some(client), _) => HeaderValue::from_str(&client.to_string()).ok(),
        (None, _) => None,
    };
    request.insert_header(X_FORWARDED_FOR, chain)?;
    request.insert_header(X_FORWARDED_PROTO, fixed.proto.clone())?;
    request.insert_header(X_FORWARDED_HOST, fixed.host.clone())?;
    request.insert_header(X_FORWARDED_PORT, fixed.port.clone())?;
    if let Some(peer) = passage.peer {
        let before = passage.forwarded_before.as_deref();
        request.insert_header(header::FORWARDED, forward::forwarded(before, peer, &fixed.forwarded))?;
    }
    if let Some(client) = client {
        request.insert_header(X_REAL_IP, client)?;
    }
    // A line of its own is the same as the end of a list (RFC 9110, section 5.3), and no earlier line is lost. Pingora
    // makes each try's request anew of the client's, so a retry does not name the gateway twice.
    request.append_header(header::VIA, HeaderValue::from_static("1.1 vestibule"))?;
    Ok(())
}
