//! A client's connection, watched from below: what Pingora's parser forgives or forgets, the bytes
//! still tell.
//!
//! Pingora escapes what has no place in a request line and goes on, and it waits for the rest of a
//! head for as long as single bytes keep arriving. Here the request line is looked at before it is
//! mended, and the first byte of a head starts a deadline for the last. What Pingora says of a head
//! that it cannot read is replaced by a [`EarlyError`].

use std::future::{Future as _, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};

use crate::decide::upstream_headers;

use super::early_error::EarlyError;

/// Who is at the other end of a connection, found out once.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// The address, as the application is told it.
    pub(super) text: HeaderValue,
}

impl Peer {
    fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let text = HeaderValue::try_from(upstream_headers::address(address));
        // No address has a letter that may not stand in a field.
        Self {
            address,
            text: text.unwrap_or(HeaderValue::from_static("unknown")),
        }
    }
}

/// What is known of a connection, and of the request that is being read from it.
#[derive(Debug)]
pub(super) struct HeadGuard {
    peer: Peer,
    /// Where in the request line the next byte belongs.
    state: AtomicU8,
    malformed: AtomicBool,
    head_read: AtomicBool,
    /// Lines and bytes of the head so far, empty lines before it included.
    head_lines: AtomicUsize,
    head_bytes: AtomicUsize,
    /// The session behind an open stream has ended: nothing more is read or written.
    ended: AtomicBool,
    /// The end of a connection whose last head could not be read.
    refusal: OnceLock<EarlyError>,
}

const BEFORE: u8 = 0;
const METHOD: u8 = 1;
const TARGET: u8 = 2;
const VERSION: u8 = 3;
const CARRIAGE_RETURN: u8 = 4;
/// Behind the request line, or past what is wrong with it.
const BEHIND: u8 = 5;

/// How long Pingora has to notice that a stream has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// More lines than this in a head, or more bytes, and Pingora gives up on it unread, with a `400`;
/// the room of the request line and the longest target is added to what `view` allows.
const MOST_LINES: usize = 102;
const MOST_BYTES: usize = 32 * 1024;

