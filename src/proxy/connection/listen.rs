//! Accepting connections, and draining them at the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::l4;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{GetSocketDigest as _, IO, SocketDigest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::system;
use crate::telemetry::labels::ClientProtocol;

use super::entrance::{Admitted, ClientConnection, Entrance, Security};
use super::preface::{self, Opening};
use super::sockets::BACKLOG;
use super::{Peer, Service, Transport, http1, http2};

/// How long accepting pauses after it failed. The process is most likely out of file descriptors,
/// and trying again at once would only burn CPU time.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// A socket that accepts connections of clients.
#[derive(Debug)]
pub struct Listener {
    /// The socket, bound and listening.
    pub socket: TcpListener,
    /// What its clients speak before HTTP.
    pub security: Security,
}

/// How long idle connections stay open after the last one was accepted. A request that a client has
/// already sent on one of them is answered, with `Connection: close`. Closed at once, the
/// connection would fail it (RFC 9112, section 9.6).
const IDLE_LINGER: Duration = Duration::from_secs(1);

/// How long to look, at the end, for a connection that has not been accepted yet.
const QUEUE_LOOK: Duration = Duration::from_millis(1);

/// Serves connections from `listeners` until `service.stop` turns true, then waits for the requests
/// in flight, at most for `server.drain`.
///
/// # Errors
/// When a listener cannot be registered with the runtime.
pub(in crate::proxy) async fn serve<A>(
    service: Service<A>,
    listeners: Vec<Listener>,
) -> std::io::Result<()>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let service = Arc::new(service);
    let (busy, mut idle) = mpsc::channel::<()>(1);
    let mut accepting = Vec::new();
    for Listener { socket, security } in listeners {
        let name = socket.local_addr()?.to_string();
        let entrance = Arc::new(Entrance {
            security,
            metrics: service.runtime_handle.current().metrics().listener(&name),
        });
        socket.set_nonblocking(true)?;
        let socket = l4::listener::Listener::from(tokio::net::TcpListener::from_std(socket)?);
        let work = accept_all(Arc::clone(&service), socket, entrance, busy.clone());
        accepting.push(system::detach(work));
    }
    // `idle` ends when the last connection has dropped its clone.
    drop(busy);
    for task in accepting {
        // A listener that panicked must not keep the others from draining.
        if task.await.is_err() {
            tracing::error!("a listener ended unexpectedly");
        }
    }
    let drain = service.runtime_handle.current().settings().server.drain;
    let linger = IDLE_LINGER.min(drain);
    // `idle` ends at once where no connection is left.
    if tokio::time::timeout(linger, idle.recv()).await.is_err() {
        service.app.http_cleanup().await;
        if tokio::time::timeout(drain.saturating_sub(linger), idle.recv())
            .await
            .is_err()
        {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }
    }
    Ok(())
}

/// Accepts connections until `service.stop` turns true, and serves each in a task of its own, which
/// holds a clone of `busy`. Clients that have connected by then are served too: they would be reset
/// when the socket is closed.
async fn accept_all<A>(
    service: Arc<Service<A>>,
    socket: l4::listener::Listener,
    entrance: Arc<Entrance>,
    busy: mpsc::Sender<()>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let (mut stop, mut paused) = (service.stop.clone(), service.paused.clone());
    let serve = |stream| drop(serve_in_task(&service, &entrance, &busy, stream));
    loop {
        let is_paused = *paused.borrow_and_update();
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Ok(()) = paused.changed() => continue,
            accepted = socket.accept(), if !is_paused => accepted,
        };
        match accepted {
            Ok(stream) => serve(stream),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
    // Another process accepts what waits at a socket that it has too.
    if *paused.borrow() {
        return;
    }
    for _ in 0..BACKLOG {
        match tokio::time::timeout(QUEUE_LOOK, socket.accept()).await {
            Ok(Ok(stream)) => serve(stream),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Serves a connection in a task of its own. Closes it where there are too many.
fn serve_in_task<A>(
    service: &Arc<Service<A>>,
    entrance: &Arc<Entrance>,
    busy: &mpsc::Sender<()>,
    stream: Stream,
) -> Option<JoinHandle<()>>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let most = service.runtime_handle.current().settings().server.limits;
    let open = service.limits.open(most.connections)?;
    let (service, entrance) = (Arc::clone(service), Arc::clone(entrance));
    let busy = busy.clone();
    Some(system::detach(async move {
        serve_connection(&service, &entrance, stream).await;
        drop((busy, open));
    }))
}

/// Serves one connection until it is closed.
async fn serve_connection<A>(service: &Service<A>, entrance: &Entrance, mut stream: Stream)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    if stream.set_nodelay().is_err() {
        return;
    }
    // In a box: it is gone once it is done, and the connection may stay for days.
    let admitted = Box::pin(entrance.admit(service, peer_of(&stream), stream)).await;
    let Some(Admitted {
        peer,
        stream,
        counted,
    }) = admitted
    else {
        return;
    };
    match stream {
        ClientConnection::Plain(stream) => serve_plain(service, entrance, peer, stream).await,
        ClientConnection::Buffered(stream) => serve_plain(service, entrance, peer, stream).await,
        ClientConnection::Tls(stream, session) => {
            let protocol = session.client_protocol();
            let open = entrance.metrics.connection_opened(protocol);
            let transport = Transport::Tls(Arc::new(session));
            match protocol {
                ClientProtocol::Http1 => {
                    serve_http1_over_tls(service, peer, transport, stream).await;
                }
                ClientProtocol::Http2 => {
                    let received = BytesMut::new();
                    Box::pin(http2::serve(service, peer, transport, *stream, received)).await;
                }
            }
            drop(open);
        }
    }
    drop(counted);
}

/// Serves a connection of HTTP/1 over TLS.
async fn serve_http1_over_tls<A, S>(
    service: &Service<A>,
    peer: Peer,
    transport: Transport,
    mut stream: Box<S>,
) where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let mut received = BytesMut::new();
    // A handshake may end when idle connections are closed already: Pingora would close this one as
    // well, before its first request could arrive.
    if *service.stop.borrow() {
        let first = Box::pin(preface::first_bytes(service, IDLE_LINGER, &mut *stream));
        let Some(first) = first.await else {
            return;
        };
        received = first;
    }
    http1::serve(service, peer, transport, *stream, received).await;
}

/// Serves a connection without TLS. Until the client has said what it speaks, it counts as one of
/// HTTP/1.
async fn serve_plain<A, S>(service: &Service<A>, entrance: &Entrance, peer: Peer, mut stream: S)
where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let mut open = entrance.metrics.connection_opened(ClientProtocol::Http1);
    let detected = preface::detect(service, IDLE_LINGER, &mut stream).await;
    let Some(Opening { protocol, received }) = detected else {
        return;
    };
    match protocol {
        ClientProtocol::Http1 => {
            http1::serve(service, peer, Transport::Plain, stream, received).await;
        }
        ClientProtocol::Http2 => {
            open = entrance.metrics.connection_opened(protocol);
            let served = http2::serve(service, peer, Transport::Plain, stream, received);
            // In a box: connections of HTTP/1 do not need the room.
            Box::pin(served).await;
        }
    }
    drop(open);
}

/// The other end of `stream`. A peer without an IP address came over a local socket.
fn peer_of(stream: &Stream) -> Peer {
    let digest = stream.get_socket_digest();
    let address = digest
        .as_deref()
        .and_then(SocketDigest::peer_addr)
        .and_then(|address| address.as_inet());
    Peer::new(address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip))
}
