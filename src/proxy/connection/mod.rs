//! Client connections: listening, accepting, serving, and closing them.
//!
//! Pingora's own server creates a runtime for each service, panics when an address is in use, and
//! sleeps through its whole grace period. The gateway therefore accepts connections itself
//! ([`Sockets`]) and passes each of their requests to Pingora.
//!
//! This module does not know what a request means: whatever answers requests comes in as a
//! [`HttpServerApp`](pingora::apps::HttpServerApp), and learns the facts of the connection from
//! [`Connection`].

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderMap, HeaderValue, header};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::origin::Scheme;
use crate::runtime::RuntimeHandle;
use crate::system;

mod client_stream;
mod connection_limits;
mod early_error;
mod entrance;
mod http1;
mod http1_guard;
mod http1_head;
mod http1_io;
mod http1_stream;
mod http1_target;
mod http2;
mod http2_body;
mod http2_frames;
mod http2_guard;
mod http2_head;
mod http2_io;
mod http2_response;
mod http2_session;
mod listen;
mod preface;
mod proxy_protocol;
mod read_buffer;
mod sockets;
mod tls;

pub use entrance::Security;
pub use listen::Listener;
pub use sockets::{BindError, Sockets};
pub use tls::TlsSession;

pub(super) use listen::serve;

use connection_limits::ConnectionLimits;
use http1_guard::HeadGuard;
use http2_guard::StreamGuard;

/// What all connections have in common.
pub(super) struct Service<A> {
    /// Answers the requests.
    pub(super) app: Arc<A>,
    /// The configuration in force, for the limits of new connections.
    pub(super) runtime_handle: Arc<RuntimeHandle>,
    /// Turns true when the process stops: no connection is accepted after that, and none is kept
    /// for another request.
    pub(super) stop: watch::Receiver<bool>,
    limits: Arc<ConnectionLimits>,
}

impl<A> Service<A> {
    pub(super) fn new(
        app: A,
        runtime_handle: Arc<RuntimeHandle>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            app: Arc::new(app),
            runtime_handle,
            stop,
            limits: Arc::default(),
        }
    }
}

/// The facts of a client's connection. Every request has one. Over HTTP/2, the requests of a
/// connection have one each, because each has a stream of its own.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// What carries the bytes.
    pub transport: Transport,
    protocol: Protocol,
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address; an IPv4-mapped IPv6 address is written as IPv4.
    pub address: IpAddr,
    /// The address as the value of a header field, made once for all requests.
    pub text: HeaderValue,
}

/// Where the body of a request ends, and the next request of the connection may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestBody {
    /// After this many bytes.
    Length(u64),
    /// Where only its reader knows. The request is the last one of its connection.
    Unframed,
}

/// What carries the bytes of a connection.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP without TLS.
    Plain,
    /// TLS, with what was agreed in the handshake.
    Tls(Arc<TlsSession>),
}

impl Transport {
    /// The scheme of what arrives over it.
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Plain => Scheme::Http,
            Self::Tls(_) => Scheme::Https,
        }
    }
}

/// The protocol of a connection, with what requests need of it.
#[derive(Debug)]
enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1(Arc<HeadGuard>),
    /// HTTP/2: a stream of it.
    Http2(Arc<StreamGuard>),
}

tokio::task_local! {
    /// The connection whose requests the task serves.
    static CURRENT: Arc<Connection>;
}

impl Connection {
    fn new(peer: Peer, transport: Transport, protocol: Protocol) -> Arc<Self> {
        Arc::new(Self {
            peer,
            transport,
            protocol,
        })
    }

