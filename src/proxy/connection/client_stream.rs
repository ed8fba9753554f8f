//! A client's stream as Pingora takes it, with what is under it out of the way.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes of a client in `io`, which is a layer over its socket, and the facts of the socket.
#[derive(Debug)]
pub(super) struct ClientStream<T> {
    io: T,
    id: UniqueIDType,
    socket_digest: Option<Arc<SocketDigest>>,
}

impl ClientStream<()> {
    /// The facts of `socket`, without a stream.
    pub(super) fn of(socket: &Stream) -> Self {
        Self {
            io: (),
            id: socket.id(),
            socket_digest: socket.get_socket_digest(),
        }
    }

    /// With `io` as the stream.
    pub(super) fn over<T>(self, io: T) -> ClientStream<T> {
        ClientStream {
            io,
            id: self.id,
            socket_digest: self.socket_digest,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ClientStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ClientStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// Does nothing: [`SharedStream::close`](super::http1_stream::SharedStream::close) closes the
/// connection.
#[async_trait]
impl<T: Send> Shutdown for ClientStream<T> {
    async fn shutdown(&mut self) {}
}

impl<T> UniqueID for ClientStream<T> {
    fn id(&self) -> UniqueIDType {
        self.id
    }
}

/// Not offered: the facts of a TLS session are in [`Transport`](super::Transport).
impl<T> Ssl for ClientStream<T> {}

/// Not offered.
#[async_trait]
impl<T> Peek for ClientStream<T> {}

/// Not offered: nobody asks how long the connection took to open.
impl<T> GetTimingDigest for ClientStream<T> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

/// Not offered: that is about proxies to an upstream.
impl<T> GetProxyDigest for ClientStream<T> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<T> GetSocketDigest for ClientStream<T> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.socket_digest.clone()
    }
}
