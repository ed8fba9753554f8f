//! Which protocol a client speaks on a connection without TLS. An HTTP/2 client with prior knowledge
//! begins with a preface that is no HTTP/1 request (RFC 9113, section 3.3).
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
use pingora::apps::HttpServerApp;
use pingora::protocols::IO;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::{Peer, Service, Transport, http1, http2};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much is read at a time, in bytes. Most request heads are shorter.
const READ: usize = 4096;

/// The protocol that bytes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detected {
    /// HTTP/1, or no protocol at all, which HTTP/1 answers.
    Http1,
    /// HTTP/2.
    Http2,
    /// Either of them.
    Undecided,
}

/// Finds out the protocol of the client, and serves the connection over `stream` until it is closed.
pub(super) async fn serve<A, S>(
    service: &Service<A>,
    peer: Peer,
    transport: Transport,
    mut stream: S,
) where
    A: HttpServerApp + Send + Sync + 'static,
    S: IO + 'static,
{
    let mut received = BytesMut::new();
    let mut stop = service.stop.clone();
    let detected = tokio::select! {
        biased;
        detected = detect_in_time(service, &mut stream, &mut received) => detected,
        // No request has begun.
        _ = stop.wait_for(|stop| *stop) => None,
    };
    match detected {
        Some(Detected::Http2) => http2::serve(service, peer, transport, stream, received).await,
        Some(Detected::Http1 | Detected::Undecided) => {
            http1::serve(service, peer, transport, stream, received).await;
        }
        None => {}
    }
}

/// Reads until the protocol is known, or the client sends nothing more. `None` where it sends nothing
/// at all, and where the time is over: as long as a connection may wait for a request, then as long
/// as a head may take.
async fn detect_in_time<A, S: IO>(
    service: &Service<A>,
    stream: &mut S,
    received: &mut BytesMut,
) -> Option<Detected> {
    let limits = service.runtime_handle.current().settings().server.limits;
    let idle = limits.keep_alive.max(Duration::from_secs(1));
    let first = poll_fn(|cx| poll_read(stream, cx, received));
    if timeout(idle, first).await.ok()?.ok()? == 0 {
        return None;
    }
    let decided = async {
        while detect(received) == Detected::Undecided {
            if poll_fn(|cx| poll_read(stream, cx, received)).await.ok()? == 0 {
                break;
            }
        }
        Some(detect(received))
    };
    timeout(limits.header_timeout, decided).await.ok()?
}

/// Reads what is there. Gives the number of bytes; 0 at the end.
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

fn detect(received: &[u8]) -> Detected {
    if received.starts_with(PREFACE) {
        Detected::Http2
    } else if PREFACE.starts_with(received) {
        Detected::Undecided
    } else {
        Detected::Http1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_tells() {
        for at in 1..PREFACE.len() {
            assert_eq!(detect(&PREFACE[..at]), Detected::Undecided, "{at}");
            let mut other = PREFACE[..=at].to_vec();
            other[at] ^= 1;
            assert_eq!(detect(&other), Detected::Http1, "{at}");
            assert_eq!(detect(&[&other, PREFACE].concat()), Detected::Http1, "{at}");
        }
        assert_eq!(detect(PREFACE), Detected::Http2);
        assert_eq!(detect(&[PREFACE, b"\0"].concat()), Detected::Http2);
        assert_eq!(detect(b""), Detected::Undecided);
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
            assert_eq!(detect(request.as_bytes()), Detected::Http1, "{request:?}");
        }
    }
}
