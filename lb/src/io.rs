//! What comes from a client, and tells its link that something has moved: a stream that others speak on, and the body of each
//! request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{BrokenBody, Client, Http1Body, Http2Body};

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

    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }
}

/// The body of a client's request as it comes.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Http1(Http1Body),
    Http2(Http2Body),
}

/// The body of a client's request did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Http1(#[from] BrokenBody),
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl From<Http1Body> for RequestBody {
    fn from(body: Http1Body) -> Self {
        Self::Http1(body)
    }
}

impl From<Http2Body> for RequestBody {
    fn from(body: Http2Body) -> Self {
        Self::Http2(body)
    }
}

impl RequestBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        match self {
            Self::Http1(body) => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| Ok(frame?)))
            }
            Self::Http2(body) => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| Ok(frame?)))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// The body of a client's request. Its link is told when it has come to its end, and with HTTP/2 of each part; with HTTP/1.1
/// the connection does that.
#[derive(Debug)]
pub(crate) struct Received {
    incoming: RequestBody,
    client: Arc<Client>,
}

impl Received {
    /// Returns the body of a request; `paced` if its client must keep to the least rate.
    pub(crate) fn new(incoming: RequestBody, client: &Arc<Client>, paced: bool) -> Self {
        client.link.set_receiving(paced);
        let client = Arc::clone(client);
        Self { incoming, client }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        let polled = self.incoming.poll_frame(cx);
        let link = &self.client.link;
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            link.has_received(bytes);
            if self.client.is_stream {
                link.has_read(bytes);
            }
        }
        link.set_waited_for(polled.is_pending());
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            link.has_broken_off();
        }
        // Nobody asks on behind trailers.
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended || self.incoming.is_end_stream() {
            link.set_receiving(false);
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
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.client.link.has_read(read);
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
        self.client.link.has_written(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.client.link.has_written(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
