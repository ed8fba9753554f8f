//! Connections for WebSockets.
//!
//! Pingora closes an upgraded connection at once where it reads the `101` before it has noted that
//! the request has no body (docs/development/limits.md#behaviour). It waits for both at the same
//! time, and looks at them in random order. So the first read after a write is not ready when it is
//! looked at for the first time, and what is known about the body comes first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, Result};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Opens connections whose first read after a write yields once.
#[derive(Debug)]
pub(super) struct UpgradeConnector;

#[async_trait]
impl L4Connect for UpgradeConnector {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let failed = |error: io::Error| {
            let kind = if error.kind() == io::ErrorKind::TimedOut {
                ErrorType::ConnectTimedout
            } else {
                ErrorType::ConnectError
            };
            Error::because(kind, "connecting for an upgrade", error)
        };
        let socket: Box<dyn VirtualSocket> = match address {
            SocketAddr::Inet(address) => {
                let connected = TcpStream::connect(address).await;
                Box::new(YieldingStream::new(connected.map_err(failed)?))
            }
            SocketAddr::Unix(address) => {
                let path = address
                    .as_pathname()
                    .ok_or_else(|| Error::new(ErrorType::ConnectError))?;
                let connected = UnixStream::connect(path).await;
                Box::new(YieldingStream::new(connected.map_err(failed)?))
            }
        };
        Ok(Stream::from(VirtualSocketStream::new(socket)))
    }
}

/// A stream whose first read after a write yields once.
#[derive(Debug)]
struct YieldingStream<T> {
    inner: T,
    yields: bool,
}

impl<T> YieldingStream<T> {
    const fn new(inner: T) -> Self {
        Self {
            inner,
            yields: false,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for YieldingStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.yields) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for YieldingStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.yields = true;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl VirtualSocket for YieldingStream<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.inner.set_nodelay(true),
            VirtualSockOpt::KeepAlive(probes) => {
                let count = u32::try_from(probes.count).unwrap_or(u32::MAX);
                let probes = TcpKeepalive::new()
                    .with_time(probes.idle)
                    .with_interval(probes.interval)
                    .with_retries(count);
                SockRef::from(&self.inner).set_tcp_keepalive(&probes)
            }
            _ => Ok(()),
        }
    }
}

impl VirtualSocket for YieldingStream<UnixStream> {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn the_first_read_after_a_write_yields_once() {
        let (mut near, far) = tokio::io::duplex(64);
        near.write_all(b"here already").await.unwrap();
        let mut stream = YieldingStream::new(far);
        let mut byte = [0];
        let mut is_ready = async |stream: &mut YieldingStream<_>| {
            let read = std::pin::pin!(stream.read(&mut byte));
            futures_ready(read).await
        };
        assert!(is_ready(&mut stream).await);
        stream.write_all(b"request").await.unwrap();
        assert!(!is_ready(&mut stream).await);
        assert!(is_ready(&mut stream).await);
        assert!(is_ready(&mut stream).await);
    }

    /// Whether it is ready when it is looked at once.
    async fn futures_ready<T>(mut future: Pin<&mut impl Future<Output = T>>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }
}
