//! A connection that waits for its next request, without what only a request needs.
//!
//! Most connections wait most of the time, so one that is new, or has been unused for a moment, has nothing but its stream; the
//! first bytes make an ordinary connection of it.

use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;

use super::Client;
use super::linger::farewell;
use super::link::Due;
use super::watch::{Notice, Watch};
use crate::framing::{Keep, LEAST_READ, poll_read_into};

/// Waits for the first bytes of the next request; `None` when the connection is over.
pub(super) async fn wait<S>(client: &Client, stream: &mut S) -> Option<BytesMut>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let alarm = &client.shared.alarm;
    let ring = pin!(alarm.listen());
    let timer = pin!(sleep_until(client.link.latest(Instant::now()).into()));
    let mut watch = Watch::new(alarm, ring, timer);
    let first = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(read) = poll_first(stream, cx) {
                return Poll::Ready(Some(read));
            }
            let over = match ready!(watch.poll(cx)) {
                Notice::Alarm => client.door.closed.is_given(),
                Notice::Timer => match client.link.due(Instant::now()) {
                    Due::At(moment) => {
                        watch.next(moment);
                        false
                    }
                    Due::Expired(_) | Due::Overdue => true,
                },
            };
            if over {
                return Poll::Ready(None);
            }
        }
    })
    .await;
    if first.is_none() {
        farewell(stream).await;
    }
    first?
}

fn poll_first<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
) -> Poll<Option<BytesMut>> {
    let mut first = BytesMut::new();
    // It may have ended, or be broken.
    let read = ready!(poll_read_into(
        stream,
        &mut first,
        LEAST_READ,
        Keep::Together,
        cx
    ))
    .unwrap_or(0);
    Poll::Ready((read > 0).then_some(first))
}
