//! The body of a request, on its way from a connection to whoever takes it.
//!
//! The connection reads only what is asked for. Both sides are mostly one task, and then nobody is woken: the connection looks
//! again after it has polled the request. A target that speaks HTTP/2 takes the body in a task of its own.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use crate::framing::{self, FramingError};
use crate::lock::lock;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A client's request has no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    #[error("the connection broke")]
    Connection(#[source] io::Error),
    #[error("the connection ended before it")]
    Ended,
    #[error(transparent)]
    Malformed(#[from] FramingError),
}

/// What the two sides hand each other.
#[derive(Debug, Default)]
struct Slot {
    wanted: bool,
    frame: Option<Frame<Bytes>>,
    broken: Option<BrokenBody>,
    ended: bool,
    taker: Option<Waker>,
    connection: Option<Waker>,
}

impl Slot {
    fn put(&mut self, next: Result<Option<Frame<Bytes>>, BrokenBody>, framing: &framing::Body) {
        match next {
            Ok(frame) => {
                self.frame = frame;
                self.ended = framing.is_complete();
            }
            Err(broken) => self.broken = Some(broken),
        }
    }

    /// Returns whether nothing will be put there any more.
    fn is_last(&self) -> bool {
        self.ended || self.broken.is_some()
    }
}

/// The side of whoever takes it.
#[derive(Debug)]
pub(crate) struct Http1Body {
    /// `None` when there is none.
    slot: Option<Arc<Mutex<Slot>>>,
    left: Option<u64>,
    ended: bool,
}

impl Http1Body {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let Some(slot) = &self.slot else {
            return Poll::Ready(None);
        };
        let mut slot = lock(slot);
        if let Some(frame) = slot.frame.take() {
            self.ended = slot.ended;
            if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
                *left = left.saturating_sub(data.len() as u64);
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(broken) = slot.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        if slot.ended {
            self.ended = true;
            return Poll::Ready(None);
        }
        slot.wanted = true;
        remember(&mut slot.taker, cx);
        wake_another(slot.connection.as_ref(), cx);
        Poll::Pending
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The side of the connection.
#[derive(Debug)]
pub(super) struct Feed {
    framing: framing::Body,
    /// The client waits to be told to go on.
    expects_continue: bool,
    /// `None` when there is nothing, or nothing more, to hand over.
    slot: Option<Arc<Mutex<Slot>>>,
}

impl Feed {
    /// Returns the two sides of a body. What has come of it with the head is handed over already: it can go on with the head, too.
    pub(super) fn new(
        mut framing: framing::Body,
        expects_continue: bool,
        input: &mut BytesMut,
    ) -> (Self, Http1Body) {
        let left = framing.length();
        let slot = (!framing.is_complete()).then(|| {
            let mut slot = Slot::default();
            slot.put(framing.next(input).map_err(BrokenBody::from), &framing);
            slot
        });
        let is_last = slot.as_ref().is_none_or(Slot::is_last);
        // Who has sent some of it has not waited.
        let waits = slot.as_ref().is_some_and(|slot| slot.frame.is_none());
        let slot = slot.map(|slot| Arc::new(Mutex::new(slot)));
        let body = Http1Body {
            ended: slot.is_none(),
            slot: slot.clone(),
            left,
        };
        let feed = Self {
            framing,
            expects_continue: expects_continue && waits,
            slot: slot.filter(|_| !is_last),
        };
        (feed, body)
    }

    /// Returns whether all of the body has been read: what comes now is another request.
    pub(super) fn is_over(&self) -> bool {
        self.framing.is_complete()
    }

    /// The answer has begun: who waits to be told to go on has been told something else.
    pub(super) fn is_answered(&mut self) {
        self.expects_continue = false;
    }

    /// Hands over the next frame if it is wanted and there is one; then whoever takes it is to be polled.
    pub(super) fn poll<S>(
        &mut self,
        connection: &mut Connection<S>,
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(shared) = &self.slot else {
            return Poll::Pending;
        };
        {
            let mut slot = lock(shared);
            if !slot.wanted {
                remember(&mut slot.connection, cx);
                return Poll::Pending;
            }
        }
        if std::mem::take(&mut self.expects_continue) {
            connection.output.bytes().extend_from_slice(CONTINUE);
        }
        let next = ready!(next(&mut self.framing, connection, cx));
        let mut slot = lock(shared);
        slot.wanted = false;
        slot.put(next, &self.framing);
        let is_last = slot.is_last();
        wake_another(slot.taker.as_ref(), cx);
        drop(slot);
        if is_last {
            self.slot = None;
        }
        Poll::Ready(())
    }
}

impl Drop for Feed {
    /// Whoever still takes the body, in another task, is told that there is no more of it.
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            let mut slot = lock(slot);
            slot.broken = Some(BrokenBody::Ended);
            if let Some(taker) = slot.taker.take() {
                taker.wake();
            }
        }
    }
}

/// Reads the next frame; `None` at the end.
fn next<S>(
    framing: &mut framing::Body,
    connection: &mut Connection<S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, BrokenBody>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Some(frame) = framing.next(&mut connection.input)? {
            return Poll::Ready(Ok(Some(frame)));
        }
        if framing.is_complete() {
            return Poll::Ready(Ok(None));
        }
        match ready!(connection.poll_read_body(framing.length(), cx)) {
            Ok(0) => return Poll::Ready(Err(BrokenBody::Ended)),
            Ok(_) => {}
            Err(error) => return Poll::Ready(Err(BrokenBody::Connection(error))),
        }
    }
}

fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

/// Wakes who waits in another task than this one.
fn wake_another(waker: Option<&Waker>, cx: &Context<'_>) {
    if let Some(waker) = waker
        && !waker.will_wake(cx.waker())
    {
        waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_a_body_in_another_task_is_told_when_its_connection_is_gone() {
        let (feed, mut body) = Feed::new(framing::Body::Length(5), false, &mut BytesMut::new());
        let taking = tokio::spawn(std::future::poll_fn(move |cx| body.poll_frame(cx)));
        tokio::task::yield_now().await;
        drop(feed);
        let taken = taking.await.unwrap();
        assert!(matches!(taken, Some(Err(BrokenBody::Ended))), "{taken:?}");
    }

    #[test]
    fn what_came_with_the_head_is_there_at_once() {
        let mut input = BytesMut::from("hello, and the next");
        let (feed, mut body) = Feed::new(framing::Body::Length(5), true, &mut input);
        assert!(feed.is_over() && !body.is_end_stream());
        let cx = &mut Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = body.poll_frame(cx) else {
            panic!("a frame is there");
        };
        assert_eq!(frame.into_data().unwrap(), "hello");
        assert!(body.is_end_stream());
        assert_eq!(input, ", and the next");
    }
}
