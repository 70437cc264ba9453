//! A client's connection with HTTP/1.1: one request at a time, until one of them makes a tunnel of it.
//!
//! `conversation` reads requests, and `exchange` answers them; here are the clock and the alarm, and what becomes of the connection as a
//! whole. What a connection needs only while it is in use is in one box, which it gives back when it has been unused for a while.

mod answer;
mod body;
mod connection;
mod conversation;
mod exchange;
mod head;
mod output;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tracing::debug;

use super::linger::{farewell, linger};
use super::link::Due;
use super::watch::{Notice, Watch};
use super::{Client, park};
use crate::io::Metered;
pub(crate) use body::{BrokenBody, Http1Body};
use connection::Connection;
use conversation::{Broken, Ended};

/// So many times `park_after` may pass between two looks at a connection that is in use.
const MOST_PARK_INTERVALS: u32 = 16;

/// Serves a connection to its end; returns it with what was read of it if its client begins with HTTP/2, and may.
pub(super) async fn serve<S>(
    client: Arc<Client>,
    mut stream: S,
    plain: bool,
) -> Option<(BytesMut, S)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let first = park::wait(&client, &mut stream).await?;
        client.link.has_read(first.len());
        let used = Connection::new(Arc::clone(&client), stream, first, plain);
        match Box::pin(talk(&client, used)).await {
            After::Nothing => return None,
            After::Http2(read, stream) => return Some((read, stream)),
            After::Pause(unused) => stream = unused,
        }
    }
}

/// What comes after a connection was in use.
enum After<S> {
    Nothing,
    Pause(S),
    Http2(BytesMut, S),
}

async fn talk<S>(client: &Arc<Client>, mut connection: Connection<S>) -> After<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match drive(client, &mut connection).await {
        End::Over(Ok(Ended::Closed)) | End::Quiet => farewell(&mut connection.stream).await,
        End::Over(Ok(Ended::Unread)) => linger(connection.stream).await,
        End::Over(Ok(Ended::Http2)) => return After::Http2(connection.input, connection.stream),
        End::Over(Ok(Ended::Switched(tunnel))) => {
            let Connection {
                stream,
                input,
                output,
                ..
            } = connection;
            drop(output);
            let mut stream = Metered::new(stream, Arc::clone(client));
            // Protocols that a client switches to, such as WebSocket, have a word of their own for the end.
            let _is_whole = tunnel.run(client, &mut stream, input).await;
        }
        // Clients hang up and send nonsense all the time: nothing that an operator could act on.
        End::Over(Err(error)) => {
            debug!(client = %client.address, error = &error as &dyn std::error::Error, "client connection broke");
        }
        End::Cut => {}
        End::Late => {
            debug!(client = %client.address, "half a request's head, and no more");
            // Unless it was refused already, and does not read.
            if connection.output.is_empty() {
                conversation::refuse(&mut connection, StatusCode::REQUEST_TIMEOUT);
            }
            // A client that does not take it at once has waited long enough.
            let _told = std::future::poll_fn(|cx| Poll::Ready(connection.poll_send(cx))).await;
            farewell(&mut connection.stream).await;
        }
        End::Unused => return After::Pause(connection.stream),
    }
    After::Nothing
}

/// How far a connection has been driven.
enum End {
    Over(Result<Ended, Broken>),
    /// It has not ended, and must.
    Cut,
    /// So must one that waits for a request.
    Quiet,
    /// So must one with half a request, whose client is told.
    Late,
    /// It waits for its next request, and has for a while.
    Unused,
}

/// Drives a connection until something is to be done with it as a whole.
async fn drive<S>(client: &Client, connection: &mut Connection<S>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let alarm = &client.shared.alarm;
    let mut conversation = pin!(conversation::run(connection));
    let ring = pin!(alarm.listen());
    let park_after = client.shared.config.park_after;
    let now = Instant::now();
    // Who makes many requests is looked at less and less often.
    let mut look_after = park_after;
    let first = client.link.latest(now).min(now + look_after);
    let timer = pin!(sleep_until(first.into()));
    let mut watch = Watch::new(alarm, ring, timer);
    let mut alarmed = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = conversation.as_mut().poll(cx) {
                return Poll::Ready(End::Over(ended));
            }
            if std::mem::take(&mut alarmed) && client.link.is_cut() {
                // The request saw for itself that it is cut, and cannot answer: its client does not read.
                return Poll::Ready(End::Cut);
            }
            match ready!(watch.poll(cx)) {
                // The conversation sees for itself whether its door is closed.
                Notice::Alarm => alarmed = true,
                Notice::Timer => match client.link.due(Instant::now()) {
                    Due::At(_) if client.link.is_unused(Instant::now(), park_after) => {
                        return Poll::Ready(End::Unused);
                    }
                    Due::At(moment) => {
                        look_after = (2 * look_after).min(MOST_PARK_INTERVALS * park_after);
                        watch.next(moment.min(Instant::now() + look_after));
                    }
                    Due::Expired(moment) => watch.next(moment),
                    Due::Overdue if client.link.has_half_a_head() => {
                        return Poll::Ready(End::Late);
                    }
                    Due::Overdue if client.link.waits_for_a_head() => {
                        return Poll::Ready(End::Quiet);
                    }
                    Due::Overdue => return Poll::Ready(End::Cut),
                },
            }
        }
    })
    .await
}
