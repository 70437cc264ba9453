//! What comes from a client, and tells its link that something has moved: a connection's stream, and with HTTP/2 the
//! body of each request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::Client;

/// What is shorter is copied together and written by one `send`: its way through the kernel is shorter than `writev`'s.
pub(crate) const JOINED: usize = 2048;

/// Copies slices side by side, if they are short; returns their length.
fn join(slices: &[io::IoSlice<'_>], into: &mut [u8; JOINED]) -> Option<usize> {
    let mut length = 0;
    for slice in slices {
        let end = length + slice.len();
        into.get_mut(length..end)?.copy_from_slice(slice);
        length = end;
    }
    Some(length)
}

/// A client's stream: bytes of a request or an answer that move are a sign of life.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    client: Arc<Client>,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, client: Arc<Client>) -> Self {
        Self { stream, client }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

/// The body of a client's request.
#[derive(Debug)]
pub(crate) struct Received {
    incoming: Incoming,
    /// Whose link is told. `None` where the connection's stream does it.
    stream: Option<Arc<Client>>,
}

impl Received {
    pub(crate) fn new(incoming: Incoming, client: &Arc<Client>) -> Self {
        let stream = client.is_stream.then(|| Arc::clone(client));
        Self { incoming, stream }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let (Some(client), Poll::Ready(Some(Ok(_)))) = (&self.stream, &polled) {
            client.link.moved();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.client.link.has_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.client.link.has_written(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; JOINED];
        if let Some(length) = join(slices, &mut joined) {
            return self.poll_write(cx, &joined[..length]);
        }
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.client.link.has_written(polled.is_ready());
        polled
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
