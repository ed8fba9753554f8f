//! The body of an HTTP/2 request.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::time::timeout;

use super::http2_guard::StreamGuard;

/// How much of a body is kept for another try, in bytes. Pingora keeps as much over HTTP/1.
const RETRY_BUFFER: usize = 64 * 1024;

/// Reads the body of a request.
pub(super) struct BodyReader {
    stream: RecvStream,
    guard: Arc<StreamGuard>,
    received: usize,
    /// How long may pass between two pieces.
    pub(super) timeout: Duration,
    retry_buffer: Option<RetryBuffer>,
}

/// The beginning of a body, for another try.
#[derive(Default)]
struct RetryBuffer {
    bytes: BytesMut,
    /// Whether the body is longer.
    is_truncated: bool,
}

impl RetryBuffer {
    fn extend(&mut self, chunk: &[u8]) {
        if self.is_truncated || self.bytes.len() + chunk.len() > RETRY_BUFFER {
            self.is_truncated = true;
            self.bytes = BytesMut::new();
        } else {
            self.bytes.extend_from_slice(chunk);
        }
    }
}

impl BodyReader {
    pub(super) fn new(stream: RecvStream, guard: Arc<StreamGuard>, timeout: Duration) -> Self {
        Self {
            stream,
            guard,
            received: 0,
            timeout,
            retry_buffer: None,
        }
    }

    /// The next piece of the body, which is never empty; `None` at its end.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>> {
        let limit = self.timeout;
        match timeout(limit, poll_fn(|cx| self.poll_read(cx))).await {
            Ok(read) => read,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the client sends no body"),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.guard.check_open()?;
        loop {
            let chunk = ready!(self.stream.poll_data(cx)).transpose();
            let Some(chunk) = chunk.or_err(ErrorType::ReadError, "while reading a body")? else {
                return Poll::Ready(Ok(None));
            };
            // Pingora would end the body on the upstream's connection with an empty piece, and once
            // more behind the last one.
            if chunk.is_empty() {
                continue;
            }
            // The stream may be reset by now, and then nothing needs the capacity.
            let _ = self.stream.flow_control().release_capacity(chunk.len());
            self.received += chunk.len();
            if let Some(buffer) = &mut self.retry_buffer {
                buffer.extend(&chunk);
            }
            return Poll::Ready(Ok(Some(chunk)));
        }
    }

    /// The number of bytes that were read.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// From now on the beginning of the body is kept.
    pub(super) fn keep_for_retry(&mut self) {
        self.retry_buffer.get_or_insert_default();
    }

    /// Whether more was read than is kept.
    pub(super) fn is_truncated(&self) -> bool {
        let buffer = self.retry_buffer.as_ref();
        buffer.is_some_and(|buffer| buffer.is_truncated)
    }

    /// What was read and kept; `None` where that is nothing, or not all.
    pub(super) fn kept(&self) -> Option<Bytes> {
        let buffer = self.retry_buffer.as_ref()?;
        (!buffer.bytes.is_empty()).then(|| buffer.bytes.clone().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let mut buffer = RetryBuffer::default();
        buffer.extend(&vec![b'a'; RETRY_BUFFER - 1]);
        buffer.extend(b"b");
        assert!(!buffer.is_truncated);
        assert_eq!(buffer.bytes.len(), RETRY_BUFFER);
        buffer.extend(b"c");
        assert!(buffer.is_truncated && buffer.bytes.is_empty());
        buffer.extend(b"d");
        assert!(buffer.bytes.is_empty());
    }
}
