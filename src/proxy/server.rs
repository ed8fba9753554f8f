//! Listening, connection by connection, until it is time to stop.
//!
//! Pingora's own server makes a runtime per service, panics when an address is taken and sleeps
//! through its grace period; the gateway accepts connections itself and hands each to Pingora's
//! proxy.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::listener::Listener;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{GetSocketDigest as _, IO, SocketDigest};
use pingora::proxy::{HttpProxy, Session};
use pingora::server::configuration::ServerConf;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use crate::runtime::RuntimeHandle;
use crate::system;

use super::Gateway;
use super::wire::{GuardedStream, HeadGuard, Peer};

/// Tells the connection that a request's head was read; `false` when its first line was not
/// well-formed.
pub(super) fn head_has_arrived(session: &Session) -> bool {
    wire_of(session).is_none_or(|wire| wire.head_read())
}

/// Who is at the other end of the connection the request came over.
pub(super) fn peer(session: &Session) -> Option<&Peer> {
    wire_of(session).map(|wire| wire.peer())
}

/// The watch of the connection the request came over.
fn wire_of(session: &Session) -> Option<&Arc<HeadGuard>> {
    let stream: &dyn IO = &**session.stream()?;
    stream.as_any().downcast_ref().map(GuardedStream::wire)
}

/// Closes the request's connection when `ended` does, for as long as the guard lives.
pub(super) async fn close_with(
    session: &Session,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Option<StreamCloseGuard> {
    let wire = Arc::clone(wire_of(session)?);
    // The connection's task: it may be waiting for bytes that never come.
    let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    Some(StreamCloseGuard(system::detach(async move {
        ended.await;
        wire.end();
        task.wake();
    })))
}

/// Dropped with the request: the next one on the same connection is not closed in its place, and
/// nobody goes on waiting for a session to end that may last for weeks.
pub(super) struct StreamCloseGuard(JoinHandle<()>);

impl Drop for StreamCloseGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves until `stop` turns true, then lets requests in flight finish within `drain`.
///
/// # Errors
/// When a listener cannot be used.
pub async fn serve(
    runtime_handle: Arc<RuntimeHandle>,
    listeners: Vec<TcpListener>,
    stop: watch::Receiver<bool>,
    drain: Duration,
) -> std::io::Result<()> {
    let mut proxy = HttpProxy::new(
        Gateway::new(Arc::clone(&runtime_handle)),
        Arc::new(ServerConf::default()),
    );
    // No tunnel is ever opened: with this it is the gateway that says so, and not Pingora.
    let mut options = HttpServerOptions::default();
    options.allow_connect_method_proxying = true;
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    let proxy = Arc::new(proxy);
    let (busy, mut idle) = mpsc::channel::<()>(1);
    let mut accepting = Vec::new();
    for listener in listeners {
        listener.set_nonblocking(true)?;
        let listener = Listener::from(tokio::net::TcpListener::from_std(listener)?);
        let work = accept(
            Arc::clone(&proxy),
            Arc::clone(&runtime_handle),
            listener,
            stop.clone(),
            busy.clone(),
        );
        accepting.push(system::detach(work));
    }
    drop(busy);
    for accepting in accepting {
        // A listener that fell over must not keep the others from draining.
        if accepting.await.is_err() {
            tracing::error!("a listener ended unexpectedly");
        }
    }
    proxy.http_cleanup().await;
    if tokio::time::timeout(drain, idle.recv()).await.is_err() {
        tracing::warn!("requests were still in flight when the time to drain was over");
    }
    Ok(())
}

async fn accept(
    proxy: Arc<HttpProxy<Gateway>>,
    runtime_handle: Arc<RuntimeHandle>,
    listener: Listener,
    mut stop: watch::Receiver<bool>,
    busy: mpsc::Sender<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(stream) => {
                let (proxy, runtime_handle, stop, busy) = (
                    Arc::clone(&proxy),
                    Arc::clone(&runtime_handle),
                    stop.clone(),
                    busy.clone(),
                );
                drop(system::detach(async move {
                    connection(proxy, &runtime_handle, stream, stop).await;
                    drop(busy);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of file descriptors, most likely: asking again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, request after request.
async fn connection(
    proxy: Arc<HttpProxy<Gateway>>,
    runtime_handle: &RuntimeHandle,
    mut stream: Stream,
    stop: watch::Receiver<bool>,
) {
    if stream.set_nodelay().is_err() {
        return;
    }
    let ends = stream.get_socket_digest();
    let peer = ends
        .as_deref()
        .and_then(SocketDigest::peer_addr)
        .and_then(|peer| peer.as_inet());
    // A client without an address came over a local socket.
    let wire = Arc::new(HeadGuard::new(
        peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip),
    ));
    let limits = runtime_handle.current().settings().server.limits;
    let mut session =
        ServerSession::new_http1(Box::new(GuardedStream::new(stream, Arc::clone(&wire))));
    let mut rest = KeepAliveTimer::new(limits.keep_alive.max(Duration::from_secs(1)));
    loop {
        // For as long as it likes, says this; how long that is, `rest` knows.
        session.set_keepalive(Some(0));
        wire.begin();
        let request = proxy.process_new_http(session, &stop);
        let reused = tokio::select! {
            biased;
            reused = request => reused,
            () = rest.is_over(&wire) => None,
            () = wire.head_overdue(limits.header_timeout) => None,
            () = wire.stuck_after_its_end() => None,
        };
        if let Some(refusal) = wire.refusal() {
            refusal.record(&runtime_handle.current(), wire.peer().address);
        }
        let Some((stream, settings)) = reused.map(pingora::apps::ReusedHttpStream::consume) else {
            return;
        };
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
}

/// How long a connection rests before its next request. One timer for all of them, put off only
/// when it has rung: Pingora would make one for each request, and throw it away.
struct KeepAliveTimer {
    most: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer knows whom to wake.
    is_set: bool,
}

impl KeepAliveTimer {
    fn new(most: Duration) -> Self {
        Self {
            most,
            timer: Box::pin(tokio::time::sleep(most)),
            is_set: false,
        }
    }

    /// Ends when nothing of a request has come for too long. Always asked by the same task.
    async fn is_over(&mut self, wire: &HeadGuard) {
        let due = Instant::from_std(system::stopwatch()) + self.most;
        poll_fn(|cx| {
            if self.is_set && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                let now = Instant::from_std(system::stopwatch());
                if !wire.is_resting() {
                    // Whatever rest comes next, it does not end sooner.
                    self.timer.as_mut().reset(now + self.most);
                } else if now < due {
                    self.timer.as_mut().reset(due);
                } else {
                    return Poll::Ready(());
                }
            }
            self.is_set = true;
            Poll::Pending
        })
        .await;
    }
}

/// Whether the certificates this machine trusts can be read: Pingora panics over one that cannot.
///
/// # Errors
/// What is wrong with them, and what to do, in words for an operator.
pub fn check_trusted_certificates() -> Result<(), String> {
    let mut store = pingora::tls::RootCertStore::empty();
    pingora::tls::load_platform_certs_incl_env_into_store(&mut store).map_err(|error| {
        let cause = error.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
        format!(
            "this machine's trusted certificates cannot be read{cause}; mend them, or name others with SSL_CERT_FILE"
        )
    })
}

/// Opens the listeners, so that a taken address is told before anything else starts.
///
/// # Errors
/// The address and what the system says of it.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, std::io::Error)> {
    addresses
        .iter()
        .map(|address| listener(*address).map_err(|error| (*address, error)))
        .collect()
}

/// Connections that wait to be accepted; the system may allow fewer. The standard library asks for
/// 128, and whoever comes in a crowd larger than that tries again only after a second.
const BACKLOG: i32 = 4096;

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // What is left of the connections of a process before this one is no reason not to start.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
