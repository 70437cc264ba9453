//! A client's connection with HTTP/2: many requests at a time.
//!
//! Each request is a task with a [`Client`] of its own, and so with its own clock and its own cut. The connection's task
//! has the timer and hears the alarm for all of them, and wakes those that must look up.

mod gathered;
mod streams;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tracing::debug;

use super::Client;
use super::linger::linger;
use super::link::Due;
use super::watch::{Notice, Watch};
use crate::io::Metered;
use crate::proxy;
use gathered::Gathered;
use streams::Streams;

const MOST_STREAMS: u32 = 128;
/// Requests that are taken back before they were looked at (rapid reset); more end the connection.
const MOST_RESETS: usize = 20;
/// So much of a request's body, and of all of a connection together, may come before it is taken.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// So much of an answer waits for a client that does not read.
const SEND_BUFFER: usize = 64 * 1024;
/// Finds out that a client is gone while its request is slow.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client that is told to go may take to do so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve<S>(client: Arc<Client>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let streams = Streams::new(Arc::clone(&client));
    // Boxed: hyper moves it from hand to hand before it is in a task of its own.
    let service = service_fn(|request: Request<Incoming>| {
        Box::pin(async move {
            let client = streams::current();
            let (head, body) = request.into_parts();
            let reply = proxy::answer(client, Box::new(head), body.into()).await;
            let head = reply.head.into_parts();
            Ok::<_, Infallible>(Response::from_parts(head, reply.body))
        })
    });
    let stream = Gathered::new(Metered::new(stream, Arc::clone(&client)));
    let header_bytes = u32::try_from(client.shared.config.max_header_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_header_list_size(header_bytes)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream.clone()), service);
    let ended = drive(&client, &streams, connection, &stream).await;
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
    Http2(#[from] hyper::Error),
    #[error("what was written cannot be sent")]
    Stream(#[from] io::Error),
}

async fn drive<I, S>(
    client: &Client,
    streams: &Streams,
    connection: http2::Connection<TokioIo<Gathered<I>>, S, Streams>,
    stream: &Gathered<I>,
) -> Result<(), Broken>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = proxy::ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Streams: Http2ServerConnExec<S::Future, proxy::ResponseBody>,
{
    let alarm = &client.shared.alarm;
    let mut connection = pin!(connection);
    let ring = pin!(alarm.listen());
    let timer = pin!(sleep_until(client.link.latest(Instant::now()).into()));
    let mut watch = Watch::new(alarm, ring, timer);
    let (mut worn, mut leaving) = (false, false);
    std::future::poll_fn(|cx| {
        loop {
            let polled = connection.as_mut().poll(cx);
            // At the end there is a farewell to be sent, if its client takes it.
            let _unsent = stream.poll_send(cx)?;
            if let Poll::Ready(ended) = polled {
                return Poll::Ready(Ok(ended?));
            }
            if !worn && client.is_worn() {
                worn = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            match ready!(watch.poll(cx)) {
                Notice::Alarm => {
                    streams.look_up();
                    if client.door.closing.is_given() {
                        connection.as_mut().graceful_shutdown();
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
                            connection.as_mut().graceful_shutdown();
                            watch.next(now + FAREWELL);
                        }
                    }
                }
            }
        }
    })
    .await
}
