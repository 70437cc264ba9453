//! Requests and answers on one connection, one after the other.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::SERVER;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{Asked, Framing};
use super::body::Feed;
use super::connection::Connection;
use super::head::{self, Head, Refused};
use crate::client::{Client, PREFACE};
use crate::framing;
use crate::proxy::{self, BodyError, Reply, ResponseBody};
use crate::response::{Headers, ResponseHead};
use crate::traffic::{Answer, By};

/// How a conversation has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With an answer that was the last, or between two requests.
    Closed,
    /// With one behind which something may still come that nobody reads.
    Unread,
    /// The answer was that the connection is a tunnel now.
    Switched,
    /// It has not begun: its client speaks HTTP/2.
    Http2,
}

/// Why a conversation broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection broke")]
    Connection(#[from] io::Error),
    #[error("the client hung up")]
    HungUp,
    #[error("the answer broke off")]
    Answer(#[source] BodyError),
}

/// Answers requests until one of them is the last. `is_first`: the client may begin with HTTP/2 instead.
pub(super) async fn run<S>(
    connection: &mut Connection<S>,
    mut is_first: bool,
) -> Result<Ended, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = Arc::clone(&connection.client);
    loop {
        let mut looked_at = 0;
        let next = std::future::poll_fn(|cx| poll_head(connection, &mut looked_at, is_first, cx));
        let head = match next.await {
            Ok(head) => head,
            Err(Stop::Http2) => return Ok(Ended::Http2),
            Err(Stop::Over) => return Ok(Ended::Closed),
            Err(Stop::Broken(error)) => return Err(error.into()),
            Err(Stop::Refused(refused)) => {
                refuse(connection, refused.status());
                std::future::poll_fn(|cx| connection.poll_send(cx)).await?;
                return Ok(Ended::Unread);
            }
        };
        is_first = false;
        client.has_had_one_more();
        let ended = exchange(connection, &client, head).await?;
        if let Some(ended) = ended {
            return Ok(ended);
        }
        if !connection.input.is_empty() {
            // Some of the next request has come already.
            client.link.has_read(connection.input.len());
        }
    }
}

/// What comes in the place of a head.
enum Stop {
    Http2,
    Refused(Refused),
    Over,
    Broken(io::Error),
}

fn poll_head<S>(
    connection: &mut Connection<S>,
    looked_at: &mut usize,
    may_be_http2: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Head, Stop>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = &connection.client;
    let most_bytes = client.shared.config.max_header_bytes;
    // It may have been closed while the last answer was under way.
    if connection.input.is_empty() && client.door.closed.is_cancelled() {
        return Poll::Ready(Err(Stop::Over));
    }
    loop {
        let input = &mut connection.input;
        let is_preface = may_be_http2 && !input.is_empty() && {
            let begins = &input[..input.len().min(PREFACE.len())];
            PREFACE.starts_with(begins)
        };
        if is_preface && input.len() >= PREFACE.len() {
            return Poll::Ready(Err(Stop::Http2));
        }
        if !is_preface && !input.is_empty() {
            match head::take(input, looked_at, most_bytes) {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(refused) => return Poll::Ready(Err(Stop::Refused(refused))),
            }
        }
        match ready!(connection.poll_read(cx)) {
            Ok(0) if connection.input.is_empty() => return Poll::Ready(Err(Stop::Over)),
            Ok(0) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                return Poll::Ready(Err(Stop::Broken(error)));
            }
            Ok(_) => {}
            Err(error) => return Poll::Ready(Err(Stop::Broken(error))),
        }
    }
}

/// Writes an answer without a body, after which the connection ends.
pub(super) fn refuse<S>(connection: &mut Connection<S>, status: StatusCode)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = &connection.client;
    let traffic = &client.door.traffic;
    let answer = Answer::new(By::LoadBalancer, status, Duration::ZERO);
    traffic.answered(client.worker, answer);
    let server = HeaderValue::from_static("roadstead");
    let head = ResponseHead {
        status,
        reason: None,
        headers: Headers::Map(HeaderMap::from_iter([(SERVER, server)])),
    };
    let bytes = connection.output.bytes();
    Asked::UNKNOWN.encode(&head, Framing::Exact(0), true, bytes);
}

