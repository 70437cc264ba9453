//! The body of a request to a target that speaks HTTP/2. Its beginning is kept until the target answers: a target may say that it has not
//! acted on a request of which it has taken some (RFC 9113 8.7), as servers of gRPC do whenever they end a connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use crate::io::{ReceiveError, Received};
use crate::lock::lock;

/// So much is kept: more than most calls of gRPC have.
const MOST_KEPT: usize = 16 * 1024;

/// What there is of a body, for all attempts to send it.
#[derive(Debug)]
pub(super) struct Supply(Arc<Mutex<Stock>>);

#[derive(Debug)]
struct Stock {
    received: Received,
    /// What this attempt has taken, if it is not too much.
    taken: Option<Vec<Part>>,
    kept_bytes: usize,
    /// What an attempt before it had taken.
    again: VecDeque<Part>,
    /// Which attempt may take more.
    attempt: usize,
}

#[derive(Debug, Clone)]
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Part {
    /// Returns what it takes to keep it.
    fn size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Data(data) => data.len(),
                Self::Trailers(trailers) => {
                    let fields = trailers.iter();
                    fields
                        .map(|(name, value)| name.as_str().len() + value.len())
                        .sum()
                }
            }
    }

    fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }

    fn of(frame: Frame<Bytes>) -> Option<Self> {
        let frame = match frame.into_data() {
            Ok(data) => return Some(Self::Data(data)),
            Err(frame) => frame,
        };
        frame.into_trailers().ok().map(Self::Trailers)
    }
}

impl Supply {
    pub(super) fn new(received: Received) -> Self {
        Self(Arc::new(Mutex::new(Stock {
            received,
            taken: Some(Vec::new()),
            kept_bytes: 0,
            again: VecDeque::new(),
            attempt: 0,
        })))
    }

    /// Returns the body for one more attempt, from its beginning. Whoever has one of an earlier attempt gets no more.
    pub(super) fn body(&self) -> OutgoingBody {
        let mut stock = lock(&self.0);
        stock.attempt += 1;
        if let Some(taken) = stock.taken.as_mut().map(std::mem::take) {
            // What was not taken again yet is behind it.
            for part in taken.into_iter().rev() {
                stock.again.push_front(part);
            }
            stock.kept_bytes = 0;
        }
        OutgoingBody(Some((Arc::clone(&self.0), stock.attempt)))
    }

    /// Returns whether it can still be sent from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        lock(&self.0).taken.is_some()
    }

    /// The target has acted on it: nothing of it is kept any more.
    pub(super) fn forget(&self) {
        lock(&self.0).taken = None;
    }
}

impl Stock {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Part, ReceiveError>>> {
        if let Some(part) = self.again.pop_front() {
            return Poll::Ready(Some(Ok(part)));
        }
        let frame = ready!(Pin::new(&mut self.received).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Part::of(frame).map(Ok),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
    }

    fn keep(&mut self, part: &Part) {
        self.kept_bytes += part.size();
        if self.kept_bytes > MOST_KEPT {
            self.taken = None;
        }
        if let Some(taken) = &mut self.taken {
            taken.push(part.clone());
        }
    }
}

/// The body of a request in one attempt to send it, or nothing.
#[derive(Debug)]
pub(crate) struct OutgoingBody(Option<(Arc<Mutex<Stock>>, usize)>);

impl OutgoingBody {
    pub(super) fn empty() -> Self {
        Self(None)
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = ReceiveError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        let Some((stock, attempt)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let mut stock = lock(stock);
        if stock.attempt != *attempt {
            // Its stream is over, and what is asked of it here nobody hears.
            return Poll::Pending;
        }
        let part = ready!(stock.poll_part(cx));
        if let Some(Ok(part)) = &part {
            stock.keep(part);
        }
        Poll::Ready(part.map(|part| part.map(Part::into_frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(stock, _)| {
            let stock = lock(stock);
            stock.again.is_empty() && stock.received.is_end_stream()
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some((stock, _)) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let stock = lock(stock);
        let again = stock.again.iter().map(|part| match part {
            Part::Data(data) => data.len() as u64,
            Part::Trailers(_) => 0,
        });
        let (again, rest) = (again.sum::<u64>(), stock.received.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(again + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(again + upper);
        }
        hint
    }
}
