//! One request and its answer, in the task of their connection: the body of the request is read while the answer is awaited, and while
//! it is written.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{Asked, Framing};
use super::body::Feed;
use super::connection::Connection;
use super::conversation::{Broken, Ended};
use super::head::Head;
use crate::client::Client;
use crate::framing;
use crate::proxy::{self, Reply, ResponseBody};

/// Answers one request; returns how the conversation has ended, if it has.
pub(super) async fn exchange<S>(
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
    let reply = {
        let answering = proxy::answer(Arc::clone(client), parts, body.into());
        let mut answering = pin!(answering);
        std::future::poll_fn(|cx| {
            loop {
                let answered = answering.as_mut().poll(cx);
                for interim in client.link.take_interim() {
                    asked.encode_interim(&interim, connection.output.bytes());
                }
                if let Poll::Ready(answered) = answered {
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
        tunnel,
    } = reply;
    let framing = asked.framing(&head, body.size_hint().exact());
    let is_last = is_last
        || !keep_alive
        || framing == Framing::UntilClose
        // Whatever of the body still comes would be read as the next request, or delay it.
        || !feed.is_over()
        || client.door.closing.is_given()
        || client.is_worn();
    asked.encode(&head, framing, is_last, connection.output.bytes());
    // It holds on to what was read from the target.
    drop(head);
    let mut is_written = framing == Framing::NoBody || body.is_end_stream();
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
    Ok(if let Some(tunnel) = tunnel {
        Some(Ended::Switched(tunnel))
    } else if !is_last {
        None
    } else if !keep_alive && feed.is_over() && connection.input.is_empty() {
        // It was the client's wish: nothing more comes.
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
    if let Poll::Ready(Err(error)) = connection.poll_send(cx) {
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
