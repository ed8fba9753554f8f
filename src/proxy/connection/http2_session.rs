//! One request of an HTTP/2 connection, as Pingora reads and answers it.
//!
//! Pingora has a session for HTTP/2 too. This one takes its place because that one never gives up
//! reading, ends only with its connection, drops informational responses, and ends a body twice
//! where its last `DATA` frame is empty: the second end would be read as a malformed request on the
//! upstream's connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};
use tokio::time::timeout;

use super::http2_body::BodyReader;
use super::http2_guard::StreamGuard;
use super::http2_response::{Part, ResponseWriter};

/// A request and its response.
pub(super) struct Http2Session {
    request: RequestHeader,
    body: BodyReader,
    response: ResponseWriter,
    /// How long the rest of a body that nobody needs may take.
    drain_timeout: Duration,
}

impl Http2Session {
    /// `idle` limits how long nothing of a body may arrive, or be taken.
    pub(super) fn new(
        request: RequestHeader,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        guard: Arc<StreamGuard>,
        idle: Duration,
    ) -> Self {
        Self {
            request,
            body: BodyReader::new(body, Arc::clone(&guard), idle),
            response: ResponseWriter::new(respond, guard, idle),
            drain_timeout: idle,
        }
    }

    fn send_head(&mut self, head: Box<ResponseHeader>, part: Part) -> Result<()> {
        if head.status.is_informational() {
            return self.send_informational(&head);
        }
        self.response.send_head(head, part)
    }

    /// `100` is for clients that wait for it.
    fn send_informational(&mut self, head: &ResponseHeader) -> Result<()> {
        if head.status == StatusCode::CONTINUE && !self.request.headers.contains_key(header::EXPECT)
        {
            return Ok(());
        }
        self.response.send_informational(head)
    }

    /// Sends one part of the response. Returns whether it was the last.
    ///
    /// # Errors
    /// The upstream's error where that is the part; otherwise an error of the client's.
    async fn send_task(&mut self, task: HttpTask) -> Result<bool> {
        let (sent, is_last) = match task {
            HttpTask::Header(head, end) => (self.send_head(head, Part::from(end)), end),
            HttpTask::Body(data, end) => {
                let data = data.unwrap_or_default();
                (self.response.send_body(data, Part::from(end)).await, end)
            }
            HttpTask::UpgradedBody(..) => {
                return Error::e_explain(ErrorType::InternalError, "an upgrade over HTTP/2");
            }
            HttpTask::Trailer(Some(trailers)) => (self.response.send_trailers(*trailers), true),
            HttpTask::Trailer(None) | HttpTask::Done => (Ok(()), true),
            HttpTask::Failed(error) => return Err(error),
        };
        sent.map_err(Error::into_down)?;
        Ok(is_last)
    }
}

#[async_trait]
impl Session for Http2Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.body.read().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        let limit = self.drain_timeout;
        let drained = async {
            while !self.is_body_done() && self.body.read().await?.is_some() {}
            Ok(())
        };
        match timeout(limit, drained).await {
            Ok(drained) => drained,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the body does not end"),
        }
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.send_head(head, Part::from(end))
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.send_head(Box::new(head.clone()), Part::from(end))
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.response.send_body(data, Part::from(end)).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.response.send_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut has_ended = false;
        for task in tasks {
            has_ended |= self.send_task(task).await?;
        }
        if has_ended {
            self.response.finish().map_err(Error::into_down)?;
        }
        Ok(has_ended)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.body.timeout = timeout.unwrap_or(Duration::MAX);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        Some(self.body.timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.response.timeout = timeout.unwrap_or(Duration::MAX);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        Some(self.response.timeout)
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout.unwrap_or(Duration::MAX);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        Some(self.drain_timeout)
    }

    /// Without the target, which may hold secrets.
    fn request_summary(&self) -> String {
        self.request.method.to_string()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.response.head()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.response.reset(Reason::INTERNAL_ERROR);
    }

    fn is_body_done(&mut self) -> bool {
        self.is_body_empty() || self.body.is_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.response.finish()
    }

    fn is_body_empty(&mut self) -> bool {
        let length = self.request.headers.get(header::CONTENT_LENGTH);
        let has_none = length.is_some_and(|length| length.as_bytes() == b"0");
        self.body.received() == 0 && (self.body.is_done() || has_none)
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() {
            Err(poll_fn(|cx| self.response.poll_gone(cx)).await)
        } else {
            self.body.read().await
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.response.sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.body.received()
    }

    fn digest(&self) -> Option<&Digest> {
        None
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }

    /// The facts of the connection are in [`Connection`](super::Connection).
    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
    }

    /// Pingora needs it for subrequests, which the gateway makes none of.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        self.body.keep_for_retry();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.body.is_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.body.kept()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
