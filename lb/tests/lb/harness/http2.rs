//! A client that speaks HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{TlsClient, within};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection with HTTP/2.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    /// Connects without TLS, knowing that the other side understands.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(within(TcpStream::connect(address)).await.unwrap()).await
    }

    /// Connects with TLS, and agrees upon HTTP/2.
    pub(crate) async fn agree(address: SocketAddr) -> Self {
        let client = TlsClient::new().offering(&[b"http/1.1", b"h2"]);
        let stream = client.shake(address, "shop.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream).await
    }

    pub(crate) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let (requests, connection) = within(handshake(TokioExecutor::new(), io)).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Sends a request; the future waits for the head of its answer.
    pub(crate) fn send(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + 'static {
        self.requests.send_request(request)
    }

    /// Returns the status and the text of an answer.
    pub(crate) async fn get(&mut self, path: &str) -> (u16, String) {
        let answer = within(self.send(get(path))).await.unwrap();
        let status = answer.status().as_u16();
        let body = within(answer.into_body().collect()).await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        (status, text)
    }

    /// Waits until the other side has closed the connection.
    pub(crate) async fn closed(self) {
        // However it did that.
        drop(within(self.connection).await.unwrap());
    }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    let request = Request::get(format!("https://shop.example{path}"));
    request.body(Empty::new().boxed_unsync()).unwrap()
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    let request = Request::post(format!("https://shop.example{path}"));
    request.body(Full::new(body.into()).boxed_unsync()).unwrap()
}
