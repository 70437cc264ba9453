//! A request on its way to a target.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::EXPECT;
use http::{HeaderMap, HeaderValue, Method, request};
use hyper::body::{Body as _, Frame};
use tokio::io::AsyncWrite as _;

use super::head::{Forwarded, Framing, encode};
use super::{Stream, upgrade};
use crate::framing::{self, JOINED};
use crate::io::{ReceiveError, Received};

/// So much of a body waits here to be written, in so many parts; then its client has to wait.
const MOST_WAITING: usize = 64 * 1024;
const MOST_PARTS: usize = 64;
/// Written at once.
const MOST_SLICES: usize = 16;

/// A request as it is written to a target; it can be written again as long as nothing of its body has
/// been taken.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// With as much of the body as was at hand.
    pub(super) head: Vec<u8>,
    pub(super) body: RequestBody,
    pub(super) method: Method,
    /// The protocols that its client would rather speak.
    pub(super) upgrade: Option<HeaderValue>,
    replayable: bool,
    /// Its client may hold the body back until it is asked for it.
    has_expectation: bool,
}

impl Outgoing {
    /// Returns a request as its target gets it.
    pub(crate) fn new(
        head: &request::Parts,
        body: Option<Received>,
        forwarded: Forwarded<'_>,
    ) -> Self {
        let left = body.as_ref().and_then(|body| body.size_hint().exact());
        let framing = match (&body, left) {
            (None, _) => Framing::NoBody,
            (Some(_), Some(_)) => Framing::Length,
            (Some(_), None) => Framing::Chunked,
        };
        // Safe (RFC 9110 9.2.1), so that there is nothing to act on, and without a body.
        let replayable = head.method.is_safe() && framing == Framing::NoBody;
        // With a body it is an ordinary request: a target may take the upgrade before it has read that.
        let upgrade = upgrade::asked(head).filter(|_| framing == Framing::NoBody);
        Self {
            head: encode(head, forwarded, framing, upgrade.as_ref()),
            body: RequestBody::new(body, left),
            method: head.method.clone(),
            upgrade,
            replayable,
            has_expectation: head.headers.contains_key(EXPECT),
        }
    }

    /// Returns whether it may be sent to a target that may have seen it before.
    pub(crate) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// Returns whether nothing can be sent before its client sends more.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.body.waits_for_client()
    }

    /// Takes a short body that is at hand together with the head. One that its client holds back until
    /// it is asked for is left alone: its target may answer without it.
    ///
    /// # Errors
    /// Fails when the client broke it off.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), Incomplete> {
        match &mut self.body.0 {
            Some(unsent) if !self.has_expectation => {
                unsent.take_in(cx)?;
                if self.head.len() + unsent.queue.length <= JOINED {
                    unsent.queue.move_to(&mut self.head);
                }
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What of a request's body is still to be sent. Most requests have none, and take no room for it.
#[derive(Debug, Default)]
pub(super) struct RequestBody(Option<Box<Unsent>>);

/// The rest of a body.
#[derive(Debug, Default)]
struct Unsent {
    /// `None` when the client has sent all of it.
    incoming: Option<Received>,
    /// How much is still to come, of a body with a length; one without is sent in chunks.
    left: Option<u64>,
    queue: Queue,
}

/// Why a request cannot be sent on.
#[derive(Debug)]
pub(super) enum SendError {
    Target(io::Error),
    Client(Incomplete),
}

/// A client sent less than it said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Incomplete {
    #[error("the client broke off its request")]
    BrokenOff(#[from] ReceiveError),
    #[error("the body of the request is {0} bytes shorter than its length")]
    Short(u64),
}

impl RequestBody {
    /// Returns the body of a request, of which so much is to come, if that is known.
    fn new(incoming: Option<Received>, left: Option<u64>) -> Self {
        Self(incoming.map(|incoming| {
            Box::new(Unsent {
                incoming: Some(incoming),
                left,
                queue: Queue::default(),
            })
        }))
    }

    pub(super) fn is_sent(&self) -> bool {
        self.0.as_ref().is_none_or(|unsent| unsent.is_sent())
    }

    fn waits_for_client(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|unsent| unsent.incoming.is_some() && unsent.queue.is_empty())
    }

    /// Sends as much as can be sent now; ready when everything is, and what was written before.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        match &mut self.0 {
            Some(unsent) => unsent.poll_send(stream, cx),
            None => flush(stream, cx),
        }
    }
}

fn flush(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
    Pin::new(stream).poll_flush(cx).map_err(SendError::Target)
}

impl Unsent {
    fn is_sent(&self) -> bool {
        self.incoming.is_none() && self.queue.is_empty()
    }

    fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        loop {
            self.take_in(cx).map_err(SendError::Client)?;
            if self.queue.is_empty() {
                ready!(flush(stream, cx))?;
                return match self.incoming {
                    Some(_) => Poll::Pending,
                    None => Poll::Ready(Ok(())),
                };
            }
            let slices = self.queue.slices();
            let written = Pin::new(&mut *stream).poll_write_vectored(cx, &slices);
            let written = ready!(written).map_err(SendError::Target)?;
            self.queue.advance(written);
        }
    }

    /// Takes what the client has sent, up to a bound.
    fn take_in(&mut self, cx: &mut Context<'_>) -> Result<(), Incomplete> {
        while !self.queue.is_full()
            && let Some(incoming) = &mut self.incoming
        {
            match Pin::new(&mut *incoming).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(frame)) => {
                    // Known at once, so that the end is not written by itself.
                    let ended = incoming.is_end_stream();
                    let trailers = self.push(frame?);
                    if ended || trailers.is_some() {
                        self.end(trailers.as_ref())?;
                    }
                }
                Poll::Ready(None) => self.end(None)?,
            }
        }
        Ok(())
    }

    /// Queues data; gives trailers back.
    fn push(&mut self, frame: Frame<Bytes>) -> Option<HeaderMap> {
        match frame.into_data() {
            Err(frame) => return frame.into_trailers().ok(),
            // As a chunk, it would be the end.
            Ok(data) if data.is_empty() => {}
            Ok(data) => match &mut self.left {
                Some(left) => {
                    *left = left.saturating_sub(data.len() as u64);
                    self.queue.push(data);
                }
                None => self.queue.push_chunk(data),
            },
        }
        None
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Incomplete> {
        match self.left {
            // The target would take the next request for the rest.
            Some(left) if left > 0 => return Err(Incomplete::Short(left)),
            Some(_) => {}
            None => self.queue.push_last_chunk(trailers),
        }
        self.incoming = None;
        Ok(())
    }
}

/// What is framed and waits to be written.
#[derive(Debug, Default)]
struct Queue {
    parts: VecDeque<Bytes>,
    /// Of all parts together.
    length: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn is_full(&self) -> bool {
        self.length >= MOST_WAITING || self.parts.len() >= MOST_PARTS
    }

    fn push(&mut self, part: Bytes) {
        self.length += part.len();
        self.parts.push_back(part);
    }

    fn push_chunk(&mut self, data: Bytes) {
        let mut size = Vec::new();
        framing::begin_chunk(&mut size, data.len());
        self.push(size.into());
        self.push(data);
        self.push(Bytes::from_static(b"\r\n"));
    }

    fn push_last_chunk(&mut self, trailers: Option<&HeaderMap>) {
        let mut bytes = Vec::new();
        framing::last_chunk(&mut bytes, trailers);
        self.push(bytes.into());
    }

    fn slices(&self) -> [IoSlice<'_>; MOST_SLICES] {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
        }
        slices
    }

    /// Drops what was written.
    fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(front) = self.parts.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.parts.pop_front();
        }
    }

    fn move_to(&mut self, bytes: &mut Vec<u8>) {
        for part in std::mem::take(self).parts {
            bytes.extend_from_slice(&part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(queue: &mut Queue) -> String {
        let mut bytes = Vec::new();
        queue.move_to(&mut bytes);
        assert!(queue.is_empty() && queue.length == 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_was_written_is_dropped_wherever_it_ends() {
        for count in 0..=11 {
            let mut queue = Queue::default();
            queue.push(Bytes::from_static(b"hello"));
            queue.push(Bytes::from_static(b" "));
            queue.push(Bytes::from_static(b"world"));
            queue.advance(count);
            assert_eq!(queue.length, 11 - count);
            assert_eq!(written(&mut queue), &"hello world"[count..]);
        }
    }

    #[test]
    fn many_small_parts_fill_the_queue_as_few_large_ones_do() {
        let mut small = Queue::default();
        while !small.is_full() {
            small.push_chunk(Bytes::from_static(b"x"));
        }
        assert!(small.parts.len() < MOST_PARTS + 3);
        let mut large = Queue::default();
        large.push(vec![0; MOST_WAITING].into());
        assert!(large.is_full());
    }

    #[test]
    fn chunks_are_framed_and_an_empty_one_is_not_the_end() {
        let mut body = Unsent::default();
        for data in ["", "hello, world"] {
            assert!(body.push(Frame::data(Bytes::from(data))).is_none());
        }
        body.end(None).unwrap();
        assert_eq!(written(&mut body.queue), "c\r\nhello, world\r\n0\r\n\r\n");
    }

    #[test]
    fn a_trailer_cannot_say_what_must_be_known_before() {
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "content-length", "transfer-encoding", "host"] {
            trailers.insert(name, "7".parse().unwrap());
        }
        let mut queue = Queue::default();
        queue.push_last_chunk(Some(&trailers));
        assert_eq!(written(&mut queue), "0\r\nx-sum: 7\r\n\r\n");
    }

    #[test]
    fn a_body_that_ends_before_its_length_is_never_whole() {
        let mut body = Unsent {
            left: Some(5),
            ..Unsent::default()
        };
        body.push(Frame::data(Bytes::from_static(b"hel")));
        let end = body.end(None);
        assert!(matches!(end, Err(Incomplete::Short(2))), "{end:?}");
        body.push(Frame::data(Bytes::from_static(b"lo")));
        body.end(None).unwrap();
    }
}
