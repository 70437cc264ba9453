//! Sends together what is written together.
//!
//! h2 flushes after each frame with data. But what it writes in one turn of its connection, the answers of several requests, is
//! one send, and over TLS one record, if whoever drives the connection sends it when the turn is over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::lock;

/// So much waits to be sent together; more is sent at once. A record of TLS holds no more.
const MOST: usize = 16 * 1024;

/// A larger buffer is not kept for the next time.
const KEPT: usize = 4 * 1024;

/// A stream that h2 writes to, and that its driver flushes. The two share it, on one thread.
#[derive(Debug)]
pub(super) struct Gathered<S>(Arc<Mutex<Gathering<S>>>);

#[derive(Debug)]
struct Gathering<S> {
    stream: S,
    waiting: Vec<u8>,
    sent: usize,
    /// Bytes, from the beginning.
    read: u64,
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Gathering {
            stream,
            waiting: Vec::new(),
            sent: 0,
            read: 0,
        })))
    }

    /// Returns how many bytes have come.
    pub(super) fn bytes_read(&self) -> u64 {
        lock(&self.0).read
    }

    /// Sends what waits.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = lock(&self.0);
        ready!(gathering.poll_send(cx))?;
        Pin::new(&mut gathering.stream).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let left = &self.waiting[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.sent = 0;
        self.waiting.clear();
        if self.waiting.capacity() > KEPT {
            self.waiting = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Makes room for so much; returns whether it may wait.
    fn poll_room(&mut self, length: usize, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.waiting.len() + length > MOST {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(length <= MOST))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut gathering = lock(&self.0);
        let before = buffer.filled().len();
        let polled = Pin::new(&mut gathering.stream).poll_read(cx, buffer);
        gathering.read += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathering = lock(&self.0);
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(gathering.poll_room(length, cx))? {
            return Pin::new(&mut gathering.stream).poll_write_vectored(cx, slices);
        }
        for slice in slices {
            gathering.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: see [`Gathered::poll_send`].
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = lock(&self.0);
        ready!(gathering.poll_send(cx))?;
        Pin::new(&mut gathering.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_waits_until_it_is_sent() {
        let (mut client, server) = duplex(1024);
        let mut gathered = Gathered::new(server);
        for part in ["one ", "two "] {
            gathered.write_all(part.as_bytes()).await.unwrap();
            gathered.flush().await.unwrap();
        }
        assert!(lock(&gathered.0).sent == 0 && lock(&gathered.0).waiting == b"one two ");
        poll_fn(|cx| gathered.poll_send(cx)).await.unwrap();
        gathered.write_all(b"three").await.unwrap();
        gathered.shutdown().await.unwrap();
        let mut read = String::new();
        client.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two three");
    }

    #[tokio::test]
    async fn what_is_large_is_sent_in_its_place() {
        let (mut client, server) = duplex(4096);
        let mut gathered = Gathered::new(server);
        let all = [&b"first"[..], &[b'x'; MOST + 1], &[b'y'; MOST], b"last"];
        let writing = async {
            for part in all {
                gathered.write_all(part).await.unwrap();
                assert!(lock(&gathered.0).waiting.len() <= MOST);
            }
            gathered.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (_, result) = tokio::join!(writing, client.read_to_end(&mut read));
        result.unwrap();
        assert_eq!(read, all.concat());
    }
}
