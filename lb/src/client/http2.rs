//! A client's connection with HTTP/2: many requests at a time.
//!
//! Each request is a task with a [`Client`] of its own, and so with its own clock and its own cut. The connection's task
//! has the timer and hears the alarm for all of them, and wakes those that must look up.

mod answer;
mod body;
mod connection;
mod gathered;
mod streams;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tracing::debug;

use super::Client;
use super::linger::linger;
use super::link::Due;
use super::watch::{Notice, Watch};
use crate::io::Metered;
pub(crate) use body::Http2Body;
use connection::Connection;
use gathered::Gathered;
use streams::Streams;

/// How long a client that is told to go may take to do so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve<S>(client: Arc<Client>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let streams = Streams::new(Arc::clone(&client));
    let stream = Gathered::new(Metered::new(stream, Arc::clone(&client)));
    let most_header_bytes = client.shared.config.max_header_bytes;
    let connection = Connection::new(stream.clone(), most_header_bytes);
    let ended = drive(&client, &streams, connection).await;
    streams.end();
    if let Err(error) = &ended {
        debug!(client = %client.address, error = error as &dyn std::error::Error, "client connection broke");
    }
    if !matches!(ended, Err(Broken::Stream(_))) {
        linger(stream).await;
    }
}

/// Why a connection broke.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error("what was written cannot be sent")]
    Stream(#[from] io::Error),
}

async fn drive<I>(
    client: &Client,
    streams: &Streams,
    mut connection: Connection<I>,
) -> Result<(), Broken>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let alarm = &client.shared.alarm;
    let ring = pin!(alarm.listen());
    let timer = pin!(sleep_until(client.link.latest(Instant::now()).into()));
    let mut watch = Watch::new(alarm, ring, timer);
    let (mut worn, mut leaving) = (false, false);
    std::future::poll_fn(|cx| {
        loop {
            let polled = connection.poll(streams, cx);
            // At the end there is a farewell to be sent, if its client takes it.
            let _unsent = connection.poll_send(cx)?;
            if let Poll::Ready(ended) = polled {
                return Poll::Ready(Ok(ended?));
            }
            if !worn && client.is_worn() {
                worn = true;
                connection.graceful_shutdown();
                continue;
            }
            match ready!(watch.poll(cx)) {
                Notice::Alarm => {
                    streams.look_up();
                    if client.door.closing.is_given() {
                        connection.graceful_shutdown();
                    }
                }
                Notice::Timer => {
                    let now = Instant::now();
                    let due = streams.due(now).unwrap_or_else(|| client.link.due(now));
                    match due {
                        Due::At(moment) | Due::Expired(moment) => watch.next(moment),
                        Due::Overdue if std::mem::replace(&mut leaving, true) => {
                            return Poll::Ready(Ok(()));
                        }
                        Due::Overdue => {
                            connection.graceful_shutdown();
                            watch.next(now + FAREWELL);
                        }
                    }
                }
            }
        }
    })
    .await
}
