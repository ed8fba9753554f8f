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

use crate::system;
use crate::telemetry::labels::ClientProtocol;

use super::entrance::{Admitted, ClientConnection, Entrance, Security};
use super::preface::{self, Opening};
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
/// already sent on one of them is answered, with `Connection: close`. Closed at once, the connection
/// would fail it (RFC 9112, section 9.6).
const IDLE_LINGER: Duration = Duration::from_secs(1);

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
        if tokio::time::timeout(drain - linger, idle.recv())
            .await
            .is_err()
        {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }
    }
    Ok(())
}

/// Accepts connections until `service.stop` turns true, and serves each in a task of its own, which
/// holds a clone of `busy`.
async fn accept_all<A>(
    service: Arc<Service<A>>,
    socket: l4::listener::Listener,
    entrance: Arc<Entrance>,
    busy: mpsc::Sender<()>,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut stop = service.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(stream) => {
                let most = service.runtime_handle.current().settings().server.limits;
                let Some(open) = service.limits.open(most.connections) else {
                    continue;
                };
                let (service, busy) = (Arc::clone(&service), busy.clone());
                let entrance = Arc::clone(&entrance);
                drop(system::detach(async move {
                    serve_connection(&service, &entrance, stream).await;
                    drop((busy, open));
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
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
            let (transport, received) = (Transport::Tls(Arc::new(session)), BytesMut::new());
            match protocol {
                ClientProtocol::Http1 => {
                    http1::serve(service, peer, transport, *stream, received).await;
                }
                ClientProtocol::Http2 => {
                    Box::pin(http2::serve(service, peer, transport, *stream, received)).await;
                }
            }
            drop(open);
        }
    }
    drop(counted);
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
