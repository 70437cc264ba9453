//! A connection that has switched to another protocol: bytes, in both directions.
//!
//! The ticket is held until the end, so that a target waits for its tunnels as it waits for its requests, and cuts them at
//! the deadline. What nobody uses any more ends after the target timeout without a byte.

mod pump;

use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tracing::debug;

use super::Client;
use super::link::Due;
use super::watch::{Notice, Watch};
use crate::access_log::Entry;
use crate::io::Metered;
use crate::target::Ticket;
use crate::upstream::{Stream, Wire};
use pump::Pump;

/// What a tunnel has of its request.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) wire: Box<Wire>,
    pub(crate) ticket: Ticket,
    pub(crate) entry: Option<Box<Entry>>,
}

/// A side of a connection that is passed on. Whatever ends it before both sides have ended, which may be the end of the process, breaks it off:
/// an end in order would make a whole of what was sent.
pub(super) struct Side<S> {
    pub(super) stream: S,
    break_off: fn(&S),
    pub(super) is_whole: bool,
}

impl<S> Side<S> {
    pub(super) fn new(stream: S, break_off: fn(&S)) -> Self {
        Self {
            stream,
            break_off,
            is_whole: false,
        }
    }
}

impl<S> Drop for Side<S> {
    fn drop(&mut self) {
        if !self.is_whole {
            (self.break_off)(&self.stream);
        }
    }
}

impl Tunnel {
    /// Moves bytes until both sides have ended, one breaks off, or the time is over; returns whether both have ended. `read` came from
    /// the client before.
    pub(super) async fn run<S>(self, client: &Client, near: &mut Metered<S>, read: BytesMut) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self {
            wire,
            mut ticket,
            mut entry,
        } = self;
        let (far, behind) = wire.into_tunnel();
        let mut far = Side::new(far, Stream::break_off);
        let (mut up, mut down) = (Pump::new(read), Pump::new(behind));
        let begun = client.link.begin();
        let alarm = &client.shared.alarm;
        let ring = pin!(alarm.listen());
        let timer = pin!(sleep_until(client.link.latest(begun).into()));
        let mut watch = Watch::new(alarm, ring, timer);
        let is_whole = std::future::poll_fn(|cx| {
            loop {
                match (
                    up.poll(near, &mut far.stream, cx),
                    down.poll(&mut far.stream, near, cx),
                ) {
                    (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                        debug!(client = %client.address, error = &error as &dyn std::error::Error, "tunnel broke");
                        return Poll::Ready(false);
                    }
                    (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(true),
                    (Poll::Pending, _) | (_, Poll::Pending) => {}
                }
                match ready!(watch.poll(cx)) {
                    // A listener that closes waits for its tunnels.
                    Notice::Alarm if ticket.target().is_cut() => return Poll::Ready(false),
                    Notice::Alarm => {}
                    Notice::Timer => match client.link.due(Instant::now()) {
                        Due::At(moment) => watch.next(moment),
                        Due::Expired(_) | Due::Overdue => return Poll::Ready(false),
                    },
                }
            }
        })
        .await;
        far.is_whole = is_whole;
        if !ticket.target().is_cut() {
            ticket.served();
        }
        if let Some(entry) = &mut entry {
            entry.received(up.moved() as u64);
            entry.sent(down.moved());
        }
        client.link.end(Instant::now());
        is_whole
    }
}
