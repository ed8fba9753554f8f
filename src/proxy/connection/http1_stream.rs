//! The stream of an HTTP/1 connection, as Pingora reads and writes it.
//!
//! [`GuardedStream`] shows what is read to a [`HeadGuard`]. Where Pingora responds to a head that it
//! could not parse, it sends an [`EarlyError`](super::early_error::EarlyError) in place of Pingora's
//! response.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

use super::http1_guard::HeadGuard;

/// How much of a response is collected before it is sent, in bytes: its head leaves together with a
/// short body, in one system call instead of two. Pingora flushes wherever bytes must not wait.
const WRITE_BUFFER: usize = 4096;

/// A stream whose bytes a [`HeadGuard`] sees.
#[derive(Debug)]
pub(super) struct GuardedStream<S> {
    stream: BufWriter<S>,
    guard: Arc<HeadGuard>,
    /// Whether the early error was written.
    is_error_sent: bool,
}

impl<S: IO> GuardedStream<S> {
    /// Shows the bytes of `stream` to `guard`.
    pub(super) fn new(stream: S, guard: Arc<HeadGuard>) -> Self {
        Self {
            stream: BufWriter::with_capacity(WRITE_BUFFER, stream),
            guard,
            is_error_sent: false,
        }
    }

    /// Where Pingora responds to a head that it could not parse: writes the early error, once,
    /// and reports the `length` bytes of Pingora's response as written.
    fn poll_early_error(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
    ) -> Option<Poll<std::io::Result<usize>>> {
        let error = self.guard.replace_response()?;
        if !self.is_error_sent {
            // The buffer has room for all of it.
            match Pin::new(&mut self.stream).poll_write(cx, &error.to_bytes()) {
                Poll::Ready(Ok(_)) => self.is_error_sent = true,
                not_written @ (Poll::Pending | Poll::Ready(Err(_))) => return Some(not_written),
            }
        }
        Some(Poll::Ready(Ok(length)))
    }
}

impl<S: IO> AsyncRead for GuardedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.guard.check_open()?;
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = result {
            self.guard
                .inspect(buf.filled().get(before..).unwrap_or_default());
        }
        result
    }
}

impl<S: IO> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.guard.check_open()?;
        if let Some(written) = self.poll_early_error(cx, buf.len()) {
            return written;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.guard.check_open()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.guard.check_open()?;
        if let Some(written) = self.poll_early_error(cx, bufs.iter().map(|buf| buf.len()).sum()) {
            return written;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl<S: IO> Shutdown for GuardedStream<S> {
    async fn shutdown(&mut self) {
        // An error means that the peer has closed the connection already.
        let _ = AsyncWriteExt::shutdown(&mut self.stream).await;
    }
}

impl<S: IO> UniqueID for GuardedStream<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().id()
    }
}

impl<S: IO> Ssl for GuardedStream<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ref().get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.get_ref().selected_alpn_proto()
    }
}

/// Not offered: the guard would not see bytes that are only peeked at.
#[async_trait]
impl<S: IO> Peek for GuardedStream<S> {}

impl<S: IO> GetTimingDigest for GuardedStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_ref().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_ref().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_ref().get_write_pending_time()
    }
}

impl<S: IO> GetProxyDigest for GuardedStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_ref().get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for GuardedStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_ref().get_socket_digest()
    }
}
