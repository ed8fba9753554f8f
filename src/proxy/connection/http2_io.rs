//! The bytes of an HTTP/2 connection: those that were read to find out its protocol come first, and
//! the frames among all of them are counted.

use std::future::{Future as _, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::system;

use super::http2_frames::{FrameBudget, FrameScanner};

/// What the frames of a connection tell, for the task that serves it. That task also reads and
/// writes, so nothing has to wake it.
#[derive(Debug, Default)]
pub(super) struct FrameWatch {
    /// Whether a flood of frames was received.
    is_flooded: AtomicBool,
    /// Whether a head has begun and is not complete.
    is_in_head: AtomicBool,
    /// The number of heads that are complete.
    heads: AtomicUsize,
}

impl FrameWatch {
    /// Completes when the client has sent a flood of frames. It must be polled after the
    /// connection.
    pub(super) async fn flooded(&self) {
        poll_fn(|_| {
            if self.is_flooded.load(Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Completes when a head has begun and, `timeout` later, is not complete. It must be polled
    /// after the connection.
    pub(super) async fn head_timeout(&self, timeout: Duration) {
        loop {
            poll_fn(|_| match self.head_in_progress() {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            })
            .await;
            let head = self.head_in_progress();
            let mut due = pin!(tokio::time::sleep(timeout));
            let is_late = poll_fn(|cx| {
                if self.head_in_progress() == head {
                    due.as_mut().poll(cx).map(|()| true)
                } else {
                    Poll::Ready(false)
                }
            });
            if is_late.await {
                return;
            }
        }
    }

    /// The number of the head that has begun and is not complete.
    fn head_in_progress(&self) -> Option<usize> {
        let is_in_head = self.is_in_head.load(Ordering::Relaxed);
        is_in_head.then(|| self.heads.load(Ordering::Relaxed))
    }
}

/// The stream of an HTTP/2 connection. Once a flood was received nothing more is read.
pub(super) struct Http2Io<S> {
    socket: S,
    /// Bytes that were read from the socket before.
    received: BytesMut,
    inbound: FrameScanner,
    outbound: FrameScanner,
    budget: FrameBudget,
    watch: Arc<FrameWatch>,
}

impl<S> Http2Io<S> {
    pub(super) fn new(socket: S, received: BytesMut, watch: Arc<FrameWatch>) -> Self {
        Self {
            socket,
            received,
            inbound: FrameScanner::of_client(),
            outbound: FrameScanner::of_server(),
            budget: FrameBudget::new(system::stopwatch()),
            watch,
        }
    }

    fn note_received(&mut self, bytes: &[u8]) {
        let Self { budget, watch, .. } = self;
        self.inbound.scan(bytes, |frame| {
            if !budget.receive(frame, system::stopwatch) {
                watch.is_flooded.store(true, Ordering::Relaxed);
            }
        });
        let is_in_head = self.inbound.is_in_head();
        watch.is_in_head.store(is_in_head, Ordering::Relaxed);
        watch.heads.store(self.inbound.heads(), Ordering::Relaxed);
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        let budget = &mut self.budget;
        self.outbound.scan(bytes, |frame| budget.send(frame));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http2Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.watch.is_flooded.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let start = buf.filled().len();
        if self.received.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        } else {
            let length = self.received.len().min(buf.remaining());
            buf.put_slice(self.received.get(..length).unwrap_or_default());
            self.received.advance(length);
        }
        self.note_received(buf.filled().get(start..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.note_sent(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let length = left.min(buf.len());
            self.note_sent(buf.get(..length).unwrap_or_default());
            left -= length;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
