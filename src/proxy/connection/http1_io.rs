//! The bytes of an HTTP/1 connection, as Pingora reads and writes them.
//!
//! [`Http1Io`] hands Pingora one request at a time. A head is handed over once it is complete, and
//! what follows the request stays here until the next one begins. Pingora would parse a head anew
//! for each of its pieces, and would take a byte behind a request for an error.
//!
//! What Pingora writes is collected, so that a head leaves together with a short body. It is sent
//! when it does not fit, when Pingora flushes, and when the request has nothing more to do for now.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use pingora::protocols::IO;
use tokio::io::ReadBuf;

use super::http1_guard::HeadGuard;
use super::http1_head::{HeadError, HeadScanner, Scanned};
use super::http1_target;

/// How much of a response is collected before it is sent, in bytes.
const SEND_BUFFER: usize = 4096;

/// How much is read at a time of what follows a request, in bytes.
const PROBE: usize = 256;

/// How far the head of the current request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Not all of it has arrived. This many bytes of `received` were scanned.
    Arriving(usize),
    /// It is complete. This many bytes of `received` are left of it.
    Complete(usize),
}

/// A connection with what was read too early and written too soon.
pub(super) struct Http1Io<S> {
    pub(super) socket: S,
    pub(super) guard: Arc<HeadGuard>,
    scanner: HeadScanner,
    head: Head,
    /// Bytes that were read from the socket and not handed over.
    received: BytesMut,
    /// Bytes that were written and not sent.
    unsent: BytesMut,
    /// Whether the task was woken once more before `unsent` is sent.
    has_yielded: bool,
    /// The number of successful writes to the socket.
    writes: u64,
    /// Whether the socket took nothing when it was written to last.
    is_blocked: bool,
    /// Whether reading came to an end.
    is_closed_by_peer: bool,
}

impl<S: IO> Http1Io<S> {
    /// A connection over `socket`, of which `received` was read.
    pub(super) fn new(socket: S, received: BytesMut, guard: Arc<HeadGuard>) -> Self {
        Self {
            socket,
            scanner: guard.head_scanner(),
            guard,
            head: Head::Arriving(0),
            received,
            unsent: BytesMut::new(),
            has_yielded: false,
            writes: 0,
            is_blocked: false,
            is_closed_by_peer: false,
        }
    }

    /// Expects a new request from the next byte on.
    pub(super) fn begin_request(&mut self) {
        self.scanner = self.guard.head_scanner();
        self.head = Head::Arriving(0);
        self.is_blocked = false;
        self.guard.begin_request();
    }

