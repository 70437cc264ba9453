//! The stream of a connection, with what was read and not taken, and what is written and not sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::output::Output;
use crate::client::Client;
use crate::framing::{Appetite, Keep, LEAST_READ, poll_read_into};

/// A connection that is in use. What moves on it is a sign of life.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stream: S,
    pub(super) client: Arc<Client>,
    pub(super) input: BytesMut,
    pub(super) output: Output,
    appetite: Appetite,
    /// Without TLS: a client that knows that it can may begin with HTTP/2.
    plain: bool,
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Returns a connection of which `input` was read before; `plain`: without TLS, which would say what its client speaks.
    pub(super) fn new(client: Arc<Client>, stream: S, input: BytesMut, plain: bool) -> Self {
        Self {
            stream,
            client,
            input,
            output: Output::default(),
            appetite: Appetite::default(),
            plain,
        }
    }

    /// Returns whether what comes next may be the beginning of HTTP/2.
    pub(super) fn may_be_http2(&self) -> bool {
        self.plain && self.client.is_unasked()
    }

    /// Another request begins.
    pub(super) fn begin(&mut self) {
        self.appetite = Appetite::default();
    }

    /// Reads more of a head; returns how much, and zero at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_fill(LEAST_READ, Keep::Together, cx)
    }

    /// Reads more of a body of which `left` is to come, if that is known.
    pub(super) fn poll_read_body(
        &mut self,
        left: Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let room = self.appetite.room(left);
        let read = ready!(self.poll_fill(room, Keep::Apart, cx))?;
        self.appetite.has_read(read, room);
        Poll::Ready(Ok(read))
    }

    fn poll_fill(
        &mut self,
        room: usize,
        keep: Keep,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Self { stream, input, .. } = self;
        let read = ready!(poll_read_into(stream, input, room, keep, cx))?;
        if read > 0 {
            self.client.link.has_read(read);
        }
        Poll::Ready(Ok(read))
    }

    /// Sends what is written.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream,
            client,
            output,
            ..
        } = self;
        while !output.is_empty() {
            let polled = output.poll_write(stream, cx);
            if output.is_empty() {
                client.link.has_written_all(&polled);
            } else {
                client.link.has_written(&polled);
            }
            ready!(polled)?;
        }
        let flushed = Pin::new(stream).poll_flush(cx);
        client.link.has_flushed(flushed.is_pending());
        flushed
    }
}
