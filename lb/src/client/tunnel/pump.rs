//! Moves bytes in one direction.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

const READ: usize = 16 * 1024;

/// One direction of a tunnel. It holds no buffer while it waits for bytes: most tunnels are quiet most of the time.
#[derive(Debug)]
pub(super) struct Pump {
    waiting: BytesMut,
    unflushed: bool,
    state: State,
    moved: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; the sink is to be told.
    Ended,
    Closed,
}

impl Pump {
    /// Returns a pump that has taken these bytes from its source already.
    pub(super) fn new(taken: BytesMut) -> Self {
        Self {
            waiting: taken,
            unflushed: false,
            state: State::Open,
            moved: 0,
        }
    }

    /// Returns how many bytes the sink has got.
    pub(super) fn moved(&self) -> usize {
        self.moved
    }

    /// Moves what can be moved now; ready when the source has ended and the sink knows it.
    pub(super) fn poll<R, W>(
        &mut self,
        source: &mut R,
        sink: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.waiting.is_empty() {
                match ready!(Pin::new(&mut *sink).poll_write(cx, &self.waiting))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => {
                        self.waiting.advance(written);
                        self.moved += written;
                        self.unflushed = true;
                    }
                }
            }
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Ended => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                    self.state = State::Closed;
                }
                State::Open => {
                    self.waiting.reserve(READ);
                    match poll_read_buf(Pin::new(&mut *source), cx, &mut self.waiting)? {
                        Poll::Ready(0) => self.state = State::Ended,
                        Poll::Ready(_) => {}
                        Poll::Pending => {
                            self.waiting = BytesMut::new();
                            if self.unflushed {
                                ready!(Pin::new(&mut *sink).poll_flush(cx))?;
                                self.unflushed = false;
                            }
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_taken_before_goes_first_and_the_end_is_passed_on() {
        let (mut client, mut source) = duplex(16);
        // Smaller than what is moved, so that the pump has to wait for its reader.
        let (mut sink, mut target) = duplex(16);
        let mut pump = Pump::new(BytesMut::from(&b"taken, "[..]));
        let write = async {
            client.write_all(&[b'x'; 100]).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let mut read = Vec::new();
        let (_, moved, _) = tokio::join!(
            write,
            poll_fn(|cx| pump.poll(&mut source, &mut sink, cx)),
            target.read_to_end(&mut read)
        );
        moved.unwrap();
        assert!(read.starts_with(b"taken, xxx"));
        assert_eq!((read.len(), pump.moved()), (107, 107));
    }
}
