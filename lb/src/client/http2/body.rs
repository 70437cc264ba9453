//! The body of a request, on its way from its stream to whoever takes it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};

use super::streams::Stream;
use crate::framing;
use crate::hop;

/// What of a request's body is still to come.
#[derive(Debug)]
pub(crate) struct Http2Body {
    stream: RecvStream,
    left: Option<u64>,
    /// Trailers are what comes next.
    has_no_more_data: bool,
    /// The stream of a client that waits to be told to go on (RFC 9110 10.1.1).
    waits: Option<Arc<Stream>>,
}

impl Http2Body {
    /// Returns the body of a request with these headers.
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap, waits: Option<Arc<Stream>>) -> Self {
        // h2 holds the body to it.
        let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
        Self {
            left: length.and_then(|length| framing::length(length).ok()),
            waits: waits.filter(|_| !stream.is_end_stream()),
            stream,
            has_no_more_data: false,
        }
    }

    /// Returns the next frame. A reset before the end is an error whatever its reason: only servers may end a body by one (RFC 9113 8.1).
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.has_no_more_data {
            let data = self.stream.poll_data(cx);
            if let Some(stream) = self.waits.take()
                && data.is_pending()
            {
                stream.go_on();
            }
            match ready!(data) {
                Some(Ok(bytes)) => return Poll::Ready(Some(self.took(bytes).map(Frame::data))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.has_no_more_data = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        Poll::Ready(trailers.map(|trailers| {
            let mut trailers = trailers?;
            hop::mend_trailers(&mut trailers);
            Ok(Frame::trailers(trailers))
        }))
    }

    /// Lets the client send as much again.
    fn took(&mut self, bytes: Bytes) -> Result<Bytes, h2::Error> {
        self.stream.flow_control().release_capacity(bytes.len())?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        Ok(bytes)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
