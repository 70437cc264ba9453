//! The frames of a connection, which h2 reads and writes: its beginning, its requests, its pings and its end.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, Builder, Handshake};
use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep};
use tracing::debug;

use super::gathered::Gathered;
use super::streams::Streams;

const MOST_STREAMS: u32 = 128;
/// Requests that are taken back before they were looked at (rapid reset); more end the connection.
const MOST_RESETS: usize = 20;
/// So much of a request's body may come before it is taken, and so much of sixteen of them together: a client that begins more which no
/// target takes holds itself up.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// So much of an answer waits for a client that does not read.
const SEND_BUFFER: usize = 64 * 1024;
/// Finds out that a client is gone while its request is slow.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection, from its preface on.
pub(super) struct Connection<S> {
    stream: Gathered<S>,
    stage: Stage<S>,
    closing: bool,
}

enum Stage<S> {
    Begins(Handshake<Gathered<S>, Bytes>),
    Serves(server::Connection<Gathered<S>, Bytes>, Pulse),
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Returns a connection on which heads may have so many bytes.
    pub(super) fn new(stream: Gathered<S>, most_header_bytes: usize) -> Self {
        let handshake = Builder::new()
            .max_concurrent_streams(MOST_STREAMS)
            .max_pending_accept_reset_streams(MOST_RESETS)
            .max_header_list_size(u32::try_from(most_header_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream.clone());
        Self {
            stream,
            stage: Stage::Begins(handshake),
            closing: false,
        }
    }

    /// Tells the client that it will get no more requests answered than it has made.
    pub(super) fn graceful_shutdown(&mut self) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        if let Stage::Serves(connection, _) = &mut self.stage {
            connection.graceful_shutdown();
        }
    }

    /// Sends what h2 has written; ready when all is sent.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_send(cx)
    }

    /// Moves frames in both directions, and makes streams of requests; ready when the connection has ended.
    pub(super) fn poll(
        &mut self,
        streams: &Streams,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        if let Stage::Begins(handshake) = &mut self.stage {
            let mut connection = ready!(pin!(handshake).poll(cx))?;
            if self.closing {
                connection.graceful_shutdown();
            }
            let pings = connection.ping_pong();
            let pings = pings.expect("nobody else has taken them of a new connection");
            self.stage = Stage::Serves(connection, Pulse::new(pings));
        }
        let Stage::Serves(connection, pulse) = &mut self.stage else {
            return Poll::Pending;
        };
        if pulse.poll(self.stream.bytes_read(), cx).is_ready() {
            debug!("a client answers no ping");
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        while let Some(request) = ready!(connection.poll_accept(cx)) {
            let (request, respond) = request?;
            streams.begin(request, respond);
        }
        Poll::Ready(Ok(()))
    }
}

/// Asks the client whether it is still there when nothing has come for a while.
struct Pulse {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    is_asked: bool,
    /// How much had come when the timer was last looked at.
    heard: u64,
}

impl Pulse {
    fn new(pings: PingPong) -> Self {
        Self {
            pings,
            timer: Box::pin(sleep(PING_INTERVAL)),
            is_asked: false,
            heard: 0,
        }
    }

    /// Ready when nothing has come in time. So many bytes have come so far: an answer may be on its way behind many others.
    fn poll(&mut self, heard: u64, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_asked && self.pings.poll_pong(cx).is_ready() {
                self.is_asked = false;
                self.again(PING_INTERVAL);
            }
            // A task that has used up its turn would not even set it.
            ready!(pin!(unconstrained(self.timer.as_mut())).poll(cx));
            let is_alive = std::mem::replace(&mut self.heard, heard) != heard;
            if !is_alive && (self.is_asked || self.pings.send_ping(Ping::opaque()).is_err()) {
                // Told once; what comes of it is seen by whoever drives the connection.
                self.again(PING_INTERVAL);
                return Poll::Ready(());
            }
            self.is_asked |= !is_alive;
            self.again(if self.is_asked {
                PING_TIMEOUT
            } else {
                PING_INTERVAL
            });
        }
    }

    fn again(&mut self, after: Duration) {
        self.timer.as_mut().reset(Instant::now() + after);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::client::PREFACE;

    /// Returns when a connection has found out that its client is gone, of which `heard` says how much has come.
    async fn silence(server: DuplexStream, heard: impl Fn() -> u64) {
        let mut connection = server::handshake(server).await.unwrap();
        let mut pulse = Pulse::new(connection.ping_pong().unwrap());
        poll_fn(|cx| {
            let gone = pulse.poll(heard(), cx);
            // The pings go out, and the answers come in.
            let _none = connection.poll_accept(cx);
            gone
        })
        .await;
    }

    /// Returns both ends of a connection whose client has begun, and says no more by itself.
    async fn begun() -> (DuplexStream, DuplexStream) {
        let (mut client, server) = duplex(1024);
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        client.write_all(PREFACE).await.unwrap();
        client.write_all(settings).await.unwrap();
        (client, server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_no_ping_is_gone() {
        let (_client, server) = begun().await;
        let begun = Instant::now();
        silence(server, || 0).await;
        assert_eq!(
            begun.elapsed().as_secs(),
            (PING_INTERVAL + PING_TIMEOUT).as_secs()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_pings_stays() {
        let (client, server) = duplex(1024);
        tokio::spawn(async {
            let (_requests, connection) = h2::client::handshake(client).await.unwrap();
            connection.await
        });
        let ten_minutes = Duration::from_secs(600);
        timeout(ten_minutes, silence(server, || 0))
            .await
            .unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_so_much_that_its_answer_has_to_wait_stays() {
        let (_client, server) = begun().await;
        let begun = Instant::now();
        let ten_minutes = Duration::from_secs(600);
        let trickle = || begun.elapsed().as_secs();
        timeout(ten_minutes, silence(server, trickle))
            .await
            .unwrap_err();
    }
}
