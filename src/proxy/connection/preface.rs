//! Which protocol a client speaks on a connection without TLS. An HTTP/2 client with prior
//! knowledge begins with a preface that is no HTTP/1 request (RFC 9113, section 3.3).
//!
//! The first bytes are read here and handed on, so that finding out costs no system call. Nothing
//! waits for more bytes than tell the two apart: a whole HTTP/1.0 request may be shorter than the
//! preface.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::IO;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use crate::telemetry::labels::ClientProtocol;

use super::Service;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at a time, in bytes. Most request heads are shorter.
const READ: usize = 4096;

/// What a client said first.
pub(super) struct Opening {
    pub(super) protocol: ClientProtocol,
    /// What was read of the connection.
    pub(super) received: BytesMut,
}

/// Finds out the protocol of the client. `None` where it sends nothing at all, and where its time
/// is over: that of [`first_bytes`], then as long as a head may take.
pub(super) async fn detect<A, S: IO>(
    service: &Service<A>,
    linger: Duration,
    stream: &mut S,
) -> Option<Opening> {
    let mut received = first_bytes(service, linger, stream).await?;
    let limits = service.runtime_handle.current().settings().server.limits;
    let protocol = timeout(limits.header_timeout, async {
        loop {
            if let Some(protocol) = protocol_of(&received) {
                return Some(protocol);
            }
            if read(stream, &mut received).await.ok()? == 0 {
                // No preface, and no request either: HTTP/1 answers it.
                return Some(ClientProtocol::Http1);
            }
        }
    });
    let protocol = protocol.await.ok()??;
    Some(Opening { protocol, received })
}

/// What the client sends first. `None` where it sends nothing at all, and where its time is over:
/// as long as a connection may wait for a request; after the gateway has begun to stop, at most
/// `linger`.
pub(super) async fn first_bytes<A, S: IO>(
    service: &Service<A>,
    linger: Duration,
    stream: &mut S,
) -> Option<BytesMut> {
    let mut stop = service.stop.clone();
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(linger).await;
    };
    let limits = service.runtime_handle.current().settings().server.limits;
    let idle = limits.keep_alive.max(Duration::from_secs(1));
    let mut received = BytesMut::new();
    let first = tokio::select! {
        biased;
        first = timeout(idle, read(stream, &mut received)) => first,
        () = stopped => return None,
    };
    (first.ok()?.ok()? > 0).then_some(received)
}

/// Reads what comes next. Gives the number of bytes; 0 at the end.
async fn read<S: IO>(stream: &mut S, received: &mut BytesMut) -> std::io::Result<usize> {
    poll_fn(|cx| poll_read(stream, cx, received)).await
}

fn poll_read<S: IO>(
    stream: &mut S,
    cx: &mut Context<'_>,
    received: &mut BytesMut,
) -> Poll<std::io::Result<usize>> {
    let mut bytes = [MaybeUninit::uninit(); READ];
    let mut buf = ReadBuf::uninit(&mut bytes);
    ready!(AsyncRead::poll_read(Pin::new(stream), cx, &mut buf))?;
    received.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}

/// The protocol that these bytes begin; `None` where it may be either.
fn protocol_of(received: &[u8]) -> Option<ClientProtocol> {
    if received.starts_with(PREFACE) {
        Some(ClientProtocol::Http2)
    } else if PREFACE.starts_with(received) {
        None
    } else {
        Some(ClientProtocol::Http1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_tells() {
        for at in 1..PREFACE.len() {
            assert_eq!(protocol_of(&PREFACE[..at]), None, "{at}");
            let mut other = PREFACE[..=at].to_vec();
            other[at] ^= 1;
            assert_eq!(protocol_of(&other), Some(ClientProtocol::Http1), "{at}");
            assert_eq!(
                protocol_of(&[&other, PREFACE].concat()),
                Some(ClientProtocol::Http1),
                "{at}"
            );
        }
        assert_eq!(protocol_of(PREFACE), Some(ClientProtocol::Http2));
        assert_eq!(
            protocol_of(&[PREFACE, b"\0"].concat()),
            Some(ClientProtocol::Http2)
        );
        assert_eq!(protocol_of(b""), None);
    }

    #[test]
    fn no_request_of_http_1_waits_for_more_bytes() {
        for request in [
            "GET / HTTP/1.0\r\n\r\n",
            "G",
            "POST",
            "PUT",
            "PRO",
            "\r\n",
            "\x16\x03\x01",
            "PRI * HTTP/2.0\r\nHost: x\r\n\r\n",
        ] {
            assert_eq!(
                protocol_of(request.as_bytes()),
                Some(ClientProtocol::Http1),
                "{request:?}"
            );
        }
    }
}