/// Answers one request; returns how the conversation has ended, if it has.
async fn exchange<S>(
    connection: &mut Connection<S>,
    client: &Arc<Client>,
    head: Head,
) -> Result<Option<Ended>, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Head {
        parts,
        body,
        keep_alive,
        expects_continue,
    } = head;
    let asked = Asked::by(&parts);
    let (mut feed, body) = Feed::new(body, expects_continue, &mut connection.input);
    client.link.set_open_body(!body.is_end_stream());
    let reply = {
        let request = Request::from_parts(parts, body.into());
        let answering = proxy::answer(Arc::clone(client), request);
        let mut answering = pin!(answering);
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(answered) = answering.as_mut().poll(cx) {
                    return Poll::Ready(Ok(answered));
                }
                if feed.poll(connection, cx).is_pending() {
                    return poll_hang_up(connection, &feed, cx).map(Err);
                }
            }
        })
        .await?
    };
    feed.is_answered();
    let Reply {
        head,
        mut body,
        is_last,
    } = reply;
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let framing = asked.framing(&head, body.size_hint().exact());
    let is_last = is_last
        || !keep_alive
        || framing == Framing::UntilClose
        // Whatever of the body still comes would be read as the next request, or delay it.
        || client.link.has_an_open_body()
        || client.door.closing.is_cancelled()
        || client.is_worn();
    asked.encode(&head, framing, is_last, connection.output.bytes());
    let mut is_written = framing == Framing::NoBody || body.is_end_stream();
    if is_written && framing == Framing::Chunked {
        framing::last_chunk(connection.output.bytes(), None);
    }
    std::future::poll_fn(|cx| {
        loop {
            let mut waits = false;
            while !is_written && !waits && connection.output.has_room() {
                match poll_part(connection, &mut body, framing, cx) {
                    Poll::Ready(written) => is_written = written?,
                    Poll::Pending => waits = true,
                }
            }
            let sent = connection.poll_send(cx)?;
            if is_written {
                return sent.map(Ok);
            }
            if sent.is_ready() && !waits {
                continue;
            }
            if feed.poll(connection, cx).is_pending() {
                return poll_hang_up(connection, &feed, cx).map(Err);
            }
        }
    })
    .await?;
    Ok(if switches {
        Some(Ended::Switched)
    } else if !is_last {
        None
    } else if feed.is_over() && connection.input.is_empty() {
        Some(Ended::Closed)
    } else {
        Some(Ended::Unread)
    })
}

/// Writes the next part of a body; returns whether it was the last.
fn poll_part<S>(
    connection: &mut Connection<S>,
    body: &mut ResponseBody,
    framing: Framing,
    cx: &mut Context<'_>,
) -> Poll<Result<bool, Broken>> {
    let is_chunked = framing == Framing::Chunked;
    let output = &mut connection.output;
    let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) else {
        if is_chunked {
            framing::last_chunk(output.bytes(), None);
        }
        return Poll::Ready(Ok(true));
    };
    Poll::Ready(match frame.map_err(Broken::Answer)?.into_data() {
        Ok(data) => {
            let is_last = body.is_end_stream();
            output.push(data, framing, is_last);
            Ok(is_last)
        }
        Err(frame) => {
            if is_chunked {
                let trailers = frame.into_trailers().ok();
                framing::last_chunk(output.bytes(), trailers.as_ref());
            }
            Ok(true)
        }
    })
}

/// Ready when the client has hung up; whoever does not wait for the answer need not get one. Sends what is written meanwhile.
fn poll_hang_up<S>(
    connection: &mut Connection<S>,
    feed: &Feed,
    cx: &mut Context<'_>,
) -> Poll<Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !connection.output.is_empty()
        && let Poll::Ready(Err(error)) = connection.poll_send(cx)
    {
        return Poll::Ready(error.into());
    }
    // The next request waits in the input, and what is behind it in the kernel.
    while feed.is_over() && connection.input.is_empty() {
        match ready!(connection.poll_read(cx)) {
            Ok(0) => return Poll::Ready(Broken::HungUp),
            Ok(_) => {}
            Err(error) => return Poll::Ready(error.into()),
        }
    }
    Poll::Pending
}
