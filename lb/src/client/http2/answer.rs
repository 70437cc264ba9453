//! Sends an answer on its stream, as fast as its client takes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Response};
use http_body::Body as _;

use crate::proxy::{BodyError, ResponseBody};
use crate::response::ResponseHead;

/// Why an answer ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The client took its request back, or its connection is gone.
    #[error("the stream broke")]
    Stream(#[from] h2::Error),
    #[error("the client took its request back: {0}")]
    Reset(Reason),
    #[error("the answer broke off")]
    Answer(#[source] BodyError),
}

/// Returns a head as a client gets it, with what it must say of its body and of the time (RFC 9110 6.6.1 and 8.6).
pub(super) fn head(head: ResponseHead, body: &ResponseBody) -> Response<()> {
    let mut parts = head.into_parts();
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        let headers = &mut parts.headers;
        headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    parts.headers.entry(DATE).or_insert_with(|| {
        HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
            .expect("a date is written in visible ASCII characters")
    });
    Response::from_parts(parts, ())
}

/// An answer's body on its way.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: ResponseBody,
    /// What waits for the client's window, and whether it is the last.
    waiting: Option<(Bytes, bool)>,
}

impl Sending {
    pub(super) fn new(stream: SendStream<Bytes>, body: ResponseBody) -> Self {
        Self {
            stream,
            body,
            waiting: None,
        }
    }

    /// Sends as much as the client takes now; ready when all is sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if let Poll::Ready(reason) = self.stream.poll_reset(cx)? {
                return Poll::Ready(Err(Broken::Reset(reason)));
            }
            if self.waiting.is_some() {
                ready!(self.poll_window(cx))?;
            }
            if let Some((data, is_last)) = self.waiting.take() {
                self.stream.send_data(data, is_last)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => {
                    // Of the window of all streams one takes no more than it needs to be woken: the rest is asked for with the data.
                    if !data.is_empty() {
                        self.stream.reserve_capacity(1);
                    }
                    let is_last = self.body.is_end_stream();
                    self.waiting = Some((data, is_last));
                }
                Ok(Err(frame)) => {
                    self.stream.reserve_capacity(0);
                    let trailers = frame.into_trailers().unwrap_or_default();
                    self.stream.send_trailers(trailers)?;
                    return Poll::Ready(Ok(()));
                }
                Err(error) => {
                    self.stream.send_reset(error.reason());
                    return Poll::Ready(Err(Broken::Answer(error)));
                }
            }
        }
    }

    /// Ready when what waits may be sent.
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let is_empty = self
            .waiting
            .as_ref()
            .is_none_or(|(data, _)| data.is_empty());
        while !is_empty && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(capacity) => drop(capacity?),
                None => return Poll::Ready(Err(Broken::Reset(Reason::CANCEL))),
            }
        }
        Poll::Ready(Ok(()))
    }
}
