//! A response of the gateway's own as head and body.

use bytes::Bytes;
use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

use crate::decide::credential_response_headers::CACHE_CONTROL;

/// A response of the gateway's own, ready to be sent. Its `Content-Length` is set when it is sent.
pub(super) struct RenderedResponse {
    pub(super) head: ResponseHeader,
    pub(super) body: Bytes,
}

impl RenderedResponse {
    /// A body of this media type. No cache keeps it, as long as its `Cache-Control` is not set to
    /// something else.
    pub(super) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<Self> {
        let mut head = ResponseHeader::build(status, Some(12))?;
        head.insert_header(header::CONTENT_TYPE, content_type)?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        Ok(Self {
            head,
            body: body.into(),
        })
    }

    /// Adds a cookie. Such a response is for one client alone.
    pub(super) fn set_cookie(&mut self, line: &str) -> Result<()> {
        self.head.append_header(header::SET_COOKIE, line)?;
        self.head
            .insert_header(header::CACHE_CONTROL, CACHE_CONTROL)
    }

    /// A head without a body. No cache keeps it.
    pub(super) fn empty(status: u16) -> Result<Self> {
        let mut head = ResponseHeader::build(status, Some(8))?;
        head.insert_header(header::CACHE_CONTROL, "no-store")?;
        Ok(Self {
            head,
            body: Bytes::new(),
        })
    }
}
