//! What the bytes of an HTTP/1 connection say about a request before Pingora parses it.
//!
//! Pingora escapes bytes that a request line must not contain and carries on, and it waits for the
//! rest of a request head for as long as single bytes keep arriving. A [`HeadGuard`] sees every byte
//! first: it remembers a malformed request line, and the first byte of a head starts a timeout for
//! the last.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::early_error::EarlyError;

/// How long Pingora has to notice that [`HeadGuard::end`] was called.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// A head that Pingora could not parse is too large (`431`) where it has more lines or bytes than
/// this, and malformed (`400`) otherwise. That is what `request_head` accepts of the fields, and
/// the request line: one more line, the blank line behind the fields, and the longest target.
const MAX_HEAD_LINES: usize = 102;
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Where in the request line the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum RequestLine {
    /// No byte of it has arrived. Empty lines before it do not count (RFC 9112, section 2.2).
    Before,
    Method,
    Target,
    Version,
    /// The carriage return behind the version has arrived.
    CarriageReturn,
    /// It is complete, and nothing was wrong with it.
    WellFormed,
    /// Something is wrong with it, whatever follows.
    Malformed,
}

impl RequestLine {
    /// The state that `state as u8` was made of.
    const fn from_u8(state: u8) -> Self {
        match state {
            0 => Self::Before,
            1 => Self::Method,
            2 => Self::Target,
            3 => Self::Version,
            4 => Self::CarriageReturn,
            5 => Self::WellFormed,
            _ => Self::Malformed,
        }
    }

    /// Whether no further byte changes the state.
    const fn is_final(self) -> bool {
        matches!(self, Self::WellFormed | Self::Malformed)
    }

    /// The state after `byte`.
    const fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::Before, _) => Self::Method,
            (Self::Method, b' ') => Self::Target,
            (Self::Target, b' ') => Self::Version,
            (Self::Version, b'\r') => Self::CarriageReturn,
            (Self::Method | Self::Version | Self::CarriageReturn, b'\n') => Self::WellFormed,
            // Bytes that no target has (RFC 3986, appendix A), which Pingora would escape or, from
            // a `#` on, drop; then a second space.
            (Self::Target, b'"' | b'#' | b'<' | b'>' | b'\\' | 0..=0x20 | 0x7f..)
            | (Self::Version | Self::CarriageReturn, b' ') => Self::Malformed,
            (same, _) => same,
        }
    }
}

/// What the bytes of an HTTP/1 connection say about the request that is being read.
///
/// One task reads, writes and polls the timeouts; [`HeadGuard::end`] may be called from any.
#[derive(Debug, Default)]
pub(super) struct HeadGuard {
    /// A [`RequestLine`].
    request_line: AtomicU8,
    /// Whether the gateway has the whole head.
    is_head_read: AtomicBool,
    /// Lines and bytes of the head so far, with the empty lines before it.
    head_lines: AtomicUsize,
    head_bytes: AtomicUsize,
    /// Whether reads and writes fail.
    has_ended: AtomicBool,
    /// The answer to a head that Pingora could not parse. The connection ends with it.
    early_error: OnceLock<EarlyError>,
}

impl HeadGuard {
    /// Expects a new request from the next byte on.
    pub(super) fn begin_request(&self) {
        self.set_request_line(RequestLine::Before);
        self.is_head_read.store(false, Ordering::Relaxed);
        self.head_lines.store(0, Ordering::Relaxed);
        self.head_bytes.store(0, Ordering::Relaxed);
        // It was the stream of an earlier request that ended.
        self.has_ended.store(false, Ordering::Relaxed);
    }

    /// Notes that the gateway has the whole head. Returns `false` when the request line is
    /// malformed.
    pub(super) fn finish_head(&self) -> bool {
        self.is_head_read.store(true, Ordering::Relaxed);
        self.request_line() != RequestLine::Malformed
    }

    /// Whether no byte of the next request has arrived.
    pub(super) fn is_idle(&self) -> bool {
        self.request_line() == RequestLine::Before
    }

