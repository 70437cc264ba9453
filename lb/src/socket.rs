//! A connection, to a client or to a target.
//!
//! Most of what a request costs is four calls of the kernel. The C library makes a point of cancellation of each, which takes two locked
//! instructions in a program of several threads; the calls of rustix are the kernel's own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection that the runtime watches.
#[derive(Debug)]
pub(crate) struct Socket(TcpStream);

impl AsRef<TcpStream> for Socket {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl Socket {
    /// Returns a connection that was accepted.
    pub(crate) fn accepted(stream: TcpStream) -> Self {
        // Fails only on a connection that is gone already; serving it will show that.
        drop(stream.set_nodelay(true));
        Self(stream)
    }

    /// Connects to a target; the caller sets the deadline.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Lets it end with a reset instead of an end in order, which would make a whole of what was sent.
    pub(crate) fn reset_at_end(&self) {
        // It may be broken already.
        drop(SockRef::from(&self.0).set_linger(Some(Duration::ZERO)));
    }

    /// Does with the socket what `interest` says, as soon as it can be done; `wanted` is how many bytes could be moved.
    fn act(
        &self,
        interest: Interest,
        wanted: usize,
        act: impl FnOnce() -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut moved = None;
        let acted = self.0.try_io(interest, || {
            let count = act()?;
            moved = Some(count);
            // Less than was wanted is all that there was: for the runtime the socket is no longer ready, and it need not try once more
            // to know (epoll(7), of edge-triggered mode).
            if 0 < count && count < wanted {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        match (moved, acted) {
            (Some(count), _) => Poll::Ready(Ok(count)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            (None, acted) => Poll::Ready(acted),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What is not initialized would have to be, only to be written over.
        if buffer.initialized().len() < buffer.capacity() {
            return Pin::new(&mut self.0).poll_read(cx, buffer);
        }
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let unfilled = buffer.initialize_unfilled();
            let wanted = unfilled.len();
            let read = self.act(Interest::READABLE, wanted, || {
                recv(&self.0, unfilled, RecvFlags::empty()).map(|(_, count)| count)
            });
            // Where it is not ready after all, the runtime is asked again.
            if let Poll::Ready(read) = read {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            let written = self.act(Interest::WRITABLE, bytes.len(), || {
                send(&self.0, bytes, SendFlags::NOSIGNAL)
            });
            if written.is_ready() {
                return written;
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use socket2::SockRef;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Whoever is not woken waits for ever.
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn pair() -> (Socket, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(Socket::connect(address), listener.accept());
        (near.unwrap(), Socket::accepted(far.unwrap().0))
    }

    #[tokio::test]
    async fn what_comes_after_a_short_read_or_one_that_fills_its_room_is_read_too() {
        let (mut near, mut far) = pair().await;
        let writing = async {
            for part in ["12", "123", "1234", "12345678"] {
                far.write_all(part.as_bytes()).await.unwrap();
                // Until the other end has answered: each part comes by itself.
                far.read_exact(&mut [0]).await.unwrap();
            }
            drop(far);
        };
        let reading = async {
            let mut room = [0; 4];
            let mut counts = Vec::new();
            loop {
                let count = near.read(&mut room).await.unwrap();
                counts.push(count);
                if count == 0 {
                    return counts;
                }
                if counts.iter().sum::<usize>() != 13 {
                    near.write_all(b".").await.unwrap();
                }
            }
        };
        let both = async { tokio::join!(writing, reading) };
        let ((), counts) = timeout(DEADLINE, both).await.unwrap();
        assert_eq!(counts, [2, 3, 4, 4, 4, 0]);
    }

    #[tokio::test]
    async fn a_writer_goes_on_when_its_reader_does() {
        const LENGTH: usize = 32 * 1024 * 1024;
        let (mut near, mut far) = pair().await;
        let writing = tokio::spawn(async move { near.write_all(&vec![7; LENGTH]).await });
        let mut read = Vec::new();
        let reading = timeout(DEADLINE, far.read_to_end(&mut read));
        reading.await.unwrap().unwrap();
        writing.await.unwrap().unwrap();
        assert!(read.len() == LENGTH && read.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn a_connection_that_is_gone_is_an_error() {
        let (mut near, far) = pair().await;
        let linger = Some(Duration::ZERO);
        SockRef::from(far.as_ref()).set_linger(linger).unwrap();
        drop(far);
        let read = near.read(&mut [0]).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let written = near.write(b"1").await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
