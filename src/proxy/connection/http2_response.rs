//! The response to an HTTP/2 request.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date;
use pingora::{Error, ErrorType, OrErr as _, Result};
use tokio::time::timeout;

use super::http2_guard::StreamGuard;

/// The fields of a connection, which HTTP/2 does not have (RFC 9113, section 8.2.2).
const CONNECTION_FIELDS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether a part of a response is its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// More follows.
    Earlier,
    /// It is the last.
    Last,
}

impl From<bool> for Part {
    /// From what Pingora calls `end`.
    fn from(end: bool) -> Self {
        if end { Self::Last } else { Self::Earlier }
    }
}

/// Sends the response to a request. Dropped before its last part, it resets the stream.
pub(super) struct ResponseWriter {
    respond: SendResponse<Bytes>,
    guard: Arc<StreamGuard>,
    /// The body, once the head was sent.
    body: Option<SendStream<Bytes>>,
    head: Option<Box<ResponseHeader>>,
    is_finished: bool,
    sent: usize,
    /// How long a client may take to make room for a piece of the body.
    pub(super) timeout: Duration,
}

impl ResponseWriter {
    pub(super) fn new(
        respond: SendResponse<Bytes>,
        guard: Arc<StreamGuard>,
        timeout: Duration,
    ) -> Self {
        Self {
            respond,
            guard,
            body: None,
            head: None,
            is_finished: false,
            sent: 0,
            timeout,
        }
    }

    /// The head that was sent, other than informational ones.
    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    /// The number of bytes of the body that were sent.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    /// Sends the head. A second one is ignored.
    pub(super) fn send_head(&mut self, mut head: Box<ResponseHeader>, part: Part) -> Result<()> {
        self.guard.check_open()?;
        if self.head.is_some() {
            return Ok(());
        }
        for name in &CONNECTION_FIELDS {
            head.remove_header(name);
        }
        head.insert_header(header::DATE, date::get_cached_date())?;
        let response = Response::from_parts(head.as_owned_parts(), ());
        let is_last = part == Part::Last;
        let body = self
            .respond
            .send_response(response, is_last)
            .or_err(ErrorType::WriteError, "while sending a response")?;
        self.body = Some(body);
        self.head = Some(head);
        self.is_finished = is_last;
        Ok(())
    }

    /// Sends an informational head. There is no `101` in HTTP/2.
    pub(super) fn send_informational(&mut self, head: &ResponseHeader) -> Result<()> {
        if self.head.is_some() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let mut response = Response::from_parts(head.as_owned_parts(), ());
        for name in CONNECTION_FIELDS {
            response.headers_mut().remove(name);
        }
        self.respond.send_informational(response).or_err(
            ErrorType::WriteError,
            "while sending an informational response",
        )
    }

    /// Sends a piece of the body, as the client makes room for it.
    pub(super) async fn send_body(&mut self, mut data: Bytes, part: Part) -> Result<()> {
        self.guard.check_open()?;
        if self.is_finished {
            return Ok(());
        }
        while !data.is_empty() {
            let room = self.room(data.len()).await?;
            let piece = data.split_to(room.min(data.len()));
            self.sent += piece.len();
            let is_last = part == Part::Last && data.is_empty();
            self.send_data(piece, Part::from(is_last))?;
        }
        match part {
            Part::Earlier => Ok(()),
            Part::Last => self.finish(),
        }
    }

    /// Waits until some of `length` bytes may be sent. Gives how many, more than 0.
    async fn room(&mut self, length: usize) -> Result<usize> {
        let guard = Arc::clone(&self.guard);
        let limit = self.timeout;
        let body = self.body()?;
        body.reserve_capacity(length);
        let room = poll_fn(|cx| {
            if guard.has_ended() {
                return Poll::Ready(None);
            }
            loop {
                match ready!(body.poll_capacity(cx)) {
                    Some(Ok(0)) => {}
                    other => return Poll::Ready(other),
                }
            }
        });
        match timeout(limit, room).await {
            Ok(Some(room)) => room.or_err(ErrorType::WriteError, "while sending a body"),
            Ok(None) => Error::e_explain(ErrorType::ConnectionClosed, "the stream is closed"),
            Err(_) => Error::e_explain(ErrorType::WriteTimedout, "the client takes no body"),
        }
    }

    fn body(&mut self) -> Result<&mut SendStream<Bytes>> {
        self.body
            .as_mut()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "a body before its head"))
    }

    fn send_data(&mut self, data: Bytes, part: Part) -> Result<()> {
        let is_last = part == Part::Last;
        self.body()?
            .send_data(data, is_last)
            .or_err(ErrorType::WriteError, "while sending a body")?;
        self.is_finished |= is_last;
        Ok(())
    }

    /// Sends trailers, which are the last part.
    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.is_finished {
            return Ok(());
        }
        self.body()?
            .send_trailers(trailers)
            .or_err(ErrorType::WriteError, "while sending trailers")?;
        self.is_finished = true;
        Ok(())
    }

    /// Ends a response that has begun.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.is_finished || self.body.is_none() {
            return Ok(());
        }
        self.send_data(Bytes::new(), Part::Last)
    }

    /// Gives the stream up.
    pub(super) fn reset(&mut self, reason: Reason) {
        if !self.is_finished {
            self.respond.send_reset(reason);
            self.is_finished = true;
        }
    }

    /// Gives an error when the client resets the stream, or the stream has to end.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        if let Err(error) = self.guard.check_open() {
            return Poll::Ready(error);
        }
        let reset = match &mut self.body {
            Some(body) => body.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| Error::explain(ErrorType::ConnectionClosed, "the client reset the stream"))
    }
}

/// A response that has begun and does not end must not look complete. Where it ended before the
/// body of the request was read, `h2` resets the stream with `NO_ERROR`.
impl Drop for ResponseWriter {
    fn drop(&mut self) {
        if self.head.is_some() {
            self.reset(if self.guard.has_ended() {
                Reason::CANCEL
            } else {
                Reason::INTERNAL_ERROR
            });
        }
    }
}