impl HeadGuard {
    /// The watch over a connection from this address.
    pub(super) fn new(peer: IpAddr) -> Self {
        Self {
            peer: Peer::new(peer),
            state: AtomicU8::new(BEFORE),
            malformed: AtomicBool::default(),
            head_read: AtomicBool::default(),
            head_lines: AtomicUsize::default(),
            head_bytes: AtomicUsize::default(),
            ended: AtomicBool::default(),
            refusal: OnceLock::new(),
        }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A new request begins with the next byte.
    pub(super) fn begin(&self) {
        self.state.store(BEFORE, Ordering::Relaxed);
        self.malformed.store(false, Ordering::Relaxed);
        self.head_read.store(false, Ordering::Relaxed);
        self.head_lines.store(0, Ordering::Relaxed);
        self.head_bytes.store(0, Ordering::Relaxed);
        // The session of an earlier request is nothing to this one.
        self.ended.store(false, Ordering::Relaxed);
    }

    /// The head was read whole; tells whether its first line was well-formed.
    pub(super) fn head_read(&self) -> bool {
        self.head_read.store(true, Ordering::Relaxed);
        !self.malformed.load(Ordering::Relaxed)
    }

    /// Ends when the first byte of a request has come and `within` has passed without the rest of
    /// its head.
    ///
    /// Nobody is woken by that byte: it comes while the request is polled, and whoever does that
    /// polls this after it.
    pub(super) async fn head_overdue(&self, within: Duration) {
        poll_fn(|_| ready_when(self.is_amid_head())).await;
        let mut due = pin!(tokio::time::sleep(within));
        // Whole in time, it costs one look at a flag for as long as the request takes.
        poll_fn(|cx| {
            if self.is_amid_head() {
                due.as_mut().poll(cx)
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether nothing of a next request has come yet.
    pub(super) fn is_resting(&self) -> bool {
        self.state.load(Ordering::Relaxed) == BEFORE
    }

    fn is_amid_head(&self) -> bool {
        !self.head_read.load(Ordering::Relaxed) && !self.is_resting()
    }

    /// Ends when the session behind an open stream has, and Pingora still has not noticed: one that
    /// can neither be read nor written sees nothing of [`Self::end`]. Whoever calls that wakes the
    /// task.
    pub(super) async fn stuck_after_its_end(&self) {
        poll_fn(|_| ready_when(self.ended.load(Ordering::Acquire))).await;
        tokio::time::sleep(PATIENCE).await;
    }

    /// Fails every read and write from now on, so that Pingora winds the request up.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn check_not_ended(&self) -> std::io::Result<()> {
        if self.ended.load(Ordering::Acquire) {
            Err(std::io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    /// Takes in bytes of a head. Of its fields only their number counts here, and their size.
    fn look_at(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.head_read.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.load(Ordering::Relaxed);
        for &byte in bytes {
            state = match (state, byte) {
                (BEHIND, _) => break,
                // Empty lines before a request line are passed over (RFC 9112, section 2.2).
                (BEFORE, b'\r' | b'\n') => BEFORE,
                (METHOD, b' ') => TARGET,
                (TARGET, b' ') => VERSION,
                (VERSION, b'\r') => CARRIAGE_RETURN,
                (METHOD | VERSION | CARRIAGE_RETURN, b'\n') => BEHIND,
                // What has no place in a request's target (RFC 3986, appendix A), and Pingora would
                // escape or, with `#`, cut off; then a second space.
                (TARGET, b'"' | b'#' | b'<' | b'>' | b'\\' | 0..=0x20 | 0x7f..)
                | (VERSION | CARRIAGE_RETURN, b' ') => {
                    self.malformed.store(true, Ordering::Relaxed);
                    BEHIND
                }
                (BEFORE, _) => METHOD,
                (same, _) => same,
            };
        }
        self.state.store(state, Ordering::Relaxed);
        self.count(bytes);
        if self.is_overfull() {
            // Not by a body that came along with the last of the head, and has lines of its own.
            self.uncount(past_the_head(bytes));
        }
    }

    fn count(&self, bytes: &[u8]) {
        // Whoever polls the connection is the only one to write here: no need to add in one step.
        self.head_lines.store(
            self.head_lines.load(Ordering::Relaxed) + lines(bytes),
            Ordering::Relaxed,
        );
        self.head_bytes.store(
            self.head_bytes.load(Ordering::Relaxed) + bytes.len(),
            Ordering::Relaxed,
        );
    }

    fn uncount(&self, bytes: &[u8]) {
        self.head_lines.fetch_sub(lines(bytes), Ordering::Relaxed);
        self.head_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
    }

    /// How the last head was refused unread, if it was.
    pub(super) fn refusal(&self) -> Option<&EarlyError> {
        self.refusal.get()
    }

    /// Something is about to be said: where no head was read, the gateway has no part in it, and it
    /// is Pingora that will not read this one.
    fn refuse_unread(&self) -> Option<&EarlyError> {
        let refused = || {
            if self.is_overfull() {
                EarlyError::too_large()
            } else {
                EarlyError::malformed()
            }
        };
        (!self.head_read.load(Ordering::Relaxed)).then(|| self.refusal.get_or_init(refused))
    }

    /// Whether a head that could not be read is larger than any that is taken.
    fn is_overfull(&self) -> bool {
        self.head_lines.load(Ordering::Relaxed) > MOST_LINES
            || self.head_bytes.load(Ordering::Relaxed) > MOST_BYTES
    }
}

fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// What follows the empty line that ends a head, if that is here.
fn past_the_head(bytes: &[u8]) -> &[u8] {
    let ends = memchr::memchr_iter(b'\n', bytes).filter_map(|at| bytes.get(at + 1..));
    let mut past = ends.filter_map(|next| {
        next.strip_prefix(b"\r\n")
            .or_else(|| next.strip_prefix(b"\n"))
    });
    past.next().unwrap_or_default()
}

fn ready_when(so: bool) -> Poll<()> {
    if so { Poll::Ready(()) } else { Poll::Pending }
}

/// Bytes of an answer that are gathered before they are sent: its head goes out together with a
/// short body, in one call to the system instead of two. Pingora asks for a flush wherever
/// something must not wait.
const GATHERED: usize = 4096;

/// A connection and its watch.
#[derive(Debug)]
pub(super) struct GuardedStream {
    stream: BufWriter<Stream>,
    wire: Arc<HeadGuard>,
    /// Whether the client was told of the refusal.
    refused: bool,
}

impl GuardedStream {
    pub(super) fn new(stream: Stream, wire: Arc<HeadGuard>) -> Self {
        Self {
            stream: BufWriter::with_capacity(GATHERED, stream),
            wire,
            refused: false,
        }
    }

    pub(super) fn wire(&self) -> &Arc<HeadGuard> {
        &self.wire
    }

    /// Takes `length` bytes of Pingora's own refusal for said, after saying ours in their place.
    fn poll_refuse(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
    ) -> Option<Poll<std::io::Result<usize>>> {
        let refusal = self.wire.refuse_unread()?;
        if !self.refused {
            // Taken whole: there is room for it in what is gathered.
            match Pin::new(&mut self.stream).poll_write(cx, &refusal.to_bytes()) {
                Poll::Ready(Ok(_)) => self.refused = true,
                not_yet @ (Poll::Pending | Poll::Ready(Err(_))) => return Some(not_yet),
            }
        }
        Some(Poll::Ready(Ok(length)))
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.wire.check_not_ended()?;
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = result {
            self.wire
                .look_at(buf.filled().get(before..).unwrap_or_default());
        }
        result
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.wire.check_not_ended()?;
        if let Some(refused) = self.poll_refuse(cx, buf.len()) {
            return refused;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.wire.check_not_ended()?;
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
        self.wire.check_not_ended()?;
        if let Some(refused) = self.poll_refuse(cx, bufs.iter().map(|buf| buf.len()).sum()) {
            return refused;
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for GuardedStream {
    async fn shutdown(&mut self) {
        // Whoever has gone away needs no farewell.
        let _ = self.stream.shutdown().await;
    }
}

impl UniqueID for GuardedStream {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().id()
    }
}

impl Ssl for GuardedStream {}

#[async_trait]
impl Peek for GuardedStream {}

impl GetTimingDigest for GuardedStream {
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

impl GetProxyDigest for GuardedStream {
    fn get_proxy_digest(&self) -> Option<Arc<pingora::protocols::raw_connect::ProxyDigest>> {
        self.stream.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for GuardedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_ref().get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn well_formed(parts: &[&[u8]]) -> bool {
        let wire = HeadGuard::new(HERE);
        wire.begin();
        for part in parts {
            wire.look_at(part);
        }
        wire.head_read()
    }

    #[test]
    fn a_plain_request_line_passes_however_it_is_cut() {
        let whole = b"\r\nGET /a?b=c%20d HTTP/1.1\r\nHost: x\r\n\r\n\x00\xff<>";
        assert!(well_formed(&[whole]));
        for cut in 0..whole.len() {
            let (left, right) = whole.split_at(cut);
            assert!(well_formed(&[left, right]), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn the_deadline_of_a_head_starts_with_its_own_first_byte() {
        let wire = HeadGuard::new(HERE);
        let within = Duration::from_millis(5);
        wire.begin();
        // Answered before anybody looked at the deadline.
        wire.look_at(b"GET / HTTP/1.1\r\n\r\n");
        wire.head_read();
        wire.begin();
        assert!(
            tokio::time::timeout(within * 10, wire.head_overdue(within))
                .await
                .is_err(),
            "nothing has come"
        );
        wire.look_at(b"GET /");
        assert!(
            tokio::time::timeout(within * 1000, wire.head_overdue(within))
                .await
                .is_ok(),
            "half a head has come"
        );
    }

    #[test]
    fn a_head_is_overfull_by_its_own_lines_only() {
        let overfull = |head: &str, cut: usize| {
            let (wire, (left, right)) = (HeadGuard::new(HERE), head.as_bytes().split_at(cut));
            wire.look_at(left);
            wire.look_at(right);
            wire.is_overfull()
        };
        let fields = |count: usize| "a: b\r\n".repeat(count);
        let bad = format!("GET / HTTP/1.1\r\n(: no name\r\n{}\r\n", fields(9));
        for body in ["\n".repeat(200), "x".repeat(40_000)] {
            assert!(!overfull(&format!("{bad}{body}"), 20));
            assert!(!overfull(&format!("{}{body}", bad.replace('\r', "")), 0));
        }
        for cut in [0, 9, 400] {
            assert!(
                overfull(&format!("GET / HTTP/1.1\r\n{}\r\n", fields(101)), cut),
                "{cut}"
            );
            assert!(
                !overfull(&format!("GET / HTTP/1.1\r\n{}\r\n", fields(100)), cut),
                "{cut}"
            );
            assert!(
                overfull(
                    &format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(33_000)),
                    cut
                ),
                "{cut}"
            );
        }
    }

    #[test]
    fn what_would_need_mending_is_seen() {
        for line in [
            "GET /a b HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /<a> HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET  / HTTP/1.1",
        ] {
            let line = format!("{line}\r\n");
            assert!(!well_formed(&[line.as_bytes()]), "{line:?}");
        }
    }
}
