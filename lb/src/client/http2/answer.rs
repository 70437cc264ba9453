//! Sends an answer on its stream, as fast as its client takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Body as _;

use crate::client::Client;
use crate::proxy::{BodyError, ResponseBody};
use crate::response::ResponseHead;

/// Why an answer ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the stream broke")]
    Stream(#[from] h2::Error),
    #[error("the client took its request back: {0}")]
    Reset(Reason),
    #[error("the stream has ended before")]
    Ended,
    #[error("the answer broke off")]
    Answer(#[source] BodyError),
}

/// Returns a head as a client gets it, with what it must say of its body and of the time (RFC 9110 6.6.1 and 8.6).
pub(super) fn head(head: ResponseHead, body: &ResponseBody) -> Response<()> {
    let mut parts = head.into_parts();
    // RFC 9110 8.6: there is none, and none is told.
    if parts.status == StatusCode::NO_CONTENT {
        parts.headers.remove(CONTENT_LENGTH);
    }
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

/// Returns an interim answer as a client gets it.
pub(super) fn interim(head: ResponseHead) -> Response<()> {
    Response::from_parts(head.into_parts(), ())
}

/// An answer's body on its way.
pub(super) struct Sending {
    client: Arc<Client>,
    stream: SendStream<Bytes>,
    body: ResponseBody,
    /// What waits for the client's window.
    waiting: Bytes,
    /// Nothing follows what waits.
    is_last: bool,
    /// The client has made us wait.
    is_blocked: bool,
}

impl Sending {
    pub(super) fn new(client: Arc<Client>, stream: SendStream<Bytes>, body: ResponseBody) -> Self {
        Self {
            client,
            stream,
            body,
            waiting: Bytes::new(),
            is_last: false,
            is_blocked: false,
        }
    }

    /// Sends as much as the client takes now; ready when all is sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if let Poll::Ready(reason) = self.stream.poll_reset(cx)? {
                return Poll::Ready(Err(Broken::Reset(reason)));
            }
            ready!(self.poll_waiting(cx))?;
            if self.is_last {
                return Poll::Ready(Ok(()));
            }
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                self.stream.send_data(Bytes::new(), true)?;
                return Poll::Ready(Ok(()));
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => {
                    self.is_last = self.body.is_end_stream();
                    if self.is_last && data.is_empty() {
                        self.stream.send_data(data, true)?;
                    } else {
                        self.waiting = data;
                    }
                }
                Ok(Err(frame)) => {
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

    /// Sends what waits as the client's window lets it; ready when nothing waits any more.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let link = &self.client.link;
        while !self.waiting.is_empty() {
            self.stream.reserve_capacity(self.waiting.len());
            let mut capacity = self.stream.capacity();
            while capacity == 0 {
                let Poll::Ready(more) = self.stream.poll_capacity(cx) else {
                    self.is_blocked = true;
                    link.has_written(&Poll::Pending);
                    return Poll::Pending;
                };
                capacity = more.ok_or(Broken::Ended)??;
            }
            let part = self.waiting.split_to(capacity.min(self.waiting.len()));
            if std::mem::take(&mut self.is_blocked) {
                link.has_written(&Poll::Ready(Ok(part.len())));
            }
            let is_end = self.is_last && self.waiting.is_empty();
            self.stream.send_data(part, is_end)?;
        }
        Poll::Ready(Ok(()))
    }
}
