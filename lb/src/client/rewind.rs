//! A stream some of whose bytes have been read before.
//!
//! On a listener without TLS a client may begin with HTTP/2 at once, if it knows that it can (RFC 9113 3.3). What it
//! sends then is no HTTP/1.1, and hyper says so, provided that it sees the whole preface at once: a part of it waits here
//! for the rest.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream and what is read from it first.
#[derive(Debug)]
pub(super) struct Rewind<S> {
    stream: S,
    /// As long as it may become a preface, it is given to nobody.
    held: Bytes,
    start: Start,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Unknown,
    Http2,
    Other,
}

impl<S> Rewind<S> {
    /// Returns a stream on which nothing was read, and on which a preface is not given in parts.
    pub(super) fn at_start(stream: S) -> Self {
        Self {
            stream,
            held: Bytes::new(),
            start: Start::Unknown,
        }
    }

    /// Returns a stream from which `read` is read again.
    pub(super) fn to(read: Bytes, stream: S) -> Self {
        Self {
            stream,
            held: read,
            start: Start::Other,
        }
    }

    /// Returns whether the connection began with the preface of HTTP/2. In its middle that is nonsense.
    pub(super) fn is_http2(&self) -> bool {
        self.start == Start::Http2
    }

    /// Returns the stream, without what is held.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> Rewind<S> {
    fn poll_start(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        loop {
            buffer.put_slice(&self.held);
            let before = buffer.filled().len();
            let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
            if polled.is_pending() {
                buffer.set_filled(start);
            }
            ready!(polled)?;
            let read = &buffer.filled()[start..];
            let ended = buffer.filled().len() == before;
            if ended || read.len() >= PREFACE.len() || !PREFACE.starts_with(read) {
                self.start = if read.starts_with(PREFACE) {
                    Start::Http2
                } else {
                    Start::Other
                };
                self.held = Bytes::new();
                return Poll::Ready(Ok(()));
            }
            self.held = Bytes::copy_from_slice(read);
            buffer.set_filled(start);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start == Start::Unknown && buffer.remaining() >= PREFACE.len() {
            return self.poll_start(cx, buffer);
        }
        if self.held.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.held.len().min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// Returns what is read first when a client sends these parts one after the other.
    async fn first_read(parts: &[&[u8]]) -> Vec<u8> {
        let (mut client, server) = duplex(1024);
        let mut server = Rewind::at_start(server);
        let mut read = Vec::with_capacity(1024);
        for part in parts {
            assert!(read.is_empty(), "{read:?} came too early");
            client.write_all(part).await.unwrap();
            tokio::select! {
                biased;
                result = server.read_buf(&mut read) => drop(result.unwrap()),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(client);
        if read.is_empty() {
            server.read_buf(&mut read).await.unwrap();
        }
        read
    }

    #[tokio::test]
    async fn a_preface_is_read_as_a_whole_however_it_comes() {
        for cut in 1..PREFACE.len() {
            let (first, rest) = PREFACE.split_at(cut);
            assert_eq!(first_read(&[first, rest]).await, PREFACE);
        }
    }

    #[tokio::test]
    async fn what_is_no_preface_is_read_as_it_comes() {
        assert_eq!(first_read(&[b"GET / HT"]).await, b"GET / HT");
        assert_eq!(first_read(&[b"P", b"OST"]).await, b"POST");
        assert_eq!(first_read(&[b"PRI", b"X"]).await, b"PRIX");
        assert_eq!(first_read(&[b"PRI * "]).await, b"PRI * ");
    }

    #[tokio::test]
    async fn what_was_read_before_is_read_first() {
        let (mut client, server) = duplex(1024);
        client.write_all(b"world").await.unwrap();
        drop(client);
        let mut server = Rewind::to(Bytes::from_static(b"hello, "), server);
        let mut read = String::new();
        server.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "hello, world");
    }
}
