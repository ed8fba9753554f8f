//! A buffer for reading, under protocols that ask for little at a time.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// How much is read at once, in bytes: about one record of TLS.
const SIZE: usize = 16 * 1024;

/// A stream that is read in large pieces, and written to as it is. rustls asks for 4 KiB at a time.
///
/// The buffer exists only while there is something in it, so that an idle connection does not hold
/// it.
#[derive(Debug)]
pub(super) struct ReadBuffer<S> {
    stream: S,
    buffer: Option<Box<[u8]>>,
    /// The part of `buffer` that was read and not handed over.
    start: usize,
    end: usize,
}

impl<S: AsyncRead + Unpin> ReadBuffer<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: None,
            start: 0,
            end: 0,
        }
    }

    /// The bytes that were read and not handed over.
    pub(super) fn pending(&self) -> &[u8] {
        self.buffer
            .as_deref()
            .and_then(|buffer| buffer.get(self.start..self.end))
            .unwrap_or_default()
    }

    /// Takes the first `length` bytes of those that were read.
    pub(super) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Reads more behind what was read. Gives the number of bytes; 0 at the end, and where the
    /// buffer is full.
    pub(super) async fn fill_more(&mut self) -> Result<usize> {
        let buffer = self
            .buffer
            .get_or_insert_with(|| vec![0; SIZE].into_boxed_slice());
        let free = buffer.get_mut(self.end..).unwrap_or_default();
        let length = self.stream.read(free).await?;
        self.end += length;
        Ok(length)
    }

    /// Reads into the empty buffer.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        (self.start, self.end) = (0, 0);
        let buffer = self
            .buffer
            .get_or_insert_with(|| vec![0; SIZE].into_boxed_slice());
        let mut read = ReadBuf::new(buffer);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        self.end = read.filled().len();
        if self.end == 0 {
            self.buffer = None;
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadBuffer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        if this.pending().is_empty() {
            if buf.remaining() >= SIZE {
                this.buffer = None;
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            ready!(this.poll_fill(cx))?;
        }
        let pending = this.pending();
        let length = pending.len().min(buf.remaining());
        buf.put_slice(pending.get(..length).unwrap_or_default());
        this.start += length;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadBuffer<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn small_reads_take_one_read_of_the_stream() {
        let (mut client, server) = duplex(SIZE);
        let mut buffered = ReadBuffer::new(server);
        client.write_all(b"abcdef").await.unwrap();
        let mut two = [0; 2];
        for expected in [b"ab", b"cd", b"ef"] {
            buffered.read_exact(&mut two).await.unwrap();
            assert_eq!(&two, expected);
        }
        client.write_all(b"more").await.unwrap();
        drop(client);
        let mut rest = Vec::new();
        buffered.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"more");
    }

    #[tokio::test]
    async fn what_was_looked_at_is_read_unless_it_was_consumed() {
        let (mut client, server) = duplex(SIZE);
        let mut buffered = ReadBuffer::new(server);
        for piece in ["PRO", "XYabc"] {
            client.write_all(piece.as_bytes()).await.unwrap();
            assert_eq!(buffered.fill_more().await.unwrap(), piece.len());
        }
        assert_eq!(buffered.pending(), b"PROXYabc");
        buffered.consume(5);
        drop(client);
        let mut rest = Vec::new();
        buffered.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"abc");
    }

    #[tokio::test]
    async fn an_idle_stream_holds_no_buffer() {
        let (mut client, server) = duplex(SIZE);
        let mut buffered = ReadBuffer::new(server);
        client.write_all(b"ab").await.unwrap();
        let mut two = [0; 2];
        buffered.read_exact(&mut two).await.unwrap();
        let read = tokio::time::timeout(std::time::Duration::ZERO, buffered.read(&mut two));
        assert!(read.await.is_err());
        assert!(buffered.buffer.is_none());
    }
}
