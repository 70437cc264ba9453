//! The body of an answer, on its way from a target to a client.
//!
//! It carries all that must last until the answer is complete: the connection to the target, which
//! it drives, the ticket, and the access log's entry.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LOCATION, SERVER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tracing::debug;

use super::Answered;
use super::exchange::Exchange;
use crate::client::{Client, Tunnel};
use crate::reason::Reason;
use crate::response::{ResponseHead, SERVER_NAME};
use crate::target::Ticket;
use crate::upstream::{self, ExchangeError, Incomplete, Rest, Wire};

/// Why an answer ends before its end. The client's connection is closed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the target broke off its answer")]
    BrokenOff(#[source] ExchangeError),
    /// It can only be told to the target, by closing the connection.
    #[error(transparent)]
    Client(Incomplete),
    #[error("nothing moved for the target timeout")]
    Expired,
    #[error("the target's deregistration delay is over")]
    Cut,
}

impl BodyError {
    fn for_the_log(&self) -> Reason {
        match self {
            Self::BrokenOff(_) => Reason::AnswerBrokenOff,
            Self::Client(_) => Reason::ClientClosed,
            Self::Expired => Reason::Stalled,
            Self::Cut => Reason::DeregistrationDelay,
        }
    }

    /// Returns with which reason a stream of HTTP/2 ends: that of the target, if it has given one.
    pub(crate) fn reason(&self) -> h2::Reason {
        match self {
            Self::BrokenOff(ExchangeError::Call(error)) => upstream::reason(error),
            Self::BrokenOff(_) | Self::Client(_) | Self::Expired | Self::Cut => None,
        }
        .unwrap_or(h2::Reason::INTERNAL_ERROR)
    }
}

/// The body of an answer.
pub(crate) struct ResponseBody {
    source: Source,
    exchange: Exchange,
}

enum Source {
    Target(Stream),
    Own(Bytes),
    Done,
}

struct Stream {
    rest: Rest,
    ticket: Ticket,
}

/// An answer on its way to a client.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: Box<ResponseHead>,
    pub(crate) body: ResponseBody,
    /// The connection ends after it.
    pub(crate) is_last: bool,
    /// What the connection becomes when its client has read that it does.
    pub(crate) tunnel: Option<Box<Tunnel>>,
}

impl Reply {
    fn new(head: Box<ResponseHead>, source: Source, exchange: Exchange) -> Self {
        Self {
            head,
            body: ResponseBody { source, exchange },
            is_last: false,
            tunnel: None,
        }
    }
}

/// Makes a target's answer into ours.
pub(super) fn relay(answered: Answered, mut exchange: Exchange) -> Reply {
    let Answered { head, rest, ticket } = answered;
    exchange.moved();
    exchange.answered(head.status, Some(&ticket));
    let stream = Stream { rest, ticket };
    let source = if stream.rest.is_complete() {
        exchange.client.link.leave();
        stream.finish(exchange.now(), None);
        Source::Done
    } else {
        Source::Target(stream)
    };
    Reply::new(head, source, exchange)
}

/// Passes on that a target has switched to another protocol. When the client knows, the connection is a tunnel.
pub(super) fn switch(
    head: Box<ResponseHead>,
    wire: Box<Wire>,
    ticket: Ticket,
    mut exchange: Exchange,
) -> Reply {
    exchange.answered(head.status, Some(&ticket));
    let entry = exchange.entry.take();
    let tunnel = Tunnel {
        wire,
        ticket,
        entry,
    };
    Reply {
        tunnel: Some(Box::new(tunnel)),
        ..Reply::new(head, Source::Done, exchange)
    }
}

/// Answers in a target's place. Where there must be no body its length is said all the same (RFC 9110 8.6), for with HTTP/2
/// nobody else leaves the body out.
pub(super) fn answer(
    mut response: Response<Bytes>,
    is_last: bool,
    mut exchange: Exchange,
) -> Reply {
    exchange.client.link.leave();
    response.headers_mut().insert(SERVER, SERVER_NAME);
    let status = response.status();
    exchange.answered(status, None);
    if let (Some(entry), Some(location)) = (&mut exchange.entry, response.headers().get(LOCATION)) {
        entry.redirect(location);
    }
    let source = if [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT].contains(&status) {
        Source::Done
    } else if exchange.is_head {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        Source::Done
    } else {
        Source::Own(std::mem::take(response.body_mut()))
    };
    let (head, _text) = response.into_parts();
    Reply {
        is_last,
        ..Reply::new(Box::new(head.into()), source, exchange)
    }
}

impl Stream {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &Client,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ticket.target().is_cut() {
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        if client.link.is_expired() {
            self.ticket.expired();
            return Poll::Ready(Some(Err(BodyError::Expired)));
        }
        let frame = ready!(self.rest.poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| match error {
                ExchangeError::Client(error) => BodyError::Client(error),
                error if client.link.is_broken_off() => BodyError::BrokenOff(error),
                error => {
                    self.ticket.failed();
                    BodyError::BrokenOff(error)
                }
            })
        }))
    }

    /// The target has done its part: its connection goes back to the pool.
    fn finish(mut self, now: Instant, cx: Option<&mut Context<'_>>) {
        self.ticket.served();
        let mut wire = match self.rest {
            Rest::Http1(wire) => wire,
            Rest::Http2(answer) => return answer.finish(),
        };
        let target = self.ticket.target();
        if let Some(cx) = cx
            && let Err(error) = wire.send_on(cx)
        {
            debug!(target = %target.address(), error = &error as &dyn std::error::Error, "the request is incomplete");
        }
        // Otherwise the target wants it closed, or does not want the rest of the request.
        if wire.is_idle() {
            let worker = self.ticket.worker();
            target
                .pool()
                .put(worker, wire, now, || target.is_draining());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match &mut this.source {
            Source::Done => None,
            Source::Own(text) => {
                let text = std::mem::take(text);
                this.source = Source::Done;
                Some(Ok(Frame::data(text)))
            }
            Source::Target(stream) => {
                let polled = stream.poll(cx, &this.exchange.client);
                let complete = match &polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(_))) => stream.rest.is_complete(),
                    Poll::Ready(Some(Err(_))) | Poll::Pending => false,
                };
                if !complete {
                    this.exchange.now = None;
                }
                let frame = ready!(polled);
                if (complete || matches!(frame, Some(Err(_))))
                    && let Source::Target(stream) =
                        std::mem::replace(&mut this.source, Source::Done)
                    && complete
                {
                    // Its deadline is none of ours any more, however long the client takes.
                    this.exchange.client.link.leave();
                    stream.finish(this.exchange.now(), Some(cx));
                }
                frame
            }
        };
        if let Some(Err(error)) = &frame {
            this.exchange.fell_short(error.for_the_log());
        }
        if let Some(Ok(frame)) = &frame {
            this.exchange.moved();
            let length = frame.data_ref().map_or(0, Bytes::len);
            this.exchange.sent += length as u64;
            if let Some(entry) = &mut this.exchange.entry {
                entry.sent(length);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Done => true,
            Source::Target(_) | Source::Own(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Done => SizeHint::with_exact(0),
            Source::Own(text) => SizeHint::with_exact(text.len() as u64),
            Source::Target(stream) => {
                let length = stream.rest.length();
                length.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            // Nobody takes the rest.
            self.exchange.fell_short(Reason::ClientClosed);
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ResponseBody")
            .field("complete", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}
