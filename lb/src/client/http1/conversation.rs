//! Requests and answers on one connection, one after the other.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::SERVER;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{Asked, Framing};
use super::connection::Connection;
use super::exchange::exchange;
use super::head::{self, Head, Refused};
use crate::client::{PREFACE, Tunnel};
use crate::proxy::BodyError;
use crate::response::{Headers, ResponseHead, SERVER_NAME};
use crate::traffic::{Answer, By};

/// How a conversation has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With an answer that was the last, or between two requests.
    Closed,
    /// With one behind which something may still come that nobody reads.
    Unread,
    /// The answer was that the connection is this now.
    Switched(Box<Tunnel>),
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

/// Answers requests until one of them is the last.
pub(super) async fn run<S>(connection: &mut Connection<S>) -> Result<Ended, Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = Arc::clone(&connection.client);
    loop {
        let mut looked_at = 0;
        let next = std::future::poll_fn(|cx| poll_head(connection, &mut looked_at, cx));
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
        client.has_had_one_more();
        let ended = exchange(connection, &client, head).await?;
        if let Some(ended) = ended {
            return Ok(ended);
        }
        connection.begin();
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
    cx: &mut Context<'_>,
) -> Poll<Result<Head, Stop>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let may_be_http2 = connection.may_be_http2();
        let Connection { client, input, .. } = &mut *connection;
        // It may have been closed while the last answer was under way.
        if input.is_empty() && client.door.closed.is_given() {
            return Poll::Ready(Err(Stop::Over));
        }
        let most_bytes = client.shared.config.max_header_bytes;
        let is_preface = may_be_http2 && !input.is_empty() && {
            let begins = &input[..input.len().min(PREFACE.len())];
            PREFACE.starts_with(begins)
        };
        if is_preface && input.len() >= PREFACE.len() {
            return Poll::Ready(Err(Stop::Http2));
        }
        if !is_preface && !input.is_empty() {
            match head::take(input, looked_at, most_bytes) {
                // Empty lines, which begin nothing.
                Ok(None) if input.is_empty() => client.link.has_read_nothing(),
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
    let head = ResponseHead {
        status,
        reason: None,
        headers: Headers::Map(HeaderMap::from_iter([(SERVER, SERVER_NAME)])),
    };
    let bytes = connection.output.bytes();
    Asked::UNKNOWN.encode(&head, Framing::Exact(0), true, bytes);
}
