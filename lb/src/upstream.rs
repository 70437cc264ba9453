//! One connection to a target, and HTTP/1.1 on it, until the target switches to another protocol.
//!
//! The request's own task moves the bytes in both directions: no task for the connection, no channel
//! between the two. A connection in the pool is watched by nobody; what has happened to it meanwhile is
//! seen when it is next used.

mod answer;
#[cfg(test)]
mod fuzz;
mod head;
mod http2;
mod outgoing;
mod pool;
mod rest;
mod stacks;
mod stream;
mod upgrade;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, StatusCode};
use hyper::body::Frame;
use tokio::io::AsyncWrite as _;

use crate::framing::{Appetite, Body, Keep, LEAST_READ, poll_read_into};
use crate::response::ResponseHead;
use crate::tls::Connector;
use answer::{Head, Malformed, Taken, take_head};
pub(crate) use head::{Forwarded, X_FORWARDED_FOR};
pub(crate) use http2::{Call, CallAnswer, Http2Pool, Slot, reason};
pub(crate) use outgoing::{Incomplete, Outgoing};
use outgoing::{RequestBody, SendError};
pub(crate) use pool::Pool;
pub(crate) use rest::Rest;
#[cfg(test)]
pub(crate) use stacks::Stacks;
pub(crate) use stream::{Stream, Transport};

/// What a target speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Http1,
    /// By prior knowledge, or as TLS agrees upon it.
    Http2,
}