    /// Reads the current request. Never completes for a head that was refused.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.guard.check_open()?;
        match self.head {
            Head::Arriving(scanned) => self.poll_head(cx, buf, scanned),
            Head::Complete(1..) => {
                self.hand_over_head(buf);
                Poll::Ready(Ok(()))
            }
            Head::Complete(0) if !self.guard.is_head_read() => {
                // Pingora sees another end of the head.
                self.refuse(HeadError::Malformed)
            }
            Head::Complete(0) => self.poll_body(cx, buf),
        }
    }

    /// Reads until the head is complete and hands it over. `buf` is where bytes are read to in any
    /// case: a head that arrives in one piece is not copied.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut scanned: usize,
    ) -> Poll<Result<()>> {
        let start = buf.filled().len();
        loop {
            match self.scan(scanned) {
                Scanned::Complete(end) => {
                    self.complete_head(scanned + end);
                    self.hand_over_head(buf);
                    return Poll::Ready(Ok(()));
                }
                Scanned::Refused(error) => return self.refuse(error),
                Scanned::Partial => scanned = self.received.len(),
            }
            self.head = Head::Arriving(scanned);
            ready!(self.poll_socket(cx, buf))?;
            let fresh = buf.filled().get(start..).unwrap_or_default();
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.received.is_empty() {
                let whole = self.scanner.scan(fresh);
                self.guard.observe(&self.scanner);
                match whole {
                    Scanned::Complete(end) => {
                        let (head, behind) = fresh.split_at(end);
                        let rewritten = self.rewrite(head);
                        self.head = Head::Complete(rewritten.as_ref().map_or(0, Vec::len));
                        self.received
                            .extend_from_slice(rewritten.as_deref().unwrap_or_default());
                        self.received.extend_from_slice(behind);
                        if rewritten.is_some() {
                            buf.set_filled(start);
                            self.hand_over_head(buf);
                        } else {
                            buf.set_filled(start + end);
                        }
                        return Poll::Ready(Ok(()));
                    }
                    Scanned::Refused(error) => {
                        buf.set_filled(start);
                        return self.refuse(error);
                    }
                    Scanned::Partial => scanned = fresh.len(),
                }
            }
            self.received.extend_from_slice(fresh);
            buf.set_filled(start);
        }
    }

    /// Completes when the head is complete, or its end cannot arrive any more. Nothing is handed
    /// over. Never completes for a head that was refused.
    pub(super) fn poll_head_arrived(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Head::Arriving(mut scanned) = self.head else {
            return Poll::Ready(());
        };
        loop {
            match self.scan(scanned) {
                Scanned::Complete(end) => {
                    self.complete_head(scanned + end);
                    return Poll::Ready(());
                }
                Scanned::Refused(error) => {
                    self.guard.refuse(error);
                    return Poll::Pending;
                }
                Scanned::Partial => scanned = self.received.len(),
            }
            self.head = Head::Arriving(scanned);
            let mut bytes = [0; PROBE];
            let mut probe = ReadBuf::new(&mut bytes);
            let read = ready!(self.poll_socket(cx, &mut probe));
            if read.is_err() || probe.filled().is_empty() {
                return Poll::Ready(());
            }
            self.received.extend_from_slice(probe.filled());
        }
    }

    /// Scans what was received, from this position on.
    fn scan(&mut self, from: usize) -> Scanned {
        let fresh = self.received.get(from..).unwrap_or_default();
        if fresh.is_empty() {
            return Scanned::Partial;
        }
        let scanned = self.scanner.scan(fresh);
        self.guard.observe(&self.scanner);
        scanned
    }

    fn refuse(&self, error: HeadError) -> Poll<Result<()>> {
        self.guard.refuse(error);
        Poll::Pending
    }

    /// Notes that this many bytes of `received` are the whole head.
    fn complete_head(&mut self, length: usize) {
        let head = self.received.split_to(length);
        let behind = std::mem::replace(&mut self.received, head);
        if let Some(rewritten) = self.rewrite(&self.received) {
            self.received = rewritten.as_slice().into();
        }
        self.head = Head::Complete(self.received.len());
        self.received.unsplit(behind);
    }

    /// The whole head with another target, where Pingora does not take the client's.
    fn rewrite(&self, head: &[u8]) -> Option<Vec<u8>> {
        if self.scanner.is_malformed() {
            return None;
        }
        http1_target::rewrite(head)
    }

    fn hand_over_head(&mut self, buf: &mut ReadBuf<'_>) {
        let Head::Complete(left) = self.head else {
            return;
        };
        let length = left.min(buf.remaining());
        buf.put_slice(&self.received.split_to(length));
        self.head = Head::Complete(left - length);
    }

    /// Reads the body, and behind it waits for the client to close.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let left = self.guard.body_left();
        if left == 0 {
            return self.poll_close(cx);
        }
        let start = buf.filled().len();
        if self.received.is_empty() {
            ready!(self.poll_socket(cx, buf))?;
        } else {
            let length = self.received.len().min(buf.remaining());
            buf.put_slice(&self.received.split_to(length));
        }
        let read = buf.filled().get(start..).unwrap_or_default();
        // Pingora asks for no more of a body than is left of it.
        let of_body = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
        if let Some(behind @ [_, ..]) = read.get(of_body..) {
            self.received = [behind, &self.received].concat().as_slice().into();
            buf.set_filled(start + of_body);
        }
        self.guard
            .take_body(u64::try_from(of_body).unwrap_or(u64::MAX));
        Poll::Ready(Ok(()))
    }

    /// Completes when the client closes the connection. What it sends instead is kept for the next
    /// request; then nothing more is read before that.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.received.is_empty() {
            return Poll::Pending;
        }
        let mut bytes = [0; PROBE];
        let mut probe = ReadBuf::new(&mut bytes);
        ready!(self.poll_socket(cx, &mut probe))?;
        if probe.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.received.extend_from_slice(probe.filled());
        Poll::Pending
    }

    /// Reads and discards whatever arrives. Gives the number of bytes; 0 at the end.
    pub(super) fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<usize>> {
        let mut buf = ReadBuf::new(scratch);
        ready!(self.poll_socket(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(cx, buf));
        if result.is_err() || buf.filled().len() == before {
            self.is_closed_by_peer = true;
        }
        Poll::Ready(result)
    }

    /// Whether the client may still be sending, or has sent what nobody read.
    pub(super) fn may_receive(&self) -> bool {
        let is_unread = self.guard.body_left() > 0 || !self.received.is_empty();
        (is_unread || self.guard.early_error().is_some()) && !self.is_closed_by_peer
    }

    /// Takes `bytes` of the response. Never completes for Pingora's own response to a head that it
    /// could not parse: the gateway's takes its place.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.guard.check_open()?;
        if !self.guard.is_head_read() {
            self.guard.refuse(HeadError::Malformed);
            return Poll::Pending;
        }
        if self.unsent.len() + bytes.len() <= SEND_BUFFER {
            self.queue(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        loop {
            let held = self.unsent.len();
            let both = [IoSlice::new(&self.unsent), IoSlice::new(bytes)];
            let sent = Pin::new(&mut self.socket).poll_write_vectored(cx, &both);
            let sent = ready!(self.note_write(sent))?;
            if sent > held {
                self.unsent.clear();
                return Poll::Ready(Ok(sent - held));
            }
            self.unsent.advance(sent);
        }
    }

    /// Adds `bytes` to those that are to be sent, however many there are.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Sends what was written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.guard.check_open()?;
        while !self.unsent.is_empty() {
            let sent = Pin::new(&mut self.socket).poll_write(cx, &self.unsent);
            let sent = ready!(self.note_write(sent))?;
            self.unsent.advance(sent);
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Sends what was written and tells the client that nothing follows.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn note_write(&mut self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.is_blocked = written.is_pending();
        let written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(Error::from(ErrorKind::WriteZero)));
        }
        self.writes += 1;
        Poll::Ready(Ok(written))
    }

    /// Sends what was written when the request waits for something else. Tasks that are ready run
    /// first: the rest of a short response may be on its way from one of them.
    pub(super) fn poll_send_idle(&mut self, cx: &mut Context<'_>) {
        if self.unsent.is_empty() || self.guard.has_ended() {
            self.has_yielded = false;
        } else if !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
        } else if let Poll::Ready(Err(_)) = self.poll_flush(cx) {
            self.guard.end();
            cx.waker().wake_by_ref();
        }
    }

    /// Where the socket takes nothing: the number of writes before. Another number is another wait.
    pub(super) fn blocked_after(&self) -> Option<u64> {
        self.is_blocked.then_some(self.writes)
    }
}

#[cfg(test)]
mod tests;