    /// Runs `requests`, to which this connection is the [`Connection::current`] one.
    ///
    /// The connection travels with the task because Pingora makes the context of a request
    /// (`ProxyHttp::new_ctx`) without showing the request or its stream. Only the functions that
    /// serve connections call this, so every request has a connection.
    fn scope<F: Future>(self: Arc<Self>, requests: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, requests)
    }

    /// The connection of the request that is being served.
    ///
    /// # Panics
    /// Outside the tasks of this module. No request is served there.
    pub(super) fn current() -> Arc<Self> {
        CURRENT.with(Arc::clone)
    }

    /// Whether the connection may carry a request for `host`, the value of a `Host` field: over TLS
    /// only one that has the certificate which the client was shown (RFC 9110, section 7.4).
    pub(super) fn is_for(&self, host: &str) -> bool {
        match &self.transport {
            Transport::Plain => true,
            Transport::Tls(session) => session.is_for(host),
        }
    }

    /// Notes that the request's head was read, and where its body ends. Returns `false` when it was
    /// malformed before it was repaired: its request line by Pingora, its `Host` from `:authority`.
    pub(super) fn finish_head(&self, body: RequestBody) -> bool {
        match &self.protocol {
            Protocol::Http1(guard) => guard.finish_head(body),
            Protocol::Http2(guard) => guard.is_well_formed(),
        }
    }

    /// Notes that the client speaks another protocol behind the request, as after a `101`.
    pub(super) fn switch_protocols(&self) {
        match &self.protocol {
            Protocol::Http1(guard) => guard.switch_protocols(),
            // HTTP/2 has no `101` (RFC 9113, section 8.6).
            Protocol::Http2(_) => {}
        }
    }

    /// Closes the request's stream when `ended` completes, for as long as the guard lives. Over
    /// HTTP/1 the stream is the connection; over HTTP/2 the other streams of the connection go on.
    pub(super) async fn close_stream_after(
        self: &Arc<Self>,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> StreamCloseGuard {
        let connection = Arc::clone(self);
        // The task that serves the request may be waiting for bytes that never come.
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        StreamCloseGuard(system::detach(async move {
            ended.await;
            match &connection.protocol {
                Protocol::Http1(guard) => guard.end(),
                Protocol::Http2(guard) => guard.end(),
            }
            task.wake();
        }))
    }
}

impl RequestBody {
    /// The body of a request with these header fields. Nothing of them was validated yet.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Self::Unframed;
        }
        let Some(length) = headers.get(header::CONTENT_LENGTH) else {
            return Self::Length(0);
        };
        let length = length.to_str().ok().and_then(|text| text.parse().ok());
        length.map_or(Self::Unframed, Self::Length)
    }
}

impl Peer {
    fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        // Every character of an address may stand in a header field.
        let text = HeaderValue::try_from(address.to_string())
            .unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, text }
    }
}

/// Cancels [`Connection::close_stream_after`] when it is dropped with its request: the next request
/// on the connection is not closed, and no task waits for the end of a session that may last for
/// weeks.
#[must_use = "the stream is no longer closed when this is dropped"]
pub(super) struct StreamCloseGuard(JoinHandle<()>);

impl Drop for StreamCloseGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection_from(address: &str) -> (Arc<Connection>, Arc<HeadGuard>) {
        let guard = Arc::new(HeadGuard::default());
        let connection = Connection::new(
            Peer::new(address.parse().unwrap()),
            Transport::Plain,
            Protocol::Http1(Arc::clone(&guard)),
        );
        (connection, guard)
    }

    #[tokio::test]
    async fn each_request_has_the_connection_it_arrived_on() {
        // Two connections that take turns on one thread.
        let requests = |address: &'static str| {
            let (connection, _) = connection_from(address);
            connection.scope(async move {
                for _ in 0..3 {
                    let current = Connection::current();
                    assert_eq!(current.peer.text, address);
                    assert!(matches!(current.transport, Transport::Plain));
                    tokio::task::yield_now().await;
                }
            })
        };
        tokio::join!(requests("192.0.2.1"), requests("2001:db8::2"));
    }

    #[test]
    fn a_mapped_address_is_written_as_ipv4() {
        let peer = Peer::new("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(peer.address.to_string(), "192.0.2.1");
        assert_eq!(peer.text, "192.0.2.1");
    }

    #[tokio::test]
    async fn a_stream_is_closed_only_while_its_guard_lives() {
        for (guard_lives, closed) in [(true, true), (false, false)] {
            let (connection, http1) = connection_from("192.0.2.1");
            let (end_session, ended) = tokio::sync::oneshot::channel();
            let guard = connection
                .close_stream_after(async move { drop(ended.await) })
                .await;
            let guard = guard_lives.then_some(guard);
            end_session.send(()).ok();
            // On this one thread, what was spawned or aborted runs meanwhile.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            assert_eq!(http1.has_ended(), closed);
            drop(guard);
        }
    }
}
