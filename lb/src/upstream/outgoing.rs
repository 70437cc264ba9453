//! A request on its way to a target.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, Method, request};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use super::head::{Forwarded, Framing, encode};
use super::hop;

/// A body that is this short and at hand goes with the head, in one `send`.
const JOINED: usize = 2048;
/// So much of a body waits here to be written; then its client has to wait.
const MOST_WAITING: usize = 64 * 1024;
const MOST_SLICES: usize = 16;

/// A request as it is written to a target; it can be written again as long as nothing of its body has
/// been taken.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// With as much of the body as was at hand.
    pub(super) head: Vec<u8>,
    pub(super) body: RequestBody,
    pub(super) method: Method,
    replayable: bool,
}

impl Outgoing {
    /// Returns a request as its target gets it.
    pub(crate) fn new(head: &request::Parts, body: Incoming, forwarded: Forwarded<'_>) -> Self {
        let framing = if body.is_end_stream() {
            Framing::NoBody
        } else if body.size_hint().exact().is_some() {
            Framing::Length
        } else {
            Framing::Chunked
        };
        // Safe (RFC 9110 9.2.1), so that there is nothing to act on, and without a body.
        let replayable = head.method.is_safe() && framing == Framing::NoBody;
        Self {
            head: encode(head, forwarded, framing),
            body: RequestBody {
                incoming: (framing != Framing::NoBody).then_some(body),
                chunked: framing == Framing::Chunked,
                queue: VecDeque::new(),
            },
            method: head.method.clone(),
            replayable,
        }
    }

    /// Returns whether it may be sent to a target that may have seen it before.
    pub(crate) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// Takes a short body that is at hand together with the head. One that its client holds back until
    /// it is asked for is left alone: there may be no target for it.
    ///
    /// # Errors
    /// Fails when the client broke it off.
    pub(crate) fn gather(
        &mut self,
        head: &request::Parts,
        cx: &mut Context<'_>,
    ) -> hyper::Result<()> {
        if self.body.incoming.is_none() || head.headers.contains_key(EXPECT) {
            return Ok(());
        }
        self.body.take_in(cx)?;
        if self.head.len() + self.body.waiting() <= JOINED {
            for part in self.body.queue.drain(..) {
                self.head.extend_from_slice(&part);
            }
        }
        Ok(())
    }
}

/// What of a request's body is still to be sent.
#[derive(Debug, Default)]
pub(super) struct RequestBody {
    /// `None` when the client has sent all of it.
    incoming: Option<Incoming>,
    chunked: bool,
    /// Framed, and next to be written.
    queue: VecDeque<Bytes>,
}

/// Why a request cannot be sent on.
#[derive(Debug)]
pub(super) enum SendError {
    Target(io::Error),
    Client(hyper::Error),
}

impl RequestBody {
    pub(super) fn is_sent(&self) -> bool {
        self.incoming.is_none() && self.queue.is_empty()
    }

    /// Writes as much as can be written now; ready when everything is.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            self.take_in(cx).map_err(SendError::Client)?;
            if self.queue.is_empty() {
                return match self.incoming {
                    Some(_) => Poll::Pending,
                    None => Poll::Ready(Ok(())),
                };
            }
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            for (slice, part) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(part);
            }
            let written = Pin::new(&mut *stream).poll_write_vectored(cx, &slices);
            let written = ready!(written).map_err(SendError::Target)?;
            self.written(written);
        }
    }

    /// Takes what the client has sent, up to a bound.
    fn take_in(&mut self, cx: &mut Context<'_>) -> hyper::Result<()> {
        while self.waiting() < MOST_WAITING
            && let Some(incoming) = &mut self.incoming
        {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) => {
                    // Known at once, so that the end is not written by itself.
                    let ended = incoming.is_end_stream();
                    let trailers = self.push(frame?);
                    if ended || trailers.is_some() {
                        self.end(trailers.as_ref());
                    }
                }
                Poll::Ready(None) => self.end(None),
            }
        }
        Ok(())
    }

    /// Queues data; gives trailers back.
    fn push(&mut self, frame: Frame<Bytes>) -> Option<HeaderMap> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return frame.into_trailers().ok(),
        };
        if data.is_empty() {
            // As a chunk, it would be the end.
        } else if self.chunked {
            self.queue.push_back(format!("{:x}\r\n", data.len()).into());
            self.queue.push_back(data);
            self.queue.push_back(Bytes::from_static(b"\r\n"));
        } else {
            self.queue.push_back(data);
        }
        None
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.incoming = None;
        match trailers {
            _ if !self.chunked => {}
            None => self.queue.push_back(Bytes::from_static(b"0\r\n\r\n")),
            Some(trailers) => self.queue.push_back(last_chunk(trailers).into()),
        }
    }

    fn waiting(&self) -> usize {
        self.queue.iter().map(Bytes::len).sum()
    }

    fn written(&mut self, mut count: usize) {
        while let Some(front) = self.queue.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.queue.pop_front();
        }
    }
}

fn last_chunk(trailers: &HeaderMap) -> Vec<u8> {
    let mut bytes = b"0\r\n".to_vec();
    for (name, value) in trailers.iter().filter(|(name, _)| hop::may_trail(name)) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}
