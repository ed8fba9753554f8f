//! Connections to providers: limited in the time that they take to open, and in what they may send
//! without being asked.

use std::error::Error;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::model::origin::Host;

/// The time limit of the TCP and TLS handshakes. They count against the timeout of the request too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The part of it for all addresses of a name together: each has its share, so that one that does
/// not answer leaves time for the next.
const TCP_TIMEOUT: Duration = Duration::from_secs(2);

/// The most that is read from a connection without a write to it, in bytes: informational
/// responses, a response with its fields and trailers, or what HTTP/2 sends before it needs a new
/// window.
const MAX_UNANSWERED: usize = 1024 * 1024;

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections.
#[derive(Clone, Debug)]
pub(super) struct Connector(HttpsConnector<HttpConnector<Resolver>>);

impl Connector {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(TCP_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        Self(https)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<MeteredStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = self.0.call(address);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(stream) => Ok(TokioIo::new(MeteredStream {
                    io: TokioIo::new(stream?),
                    unanswered: 0,
                })),
                Err(_) => Err(format!("no connection within {CONNECT_TIMEOUT:?}").into()),
            }
        })
    }
}

/// Looks names up as the system does, except for `localhost` and the names below it. These are this
/// machine (RFC 6761, section 6.3), whether the system knows them or not. Requests to them may be
/// sent in the clear, so no DNS server may decide where they go.
#[derive(Clone, Debug)]
pub(super) struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if Host::parse(name.as_str()).is_some_and(|host| host.is_loopback()) {
            let addresses = [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ];
            // The connector puts the port in.
            let addresses = addresses.map(|address| SocketAddr::new(address, 0));
            return Box::pin(async move { Ok(Vec::from(addresses).into_iter()) });
        }
        let found = self.0.call(name);
        Box::pin(async move { Ok(found.await?.collect::<Vec<_>>().into_iter()) })
    }
}

/// A connection that fails when more than [`MAX_UNANSWERED`] bytes arrive without a write.
///
/// The limits of hyper are for each informational response, each field and each chunk. A provider
/// may send any number of informational responses.
pub(super) struct MeteredStream {
    io: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    /// The bytes that were read since the last write.
    unanswered: usize,
}

impl Connection for MeteredStream {
    fn connected(&self) -> Connected {
        self.io.inner().connected()
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unanswered > MAX_UNANSWERED {
            let limit = MAX_UNANSWERED / 1024;
            let error = format!("more than {limit} KiB arrived that nobody asked for");
            return Poll::Ready(Err(io::Error::other(error)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.unanswered += buf.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unanswered = 0;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unanswered = 0;
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