/// Why an exchange with a target came to nothing, or broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the connection to the target broke")]
    Target(#[source] io::Error),
    #[error("the target closed the connection")]
    Closed,
    #[error("the target did not answer in HTTP/1.1")]
    Malformed(#[from] Malformed),
    #[error("the call to the target broke")]
    Call(#[source] hyper::Error),
    #[error(transparent)]
    Client(Incomplete),
}

/// An exchange failed before the head of an answer had come.
#[derive(Debug)]
pub(crate) struct SendFailure {
    pub(crate) error: ExchangeError,
    /// Whether any byte of the request was sent.
    pub(crate) sent: bool,
    /// Whether the target had begun to answer.
    pub(crate) answered: bool,
}

/// A connection to a target.
pub(crate) struct Wire {
    stream: Stream,
    /// Read and not taken yet.
    input: BytesMut,
    appetite: Appetite,
    /// How much was read since the connection was last put aside.
    read: usize,
    /// What of the request is still to be sent while its answer comes.
    rest: RequestBody,
    /// What of the answer is still to come.
    body: Body,
    /// Whether the connection can carry another exchange after this one.
    reusable: bool,
    /// When it was put into the pool; `None` for a new connection.
    unused_since: Option<Instant>,
}

impl Wire {
    /// Connects to a target; the caller sets the deadline.
    pub(crate) async fn connect(
        address: SocketAddr,
        connector: Option<&Connector>,
    ) -> io::Result<Box<Self>> {
        Ok(Box::new(Self {
            stream: Stream::connect(address, connector).await?,
            input: BytesMut::new(),
            appetite: Appetite::default(),
            read: 0,
            rest: RequestBody::default(),
            body: Body::NONE,
            reusable: true,
            unused_since: None,
        }))
    }

    /// Returns whether the last exchange is over in both directions, and the next may begin.
    pub(crate) fn is_idle(&self) -> bool {
        self.reusable && self.is_complete() && self.is_sent() && self.input.is_empty()
    }

    /// Returns whether the whole request is on its way.
    fn is_sent(&self) -> bool {
        self.rest.is_sent() && !self.stream.is_unsent()
    }

    /// Returns whether the answer has come to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.body.is_complete()
    }

    /// Returns how long the rest of the answer's body is, if that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// Puts the connection aside until its next request, without what only a large answer needed. The next one is expected to be
    /// as large as the last one: then one read has it.
    fn set_aside(&mut self, now: Instant) {
        self.unused_since = Some(now);
        self.appetite = Appetite::after(std::mem::take(&mut self.read));
        self.input = BytesMut::new();
    }

    /// Returns whether an unused connection is still open and silent, as far as the runtime has heard.
    fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// Returns whether an unused connection is still open and silent by the word of the kernel.
    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_open()
    }

    /// Sends a request; returns the head of the answer, and announces interim ones before. The body comes by [`Wire::poll_frame`].
    pub(crate) async fn send(
        &mut self,
        outgoing: &mut Outgoing,
        announce: &mut (dyn FnMut(ResponseHead) + Send),
    ) -> Result<Box<ResponseHead>, SendFailure> {
        let mut progress = Progress::default();
        let answered =
            std::future::poll_fn(|cx| self.poll_answer(outgoing, &mut progress, announce, cx));
        match answered.await {
            Ok(mut head) if head.response.status == StatusCode::SWITCHING_PROTOCOLS => {
                self.reusable = false;
                match outgoing.upgrade.as_ref().zip(head.upgrade.take()) {
                    Some((asked, taken)) if upgrade::agree(asked, &taken) => {
                        Ok(switching(head.response, taken))
                    }
                    Some(_) | None => Err(SendFailure {
                        error: ExchangeError::Malformed(Malformed::Upgrade),
                        sent: true,
                        answered: true,
                    }),
                }
            }
            Ok(head) => {
                let whole = progress.sent == outgoing.head.len() && progress.broken.is_none();
                self.reusable = head.keep_alive && whole;
                if whole {
                    self.rest = std::mem::take(&mut outgoing.body);
                }
                self.body = head.body;
                Ok(head.response)
            }
            Err(error) => Err(SendFailure {
                error,
                sent: progress.has_sent(),
                answered: progress.answered,
            }),
        }
    }

    fn poll_answer(
        &mut self,
        outgoing: &mut Outgoing,
        progress: &mut Progress,
        announce: &mut (dyn FnMut(ResponseHead) + Send),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, ExchangeError>> {
        if progress.broken.is_none() {
            match self.poll_send(outgoing, progress, cx) {
                Poll::Pending | Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(SendError::Client(error))) => {
                    return Poll::Ready(Err(ExchangeError::Client(error)));
                }
                Poll::Ready(Err(SendError::Target(error))) if !progress.has_sent() => {
                    return Poll::Ready(Err(ExchangeError::Target(error)));
                }
                // It may have answered before it stopped to read.
                Poll::Ready(Err(SendError::Target(error))) => progress.broken = Some(error),
            }
        }
        loop {
            match take_head(&mut self.input, &outgoing.method)? {
                Some(Taken::Final(head)) => return Poll::Ready(Ok(head)),
                Some(Taken::Interim(head)) => {
                    announce(*head);
                    continue;
                }
                None => {}
            }
            let error = match ready!(self.poll_fill(cx)) {
                Ok(0) => None,
                Ok(_) => {
                    progress.answered = true;
                    continue;
                }
                Err(error) => Some(error),
            };
            let error = progress.broken.take().or(error);
            return Poll::Ready(Err(
                error.map_or(ExchangeError::Closed, ExchangeError::Target)
            ));
        }
    }

    fn poll_send(
        &mut self,
        outgoing: &mut Outgoing,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        if progress.sent == 0 {
            outgoing.gather(cx).map_err(SendError::Client)?;
        }
        while progress.sent < outgoing.head.len() {
            let left = &outgoing.head[progress.sent..];
            progress.uncertain = !self.stream.is_all_or_nothing(left.len());
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, left));
            progress.sent += written.map_err(SendError::Target)?;
        }
        outgoing.body.poll_send(&mut self.stream, cx)
    }

    /// Returns the connection after its target has switched to another protocol, with what it has sent since.
    pub(crate) fn into_tunnel(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }

    /// Returns the next frame of the answer's body, and goes on sending what is left of the request.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        self.send_on(cx)?;
        loop {
            if let Some(frame) = self.body.next(&mut self.input).map_err(Malformed::from)? {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.body.is_complete() {
                return Poll::Ready(None);
            }
            match ready!(self.poll_fill(cx)).map_err(ExchangeError::Target)? {
                0 if matches!(self.body, Body::UntilClose) => {
                    self.body = Body::NONE;
                    return Poll::Ready(None);
                }
                0 => return Poll::Ready(Some(Err(ExchangeError::Closed))),
                _ => {}
            }
        }
    }

    /// Sends what is left of the request, as far as it goes now.
    ///
    /// # Errors
    /// Fails when the client broke it off: the target would wait for the rest.
    pub(crate) fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        if self.is_sent() {
            return Ok(());
        }
        match self.rest.poll_send(&mut self.stream, cx) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(SendError::Client(error))) => Err(ExchangeError::Client(error)),
            // The target does not want the rest; what it answers counts.
            Poll::Ready(Err(SendError::Target(_))) => {
                self.reusable = false;
                self.rest = RequestBody::default();
                Ok(())
            }
        }
    }

    /// Reads what there is; returns how much, and zero at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.appetite.room(self.length());
        if room > LEAST_READ {
            // A connection that waits holds no buffer for it.
            ready!(self.stream.poll_read_ready(cx))?;
        }
        let Self { stream, input, .. } = self;
        let polled = poll_read_into(stream, input, room, Keep::Together, cx);
        if polled.is_pending() && input.is_empty() {
            // Nor does one over TLS, of which only the read has told.
            *input = BytesMut::new();
        }
        let read = ready!(polled)?;
        self.appetite.has_read(read, room);
        self.read = self.read.saturating_add(read);
        if room > 2 * LEAST_READ && read <= LEAST_READ {
            // More was expected. What is little keeps no large buffer, however long its client takes.
            self.input = BytesMut::from(&self.input[..]);
            self.appetite = Appetite::default();
        }
        Poll::Ready(Ok(read))
    }
}

/// Returns the head of an answer with what it says to this hop, which the next one must hear.
fn switching(mut head: Box<ResponseHead>, protocol: HeaderValue) -> Box<ResponseHead> {
    let upgrade = HeaderValue::from_static("upgrade");
    head.headers.append(CONNECTION, upgrade);
    head.headers.append(UPGRADE, protocol);
    head
}

/// How far an exchange has come.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes of the head that were sent.
    sent: usize,
    /// Whether more may have been sent than is known.
    uncertain: bool,
    /// Why nothing more is sent.
    broken: Option<io::Error>,
    answered: bool,
}

impl Progress {
    /// Returns whether any of the request may have been sent.
    fn has_sent(&self) -> bool {
        self.sent > 0 || self.uncertain
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wire")
            .field("body", &self.body)
            .field("reusable", &self.reusable)
            .field("unused_since", &self.unused_since)
            .finish_non_exhaustive()
    }
}
