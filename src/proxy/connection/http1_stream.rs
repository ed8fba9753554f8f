//! The stream of an HTTP/1 connection. Pingora holds it while it serves a request, and
//! [`http1`](super::http1) holds it all the time, to send what would wait too long and to close it.

use std::future::{Future as _, poll_fn};
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::http1_guard::HeadGuard;
use super::http1_io::Http1Io;

/// The most that is read of what a client sends to a connection that is being closed, in bytes.
const LINGER_MAX: usize = 16 * 1024 * 1024;
/// How long it is read.
const LINGER_TIME: Duration = Duration::from_secs(30);
/// How long nothing of it may arrive.
const LINGER_IDLE: Duration = Duration::from_secs(5);
/// How much of it is read at a time.
const LINGER_BUFFER: usize = 16 * 1024;

/// The stream of an HTTP/1 connection. Clones are the same stream.
pub(super) struct SharedStream<S> {
    /// Locked for the time of a poll, by the one task that serves the connection.
    io: Arc<Mutex<Http1Io<S>>>,
    guard: Arc<HeadGuard>,
}

impl<S: IO> SharedStream<S> {
    pub(super) fn new(io: Http1Io<S>) -> Self {
        let guard = Arc::clone(&io.guard);
        Self {
            io: Arc::new(Mutex::new(io)),
            guard,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Http1Io<S>> {
        self.io.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects a new request from the next byte on.
    pub(super) fn begin_request(&self) {
        self.lock().begin_request();
    }

    /// Completes when the head of the current request is there, or cannot be any more.
    pub(super) async fn head_arrived(&self) {
        poll_fn(|cx| self.lock().poll_head_arrived(cx)).await;
    }

    /// Sends what was written and not flushed whenever the task has nothing else to do, and gives
    /// the request up when the client takes nothing for as long as `limit`. Never completes. It
    /// must be polled after the request, by the same task.
    pub(super) async fn keep_sending(&self, limit: Duration) {
        let mut due: Option<Pin<Box<Sleep>>> = None;
        let mut since = None;
        poll_fn(|cx| {
            let mut io = self.lock();
            io.poll_send_idle(cx);
            let blocked = io.blocked_after();
            drop(io);
            if blocked != since {
                since = blocked;
                due = blocked.map(|_| Box::pin(sleep(limit)));
            }
            if due
                .as_mut()
                .is_some_and(|due| due.as_mut().poll(cx).is_ready())
            {
                due = None;
                // The request is polled again, and its write fails.
                self.guard.end();
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// Sends what is left and closes the connection. A client that is still sending could lose the
    /// response to a reset, so what it sends is read for a while (RFC 9112, section 9.6). `limit`
    /// is for sending.
    pub(super) async fn close(&self, limit: Duration) {
        if self.guard.has_ended() {
            return;
        }
        if let Some(error) = self.guard.early_error() {
            self.lock().queue(&error.to_bytes());
        }
        let sent = timeout(limit, poll_fn(|cx| self.lock().poll_shutdown(cx))).await;
        if matches!(sent, Ok(Ok(()))) && self.lock().may_receive() {
            // A client that takes longer is cut off.
            let _ = timeout(LINGER_TIME, self.discard()).await;
        }
    }

    async fn discard(&self) {
        let mut scratch = vec![0; LINGER_BUFFER];
        let mut left = LINGER_MAX;
        loop {
            let read = poll_fn(|cx| self.lock().poll_discard(cx, &mut scratch));
            let Ok(Ok(length @ 1..)) = timeout(LINGER_IDLE, read).await else {
                return;
            };
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    }
}

impl<S> Clone for SharedStream<S> {
    fn clone(&self) -> Self {
        Self {
            io: Arc::clone(&self.io),
            guard: Arc::clone(&self.guard),
        }
    }
}

/// Without the bytes, which hold credentials.
impl<S> std::fmt::Debug for SharedStream<S> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SharedStream").finish_non_exhaustive()
    }
}

impl<S: IO> AsyncRead for SharedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.lock().poll_read(cx, buf)
    }
}

impl<S: IO> AsyncWrite for SharedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.lock().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.lock().poll_flush(cx)
    }

    /// Does nothing: [`SharedStream::close`] closes the connection.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.lock().poll_write(cx, first.map_or(&[][..], |buf| buf))
    }
}

/// Does nothing: [`SharedStream::close`] closes the connection.
#[async_trait]
impl<S: IO> Shutdown for SharedStream<S> {
    async fn shutdown(&mut self) {}
}

impl<S: IO> UniqueID for SharedStream<S> {
    fn id(&self) -> UniqueIDType {
        self.lock().socket.id()
    }
}

/// `get_ssl` is not offered: it returns a reference into the locked stream.
impl<S: IO> Ssl for SharedStream<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.lock().socket.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.lock().socket.selected_alpn_proto()
    }
}

/// Not offered: bytes that are only peeked at would not be scanned.
#[async_trait]
impl<S: IO> Peek for SharedStream<S> {}

impl<S: IO> GetTimingDigest for SharedStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.lock().socket.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.lock().socket.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.lock().socket.get_write_pending_time()
    }
}

impl<S: IO> GetProxyDigest for SharedStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.lock().socket.get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for SharedStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.lock().socket.get_socket_digest()
    }
}
