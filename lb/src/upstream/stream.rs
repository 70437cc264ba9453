//! The bytes between us and a target, in TLS or as they are.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::socket::Socket;
use crate::tls::Connector;

/// RFC 8446 5.1: what a record holds. Of part of one the other side reads nothing.
const MOST_OF_A_RECORD: usize = 16 * 1024;

/// What lies between TCP and what a target speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Transport {
    #[default]
    Plain,
    Tls,
}

/// A connection to a target.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    /// Boxed, for it is large, and most targets speak without it.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Connects to a target, over TLS if there is a connector; the caller sets the deadline.
    pub(super) async fn connect(
        address: SocketAddr,
        connector: Option<&Connector>,
    ) -> io::Result<Self> {
        let socket = Socket::connect(address).await?;
        match connector {
            None => Ok(Self::Plain(socket)),
            Some(connector) => {
                // Boxed, so that a request to others has no room for a handshake.
                let shaken = Box::pin(connector.shake_hands(socket, address)).await?;
                Ok(Self::Tls(Box::new(shaken)))
            }
        }
    }

    /// Returns whether a write of so many bytes that fails has sent nothing that the other side could read.
    pub(super) fn is_all_or_nothing(&self, length: usize) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(_) => length <= MOST_OF_A_RECORD,
        }
    }

    /// Returns the connection below.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket.as_ref(),
            Self::Tls(stream) => stream.get_ref().0.as_ref(),
        }
    }

    /// Returns whether some of what was written has not been sent; a flush sends it.
    pub(super) fn is_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
        }
    }

    /// Waits until there may be something to read.
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.as_ref().poll_read_ready(cx),
            // Some of it, or its error, may have been read with what came before; only a read tells.
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns whether it is open and silent, as far as the runtime has heard.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        match self {
            Self::Plain(socket) => is_nothing(&socket.as_ref().try_read(&mut byte)),
            // A target may send tickets for the next handshake at any time.
            Self::Tls(stream) => {
                let cx = &mut Context::from_waker(Waker::noop());
                let read = Pin::new(stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
                // A task that has done enough for now is told so, whatever there is.
                read.is_pending() && self.is_open()
            }
        }
    }

    /// Ends it without a word, so that nobody takes what was sent for the whole.
    pub(crate) fn break_off(&self) {
        match self {
            Self::Plain(socket) => socket.reset_at_end(),
            // Without a last word it is no end (RFC 8446 6.1). It may be broken already.
            Self::Tls(_) => drop(SockRef::from(self.tcp()).shutdown(Shutdown::Write)),
        }
    }

    /// Returns whether it is open and silent by the word of the kernel.
    pub(super) fn is_open(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        is_nothing(&SockRef::from(self.tcp()).peek(&mut byte))
    }
}

/// Returns whether a read found an open connection with nothing on it.
fn is_nothing(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// RFC 8446 6.1: who closes a connection says so, and if nobody takes it any more that is all right.
impl Drop for Stream {
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            let (socket, session) = stream.get_mut();
            // Nobody waits for what could not be sent any more: it may be on its way to another target.
            if session.wants_write() {
                return;
            }
            session.send_close_notify();
            let mut farewell = Vec::new();
            if session.write_tls(&mut farewell).is_ok() {
                drop(socket.as_ref().try_write(&farewell));
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::upstream::Protocol;
    use crate::upstream::outgoing::RequestBody;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(["target.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    #[tokio::test]
    async fn a_request_is_not_sent_before_tls_has_sent_all_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = async { acceptor().accept(listener.accept().await.unwrap().0).await };
        let connector = Connector::new(Protocol::Http1);
        let connecting = Stream::connect(address, Some(&connector));
        let (target, stream) = tokio::join!(accepting, connecting);
        let (mut target, mut stream) = (target.unwrap(), stream.unwrap());
        let mut written = 0;
        // Until the kernel takes no more, and TLS has taken what that left.
        while !stream.is_unsent() {
            let part = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &[7; 16 * 1024])).await;
            written += part.unwrap();
        }
        let mut body = RequestBody::default();
        assert!(body.is_sent());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(body.poll_send(&mut stream, cx).is_pending());
        let sending = poll_fn(|cx| body.poll_send(&mut stream, cx));
        let mut bytes = vec![0; written];
        let both = async { tokio::join!(sending, target.read_exact(&mut bytes)) };
        let (sent, read) = timeout(DEADLINE, both).await.unwrap();
        sent.unwrap();
        read.unwrap();
        assert!(!stream.is_unsent());
    }
}
