//! What an HTTP/2 stream knows of the request that it carries, for both sides: the session that
//! reads and writes it ([`Http2Session`](super::http2_session::Http2Session)) and the gateway that
//! answers it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use pingora::{Error, ErrorType, Result};

use super::http2_head::HeadForm;

/// How long Pingora has to notice that [`StreamGuard::end`] was called.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What an HTTP/2 stream knows of its request.
#[derive(Debug)]
pub(super) struct StreamGuard {
    form: HeadForm,
    /// Whether reads and writes fail.
    has_ended: AtomicBool,
}

impl StreamGuard {
    pub(super) fn new(form: HeadForm) -> Self {
        Self {
            form,
            has_ended: AtomicBool::new(false),
        }
    }

    /// Whether the head means one thing.
    pub(super) fn is_well_formed(&self) -> bool {
        self.form == HeadForm::WellFormed
    }

    /// Makes every read and write of this stream fail from now on, so that Pingora gives the
    /// request up. The other streams of the connection go on.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Whether [`Self::end`] was called.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// An error once [`Self::end`] was called.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.has_ended() {
            return Error::e_explain(ErrorType::ConnectionClosed, "the session has ended");
        }
        Ok(())
    }

    /// Completes when [`Self::end`] was called and Pingora has not noticed within [`CLOSE_GRACE`]:
    /// it does not where it waits for neither a read nor a write. The caller of `end` wakes the
    /// task.
    pub(super) async fn close_timeout(&self) {
        poll_fn(|_| {
            if self.has_ended() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        tokio::time::sleep(CLOSE_GRACE).await;
    }
}
