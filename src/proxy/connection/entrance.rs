//! What every connection passes before its first request, in this order: the header of the PROXY
//! protocol, the limit of its address, the handshake of TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pingora::protocols::l4::stream::Stream;
use tokio_rustls::server::TlsStream;

use crate::decide::client_address;
use crate::runtime::Runtime;
use crate::runtime::tls::{ProxyProtocol, TlsListener};
use crate::telemetry::ListenerMetrics;
use crate::telemetry::labels::HandshakeResult;

use super::client_stream::ClientStream;
use super::connection_limits::AddressConnection;
use super::read_buffer::ReadBuffer;
use super::tls::{self, HandshakeError, TlsSession};
use super::{Peer, Service, proxy_protocol};

/// What the clients of a listener speak before HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    Plain,
    /// TLS, as the listener with this configured address
    /// ([`TlsListeners::get`](crate::runtime::tls::TlsListeners::get)).
    Tls(SocketAddr),
}

/// What the connections of one listener have in common.
pub(super) struct Entrance {
    pub(super) security: Security,
    pub(super) metrics: Arc<ListenerMetrics>,
}

/// A connection that may send requests.
pub(super) struct Admitted {
    /// The client: the other end, or who the PROXY protocol says it is.
    pub(super) peer: Peer,
    pub(super) stream: ClientConnection,
    /// Its place among the connections of its address; `None` for a trusted proxy.
    pub(super) counted: Option<AddressConnection>,
}

/// The bytes of a client.
pub(super) enum ClientConnection {
    /// Without TLS, straight from the socket.
    Plain(Stream),
    /// Without TLS, behind a header of the PROXY protocol.
    Buffered(ClientStream<ReadBuffer<Stream>>),
    /// Over TLS.
    Tls(Box<ClientStream<TlsStream<ReadBuffer<Stream>>>>, TlsSession),
}

impl Entrance {
    /// Lets a connection of `peer` in. `None` for one that is to be closed.
    pub(super) async fn admit<A>(
        &self,
        service: &Service<A>,
        mut peer: Peer,
        stream: Stream,
    ) -> Option<Admitted> {
        let runtime = service.runtime_handle.current();
        let limits = &runtime.settings().server.limits;
        let tls = self.tls_listener(&runtime)?;
        let facts = ClientStream::of(&stream);
        let mut socket = Socket::Direct(stream);
        if has_header(&runtime, tls, peer.address) {
            let mut buffer = socket.buffered();
            match proxy_protocol::read(&mut buffer, limits.header_timeout).await {
                Ok(None) => {}
                Ok(Some(client)) => peer = Peer::new(client),
                Err(error) => {
                    tracing::warn!(proxy = %peer.address, %error, "a connection was closed");
                    return None;
                }
            }
            socket = Socket::Buffered(buffer);
        }
        let counted = if is_trusted(&runtime, peer.address) {
            None
        } else {
            let most = limits.connections_per_address;
            Some(service.limits.open_from(peer.address, most)?)
        };
        let stream = match (tls, socket) {
            (None, Socket::Direct(stream)) => ClientConnection::Plain(stream),
            (None, Socket::Buffered(buffer)) => ClientConnection::Buffered(facts.over(buffer)),
            (Some(listener), socket) => {
                let (stream, session) = self.handshake(listener, &peer, socket.buffered()).await?;
                ClientConnection::Tls(Box::new(facts.over(stream)), session)
            }
        };
        Some(Admitted {
            peer,
            stream,
            counted,
        })
    }

    /// The outer `None` for a listener whose certificates are missing, the inner for a plain one.
    #[expect(clippy::option_option, reason = "the caller tells both apart at once")]
    fn tls_listener<'a>(&self, runtime: &'a Runtime) -> Option<Option<&'a TlsListener>> {
        match self.security {
            Security::Plain => Some(None),
            Security::Tls(address) => {
                let listener = runtime.tls.get(address);
                if listener.is_none() {
                    tracing::error!(%address, "a TLS listener has no certificates");
                }
                listener.map(|listener| Some(&**listener))
            }
        }
    }

    async fn handshake(
        &self,
        listener: &TlsListener,
        peer: &Peer,
        socket: ReadBuffer<Stream>,
    ) -> Option<(TlsStream<ReadBuffer<Stream>>, TlsSession)> {
        let accepted = tls::accept(listener, socket).await;
        self.metrics.handshake(match &accepted {
            Ok(_) | Err(HandshakeError::Validated) => HandshakeResult::Ok,
            Err(HandshakeError::Failed(_)) => HandshakeResult::Failed,
            Err(HandshakeError::Timeout) => HandshakeResult::Timeout,
        });
        accepted
            .map_err(|error| {
                // Anybody can make it fail: at a higher level scanners would fill the log.
                tracing::debug!(client = %peer.address, %error, "a TLS handshake failed");
            })
            .ok()
    }
}

/// A connection before anything was made of it.
enum Socket {
    Direct(Stream),
    /// The beginning was read.
    Buffered(ReadBuffer<Stream>),
}

impl Socket {
    fn buffered(self) -> ReadBuffer<Stream> {
        match self {
            Self::Direct(stream) => ReadBuffer::new(stream),
            Self::Buffered(buffer) => buffer,
        }
    }
}

/// Whether a connection of `peer` begins with the header of the PROXY protocol.
fn has_header(runtime: &Runtime, tls: Option<&TlsListener>, peer: IpAddr) -> bool {
    let of_plain = runtime.settings().server.proxy_protocol;
    let expected = tls.map_or(of_plain, |listener| listener.proxy_protocol);
    expected == ProxyProtocol::Expected && is_trusted(runtime, peer)
}

fn is_trusted(runtime: &Runtime, address: IpAddr) -> bool {
    client_address::is_trusted(address, &runtime.settings().server.trusted_proxies)
}
