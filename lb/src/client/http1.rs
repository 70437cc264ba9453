//! A client's connection with HTTP/1.1: one request at a time, until one of them makes a tunnel of it.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;
use tracing::debug;

use super::link::Due;
use super::rewind::Rewind;
use super::watch::{Notice, Watch};
use super::{Client, park};
use crate::io::Metered;
use crate::proxy::{self, LastAnswer};

/// RFC 9110 15.5.9: what a client is told whose request takes too long to come.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nServer: roadstead\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Serves a connection to its end; returns it if its client begins with HTTP/2.
pub(super) async fn serve<S>(client: Arc<Client>, stream: Rewind<S>) -> Option<Rewind<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = {
        let client = Arc::clone(&client);
        service_fn(move |request| answer(Arc::clone(&client), request))
    };
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .max_header_size(client.shared.config.max_header_bytes);
    let mut stream = stream;
    loop {
        let io = TokioIo::new(Metered::with_heads(stream, Arc::clone(&client)));
        let mut connection = builder.serve_connection(io, &service);
        let end = drive(&client, &mut connection).await;
        match end {
            End::Cut => return None,
            End::Late => {
                let mut late = connection.into_parts().io.into_inner();
                debug!(client = %client.address, "half a request's head, and no more");
                std::future::poll_fn(|cx| {
                    // A client that does not take it at once has waited long enough.
                    let _told = Pin::new(&mut late).poll_write(cx, TOO_LATE);
                    let _told = Pin::new(&mut late).poll_shutdown(cx);
                    Poll::Ready(())
                })
                .await;
                return None;
            }
            End::Unused => {
                let parts = connection.into_parts();
                let mut unused = parts.io.into_inner().into_inner().into_inner();
                let mut first = parts.read_buf;
                if first.is_empty() {
                    first = park::wait(&client, &mut unused).await?;
                }
                client.link.has_read(first.len());
                stream = Rewind::to(first, unused);
            }
            End::Over(Ok(())) => {
                let tunnel = client.take_tunnel()?;
                let parts = connection.into_parts();
                let stream = parts.io.into_inner().without_heads();
                // Apart, so that a connection without a tunnel has no room for it.
                Box::pin(tunnel.run(&client, stream, parts.read_buf)).await;
                return None;
            }
            End::Over(Err(error)) if error.is_parse_version_h2() => {
                let parts = connection.into_parts();
                let stream = parts.io.into_inner().into_inner();
                return stream
                    .is_http2()
                    .then(|| Rewind::to(parts.read_buf, stream.into_inner()));
            }
            // Clients hang up and send nonsense all the time: nothing that an operator could act on.
            End::Over(Err(error)) => {
                debug!(client = %client.address, error = &error as &dyn std::error::Error, "client connection broke");
                return None;
            }
        }
    }
}

/// Answers one request; with a door that closes it is the connection's last, and when the connection is worn, or the request
/// was not what it should be.
async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<proxy::ResponseBody>, Infallible> {
    let connection = Arc::clone(&client);
    connection.has_had_one_more();
    connection
        .link
        .set_open_body(!request.body().is_end_stream());
    let mut response = proxy::answer(client, request).await?;
    let is_last = response.extensions_mut().remove::<LastAnswer>().is_some()
        // Whatever of the body still comes would be read as the next request, or delay it.
        || connection.link.has_an_open_body()
        || connection.door.closing.is_cancelled()
        || connection.is_worn();
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// How far a connection has been driven.
enum End {
    Over(hyper::Result<()>),
    /// It has not ended, and must.
    Cut,
    /// So must one with half a request, whose client is told.
    Late,
    /// It waits for its next request, and has for a while.
    Unused,
}

/// Drives a connection until something is to be done with it as a whole.
async fn drive<I, S>(
    client: &Client,
    connection: &mut http1::Connection<TokioIo<Metered<I>>, S>,
) -> End
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = proxy::ResponseBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let alarm = &client.shared.alarm;
    let mut connection = Pin::new(connection);
    let ring = pin!(alarm.listen());
    let park_after = client.shared.config.park_after;
    let now = Instant::now();
    let first = client.link.latest(now).min(now + park_after);
    let timer = pin!(sleep_until(first.into()));
    let mut watch = Watch::new(alarm, ring, timer);
    let mut alarmed = false;
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Over(ended));
            }
            if std::mem::take(&mut alarmed) && client.link.is_cut() {
                // The request saw for itself that it is cut, and cannot answer: its client does not read.
                return Poll::Ready(End::Cut);
            }
            match ready!(watch.poll(cx)) {
                Notice::Alarm => {
                    alarmed = true;
                    if client.door.closed.is_cancelled() {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                Notice::Timer => match client.link.due(Instant::now()) {
                    Due::At(_) if client.link.is_unused(Instant::now(), park_after) => {
                        return Poll::Ready(End::Unused);
                    }
                    Due::At(moment) => watch.next(moment.min(Instant::now() + park_after)),
                    Due::Expired(moment) => watch.next(moment),
                    Due::Overdue if client.link.has_half_a_head() => {
                        return Poll::Ready(End::Late);
                    }
                    Due::Overdue => {
                        // One that is unused ends as its protocols have it; with TLS that is a farewell.
                        connection.as_mut().graceful_shutdown();
                        return match connection.as_mut().poll(cx) {
                            Poll::Ready(ended) => Poll::Ready(End::Over(ended)),
                            Poll::Pending => Poll::Ready(End::Cut),
                        };
                    }
                },
            }
        }
    })
    .await
}
