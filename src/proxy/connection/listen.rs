//! Listening: binding addresses, accepting connections, and draining them at the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use pingora::protocols::l4::listener::Listener;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{GetSocketDigest as _, SocketDigest};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use crate::system;

use super::{Peer, Service, Transport, preface};

/// How many connections may wait to be accepted; the system may allow fewer. The standard library
/// asks for 128: of a larger crowd some would try again only after a second.
const BACKLOG: i32 = 4096;

/// How long accepting pauses after it failed. The process is most likely out of file descriptors,
/// and trying again at once would only burn CPU time.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    error: std::io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, error } = self;
        write!(
            out,
            "cannot listen on {address}: {error}; is another program listening there?"
        )
    }
}

impl std::error::Error for BindError {}

/// Opens a listener for each address.
///
/// # Errors
/// [`BindError`] for the first address that cannot be listened on.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    addresses
        .iter()
        .map(|&address| listener(address).map_err(|error| BindError { address, error }))
        .collect()
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier process that are still closing do not prevent a start.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves connections from `listeners` until `service.stop` turns true, then waits at most `drain`
/// for the requests in flight.
///
/// # Errors
/// When a listener cannot be registered with the runtime.
pub(in crate::proxy) async fn serve<A>(
    service: Service<A>,
    listeners: Vec<TcpListener>,
    drain: Duration,
) -> std::io::Result<()>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let service = Arc::new(service);
    let (busy, mut idle) = mpsc::channel::<()>(1);
    let mut accepting = Vec::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = Listener::from(tokio::net::TcpListener::from_std(listener)?);
        let work = accept_all(Arc::clone(&service), listener, busy.clone());
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
    service.app.http_cleanup().await;
    if tokio::time::timeout(drain, idle.recv()).await.is_err() {
        tracing::warn!("requests were still in flight when the time to drain was over");
    }
    Ok(())
}

/// Accepts connections until `service.stop` turns true, and serves each in a task of its own, which
/// holds a clone of `busy`.
async fn accept_all<A>(service: Arc<Service<A>>, listener: Listener, busy: mpsc::Sender<()>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let mut stop = service.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(stream) => {
                let (service, busy) = (Arc::clone(&service), busy.clone());
                drop(system::detach(async move {
                    serve_connection(&service, stream).await;
                    drop(busy);
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
async fn serve_connection<A>(service: &Service<A>, mut stream: Stream)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    if stream.set_nodelay().is_err() {
        return;
    }
    preface::serve(service, peer_of(&stream), Transport::Plain, stream).await;
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
