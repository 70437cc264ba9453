//! What follows the head of an answer, in whichever HTTP its target speaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Frame};

use super::{CallAnswer, ExchangeError, Wire};
use crate::hop;

/// What is still to come of an answer, and of the request that it answers.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Boxed: it goes from hand to hand with each request.
    Http1(Box<Wire>),
    Http2(Box<CallAnswer>),
}

impl Rest {
    /// Returns whether the answer has come to its end.
    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Http1(wire) => wire.is_complete(),
            Self::Http2(answer) => answer.is_bodiless || answer.body.is_end_stream(),
        }
    }

    /// Returns how long the rest of the answer's body is, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Http1(wire) => wire.length(),
            Self::Http2(answer) => answer.body.size_hint().exact(),
        }
    }

    /// Returns the next frame of the answer's body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match self {
            Self::Http1(wire) => wire.poll_frame(cx),
            Self::Http2(answer) => {
                let frame = ready!(Pin::new(&mut answer.body).poll_frame(cx));
                // hyper takes a reset without an error for the end; it is one only behind the end of the stream (RFC 9113 8.1).
                if frame.is_none() && !answer.body.is_end_stream() {
                    return Poll::Ready(Some(Err(ExchangeError::Closed)));
                }
                Poll::Ready(frame.map(|frame| {
                    let mut frame = frame.map_err(ExchangeError::Call)?;
                    if let Some(trailers) = frame.trailers_mut() {
                        hop::mend_trailers(trailers);
                    }
                    Ok(frame)
                }))
            }
        }
    }
}
