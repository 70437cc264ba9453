//! The body of an answer, on its way from a target to a client.
//!
//! It carries all that must last until the answer is complete: the connection to the target, which
//! it drives, the ticket, and the access log's entry.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tracing::debug;

use super::Answered;
use super::refusal::Refusal;
use crate::access_log::Entry;
use crate::client::Client;
use crate::target::{Target, Ticket};
use crate::upstream::{ExchangeError, Wire};

/// A request from its head to the last byte of its answer.
pub(super) struct Exchange {
    client: Arc<Client>,
    entry: Option<Box<Entry>>,
}

impl Exchange {
    pub(super) fn new(client: Arc<Client>, entry: Option<Box<Entry>>) -> Self {
        Self { client, entry }
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The request goes to this target now.
    pub(super) fn enter(&mut self, target: &Arc<Target>) {
        self.client.link.enter(target);
        if let Some(entry) = &mut self.entry {
            entry.target(target.address());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // The access log's entry writes itself.
        self.client.link.end();
    }
}

/// Why an answer ends before its end. The client's connection is closed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the target broke off its answer")]
    BrokenOff(#[source] ExchangeError),
    #[error("nothing moved for the target timeout")]
    Expired,
    #[error("the target's deregistration delay is over")]
    Cut,
}

/// The body of an answer.
pub(crate) struct ResponseBody {
    source: Source,
    exchange: Exchange,
}

enum Source {
    Target(Box<Stream>),
    Own(Bytes),
    Done,
}

struct Stream {
    /// `None` once the target has done its part.
    wire: Option<Wire>,
    ticket: Ticket,
}

/// Makes a target's answer into ours.
pub(super) fn relay(answered: Answered, mut exchange: Exchange) -> Response<ResponseBody> {
    let Answered { head, wire, ticket } = answered;
    if let Some(entry) = &mut exchange.entry {
        entry.status(head.status);
    }
    let is_complete = wire.is_complete();
    let mut stream = Stream {
        wire: Some(wire),
        ticket,
    };
    let source = if is_complete {
        stream.finish(None);
        Source::Done
    } else {
        Source::Target(Box::new(stream))
    };
    Response::from_parts(head, ResponseBody { source, exchange })
}

/// Answers in a target's place.
pub(super) fn refuse(refusal: Refusal, mut exchange: Exchange) -> Response<ResponseBody> {
    let response = refusal.response();
    exchange.client.link.leave();
    if let Some(entry) = &mut exchange.entry {
        entry.status(response.status());
    }
    response.map(|text| ResponseBody {
        source: Source::Own(text),
        exchange,
    })
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
            self.ticket.failed();
            return Poll::Ready(Some(Err(BodyError::Expired)));
        }
        let Some(wire) = &mut self.wire else {
            return Poll::Ready(None);
        };
        let frame = ready!(wire.poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                self.ticket.failed();
                BodyError::BrokenOff(error)
            })
        }))
    }

    /// Returns whether the frame that was just taken was the last one.
    fn is_complete(&self) -> bool {
        self.wire.as_ref().is_none_or(Wire::is_complete)
    }

    /// The target has done its part: its connection goes back to the pool.
    fn finish(&mut self, cx: Option<&mut Context<'_>>) {
        self.ticket.served();
        let Some(mut wire) = self.wire.take() else {
            return;
        };
        if let Some(cx) = cx
            && let Err(error) = wire.send_on(cx)
        {
            debug!(target = %self.ticket.target().address(), error = &error as &dyn std::error::Error, "the request is incomplete");
        }
        // Otherwise the target wants it closed, or does not want the rest of the request.
        if wire.is_idle() {
            let target = self.ticket.target();
            let worker = self.ticket.worker();
            target.pool().put(worker, wire, || target.is_draining());
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
                let frame = ready!(stream.poll(cx, &this.exchange.client));
                let last = match &frame {
                    None => true,
                    Some(Ok(_)) => stream.is_complete(),
                    Some(Err(_)) => false,
                };
                if last {
                    stream.finish(Some(cx));
                }
                if last || matches!(frame, Some(Err(_))) {
                    this.source = Source::Done;
                }
                frame
            }
        };
        if let (Some(entry), Some(Ok(frame))) = (&mut this.exchange.entry, &frame) {
            entry.sent(frame.data_ref().map_or(0, Bytes::len));
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
                let length = stream.wire.as_ref().and_then(Wire::length);
                length.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
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
