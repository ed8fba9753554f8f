//! What an HTTP/1 connection knows of the request that it carries, for both sides: the stream that
//! reads it ([`Http1Io`](super::http1_io::Http1Io)) and the gateway that answers it.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::model::request_limits::HeadLimits;

use super::RequestBody;
use super::early_error::EarlyError;
use super::http1_head::{HeadError, HeadScanner};

/// How long Pingora has to notice that [`HeadGuard::end`] was called.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The number of bytes that stands for a body whose end the stream does not know.
const UNFRAMED: u64 = u64::MAX;

/// What an HTTP/1 connection knows of the request that it carries.
///
/// One task reads, writes and polls the timeouts; [`HeadGuard::end`] may be called from any.
#[derive(Debug, Default)]
pub(super) struct HeadGuard {
    /// The limits that the most generous site sets.
    limits: HeadLimits,
    /// Whether a byte of the request line has arrived.
    has_begun: AtomicBool,
    /// Whether Pingora would repair the request line.
    is_malformed: AtomicBool,
    /// Whether the gateway has the whole head.
    is_head_read: AtomicBool,
    /// The bytes of the body that were not read yet.
    body_left: AtomicU64,
    /// Whether reads and writes fail.
    has_ended: AtomicBool,
    /// The answer to a head that is not passed on to Pingora, or that Pingora could not parse. The
    /// connection ends with it.
    early_error: OnceLock<EarlyError>,
}

impl HeadGuard {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The scanner of a new head.
    pub(super) fn head_scanner(&self) -> HeadScanner {
        HeadScanner::new(self.limits)
    }

    /// Expects a new request from the next byte on.
    pub(super) fn begin_request(&self) {
        self.has_begun.store(false, Ordering::Relaxed);
        self.is_malformed.store(false, Ordering::Relaxed);
        self.is_head_read.store(false, Ordering::Relaxed);
        self.body_left.store(0, Ordering::Relaxed);
        // It was the stream of an earlier request that ended.
        self.has_ended.store(false, Ordering::Relaxed);
    }

    /// Notes what was read of the head.
    pub(super) fn observe(&self, scanner: &HeadScanner) {
        self.has_begun.store(scanner.has_begun(), Ordering::Relaxed);
        self.is_malformed
            .store(scanner.is_malformed(), Ordering::Relaxed);
    }

    /// Notes that the gateway has the whole head, and where the body ends. Returns `false` when the
    /// request line is malformed.
    pub(super) fn finish_head(&self, body: RequestBody) -> bool {
        let left = match body {
            RequestBody::Length(length) => length,
            RequestBody::Unframed => UNFRAMED,
        };
        self.body_left.store(left, Ordering::Relaxed);
        self.is_head_read.store(true, Ordering::Relaxed);
        !self.is_malformed.load(Ordering::Relaxed)
    }

    /// Whether the gateway has the whole head.
    pub(super) fn is_head_read(&self) -> bool {
        self.is_head_read.load(Ordering::Relaxed)
    }

    /// From now on whatever is read belongs to another protocol.
    pub(super) fn switch_protocols(&self) {
        self.body_left.store(UNFRAMED, Ordering::Relaxed);
    }

    /// The bytes of the body that were not read yet; [`u64::MAX`] where its end is not known here.
    pub(super) fn body_left(&self) -> u64 {
        self.body_left.load(Ordering::Relaxed)
    }

    /// Notes that `length` bytes of the body were read.
    pub(super) fn take_body(&self, length: u64) {
        let left = self.body_left();
        if left != UNFRAMED {
            let left = left.saturating_sub(length);
            self.body_left.store(left, Ordering::Relaxed);
        }
    }

    /// Whether no byte of the next request has arrived.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_begun.load(Ordering::Relaxed)
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

    /// Refuses the request before the gateway has its head. The first call counts.
    pub(super) fn refuse(&self, error: HeadError) {
        self.early_error.get_or_init(|| EarlyError::new(error));
    }

    /// Completes when a head was refused. Like the first byte of a head, this wakes nobody.
    pub(super) async fn refused(&self) {
        wait_until(|| self.early_error.get().is_some()).await;
    }

    /// The answer to a head that was refused.
    pub(super) fn early_error(&self) -> Option<&EarlyError> {
        self.early_error.get()
    }

    pub(super) fn is_reading_head(&self) -> bool {
        !self.is_head_read() && !self.is_idle()
    }

    /// An error once [`Self::end`] was called during this request.
    pub(super) fn check_open(&self) -> std::io::Result<()> {
        if self.has_ended() {
            Err(std::io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
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