    /// Completes when the first byte of a request has arrived and, `timeout` later, its head is not
    /// complete.
    ///
    /// That byte wakes nobody: it arrives while the request is polled, and the caller polls this
    /// after it.
    pub(super) async fn header_timeout(&self, timeout: Duration) {
        wait_until(|| self.is_reading_head()).await;
        let mut due = pin!(tokio::time::sleep(timeout));
        // Once the head is complete, a poll costs one look at a flag.
        poll_fn(|cx| {
            if self.is_reading_head() {
                due.as_mut().poll(cx)
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Completes when [`Self::end`] was called and Pingora has not noticed within [`CLOSE_GRACE`]:
    /// it does not where it waits for neither a read nor a write. The caller of `end` wakes the
    /// task.
    pub(super) async fn close_timeout(&self) {
        wait_until(|| self.has_ended()).await;
        tokio::time::sleep(CLOSE_GRACE).await;
    }

    /// Makes every read and write fail from now on, so that Pingora gives the request up.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Whether [`Self::end`] was called during this request.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// The answer to a head that Pingora could not parse, if one was given.
    pub(super) fn early_error(&self) -> Option<&EarlyError> {
        self.early_error.get()
    }

    fn request_line(&self) -> RequestLine {
        RequestLine::from_u8(self.request_line.load(Ordering::Relaxed))
    }

    fn set_request_line(&self, state: RequestLine) {
        self.request_line.store(state as u8, Ordering::Relaxed);
    }

    fn is_reading_head(&self) -> bool {
        !self.is_head_read.load(Ordering::Relaxed) && !self.is_idle()
    }

    /// An error once [`Self::end`] was called during this request.
    pub(super) fn check_open(&self) -> std::io::Result<()> {
        if self.has_ended() {
            Err(std::io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    /// Takes in bytes that may belong to a head. Its fields are only counted.
    pub(super) fn inspect(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.is_head_read.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.request_line();
        for &byte in bytes {
            if state.is_final() {
                break;
            }
            state = state.next(byte);
        }
        self.set_request_line(state);
        self.count(bytes);
        if self.is_too_large() {
            // A body that arrived together with the end of the head does not count.
            self.uncount(after_head(bytes));
        }
    }

    fn count(&self, bytes: &[u8]) {
        // Only the task that reads writes here: an atomic addition would cost more.
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

    fn is_too_large(&self) -> bool {
        self.head_lines.load(Ordering::Relaxed) > MAX_HEAD_LINES
            || self.head_bytes.load(Ordering::Relaxed) > MAX_HEAD_BYTES
    }

    /// The answer to give in place of Pingora's, where the gateway has no head: what is about to be
    /// written then is Pingora's own response to a head that it could not parse.
    pub(super) fn replace_response(&self) -> Option<&EarlyError> {
        if self.is_head_read.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.early_error.get_or_init(|| {
            if self.is_too_large() {
                EarlyError::too_large()
            } else {
                EarlyError::malformed()
            }
        }))
    }
}

fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// What follows the blank line that ends a head; nothing where `bytes` does not hold that line.
fn after_head(bytes: &[u8]) -> &[u8] {
    let line_starts = memchr::memchr_iter(b'\n', bytes).filter_map(|at| bytes.get(at + 1..));
    let mut bodies = line_starts.filter_map(|line| {
        line.strip_prefix(b"\r\n")
            .or_else(|| line.strip_prefix(b"\n"))
    });
    bodies.next().unwrap_or_default()
}

/// Completes when `condition` holds. Nothing wakes the task for it.
async fn wait_until(condition: impl Fn() -> bool) {
    poll_fn(|_| {
        if condition() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well_formed(parts: &[&[u8]]) -> bool {
        let guard = HeadGuard::default();
        guard.begin_request();
        for part in parts {
            guard.inspect(part);
        }
        guard.finish_head()
    }

    #[test]
    fn a_state_survives_as_a_number() {
        for state in [
            RequestLine::Before,
            RequestLine::Method,
            RequestLine::Target,
            RequestLine::Version,
            RequestLine::CarriageReturn,
            RequestLine::WellFormed,
            RequestLine::Malformed,
        ] {
            assert_eq!(RequestLine::from_u8(state as u8), state);
        }
        assert_eq!(HeadGuard::default().request_line(), RequestLine::Before);
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
    async fn the_timeout_of_a_head_starts_with_its_own_first_byte() {
        let guard = HeadGuard::default();
        let within = Duration::from_millis(5);
        guard.begin_request();
        // Complete before the timeout is polled.
        guard.inspect(b"GET / HTTP/1.1\r\n\r\n");
        guard.finish_head();
        guard.begin_request();
        assert!(
            tokio::time::timeout(within * 10, guard.header_timeout(within))
                .await
                .is_err(),
            "no byte has arrived"
        );
        guard.inspect(b"GET /");
        assert!(
            tokio::time::timeout(within * 1000, guard.header_timeout(within))
                .await
                .is_ok(),
            "half a head has arrived"
        );
    }

    #[test]
    fn a_head_is_too_large_by_its_own_lines_only() {
        let too_large = |head: &str, cut: usize| {
            let (guard, (left, right)) = (HeadGuard::default(), head.as_bytes().split_at(cut));
            guard.inspect(left);
            guard.inspect(right);
            guard.is_too_large()
        };
        let fields = |count: usize| "a: b\r\n".repeat(count);
        let bad = format!("GET / HTTP/1.1\r\n(: no name\r\n{}\r\n", fields(9));
        for body in ["\n".repeat(200), "x".repeat(40_000)] {
            assert!(!too_large(&format!("{bad}{body}"), 20));
            assert!(!too_large(&format!("{}{body}", bad.replace('\r', "")), 0));
        }
        for cut in [0, 9, 400] {
            assert!(
                too_large(&format!("GET / HTTP/1.1\r\n{}\r\n", fields(101)), cut),
                "{cut}"
            );
            assert!(
                !too_large(&format!("GET / HTTP/1.1\r\n{}\r\n", fields(100)), cut),
                "{cut}"
            );
            assert!(
                too_large(
                    &format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(33_000)),
                    cut
                ),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_request_line_that_pingora_would_repair_is_malformed() {
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
