//! Reading the header of the PROXY protocol from a connection.

use std::net::IpAddr;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream;
use tokio::time::timeout;

use crate::decide::proxy_protocol::{ProxyHeader, parse};

use super::read_buffer::ReadBuffer;

/// Why a connection that must begin with a header has none.
#[derive(Debug)]
pub(super) enum HeaderError {
    /// It begins with something else.
    Malformed,
    /// It took too long.
    Timeout,
    /// The connection ended or failed.
    Closed,
}

impl std::fmt::Display for HeaderError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Malformed => "the connection does not begin with a PROXY protocol header",
            Self::Timeout => "the PROXY protocol header took too long",
            Self::Closed => "the connection ended before its PROXY protocol header",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Reads the header, which must be complete within `limit`, and gives the client's address; `None`
/// where the proxy speaks for itself. Nothing behind the header is taken.
pub(super) async fn read(
    stream: &mut ReadBuffer<Stream>,
    limit: Duration,
) -> Result<Option<IpAddr>, HeaderError> {
    let read = timeout(limit, read_header(stream)).await;
    read.unwrap_or(Err(HeaderError::Timeout))
}

async fn read_header(stream: &mut ReadBuffer<Stream>) -> Result<Option<IpAddr>, HeaderError> {
    loop {
        match parse(stream.pending()) {
            ProxyHeader::Complete { length, source } => {
                stream.consume(length);
                return Ok(source);
            }
            ProxyHeader::Invalid => return Err(HeaderError::Malformed),
            ProxyHeader::Partial => match stream.fill_more().await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(HeaderError::Closed),
            },
        }
    }
}
