//! One connection of a client that hides nothing: no retry, no pool, every failure by its kind. It is HTTP/1.1, or what both sides agree on
//! in TLS.

mod tls;

use std::io;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::tls::Tls;

/// Where to ask, split as a request needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    authority: String,
    path: String,
}

/// A text is not the URL of a plain HTTP server.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not of the form http://host:port/path")]
pub struct UrlError(String);

impl Url {
    /// Returns the URL of `path`, which begins with a slash, on a port of this machine.
    #[must_use]
    pub fn local(port: u16, path: &str) -> Self {
        Self {
            authority: format!("127.0.0.1:{port}"),
            path: path.to_owned(),
        }
    }

    /// Returns another path of the same server.
    #[must_use]
    pub fn path(&self, path: &str) -> Self {
        Self {
            authority: self.authority.clone(),
            path: path.to_owned(),
        }
    }

    /// Returns the host and the port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the same on another host.
    #[must_use]
    pub fn at(&self, address: Ipv4Addr) -> Self {
        let port = self.authority.rsplit(':').next().unwrap_or("80");
        Self {
            authority: format!("{address}:{port}"),
            path: self.path.clone(),
        }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refused = || UrlError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let host = uri.host().ok_or_else(refused)?;
        if uri.scheme_str() != Some("http") {
            return Err(refused());
        }
        Ok(Self {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

/// Why a request did not get its complete and expected answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot connect to {authority}")]
    Connect {
        authority: String,
        #[source]
        cause: io::Error,
    },
    #[error("the connection broke before the answer was complete")]
    Reset(#[source] hyper::Error),
    /// The server has ended the connection, with notice (RFC 9113 6.8), and can know nothing of the request.
    #[error("the connection had ended before the request was sent")]
    Unsent(#[source] hyper::Error),
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    #[error("answered with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("unexpected body `{0}`")]
    Body(String),
    #[error("cannot build a request for `{path}`")]
    Request {
        path: String,
        #[source]
        cause: hyper::http::Error,
    },
}

impl Failure {
    /// Returns the word under which failures are counted.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Connect { .. } => "connect".to_owned(),
            Self::Reset(_) => "reset".to_owned(),
            Self::Unsent(_) => "unsent".to_owned(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(status) => format!("status {}", status.as_u16()),
            Self::Body(_) => "body".to_owned(),
            Self::Request { .. } => "request".to_owned(),
        }
    }
}

/// A complete answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An open connection, good for one request after the other.
#[derive(Debug)]
pub struct Connection(Sender);

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    /// Connects to the server of `url`.
    ///
    /// # Errors
    /// Fails with `Connect` when the server cannot be reached.
    pub async fn open(url: &Url) -> Result<Self, Failure> {
        Self::over(connect(url).await?, false).await
    }

    /// Connects to the server of `url`, and shakes hands.
    ///
    /// # Errors
    /// Fails with `Connect` when the server cannot be reached, or is not trusted.
    pub async fn open_in_tls(url: &Url, tls: &Tls) -> Result<Self, Failure> {
        let stream = tls.shake(connect(url).await?).await;
        let stream = stream.map_err(|cause| unreachable(url, cause))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Self::over(stream, is_http2).await
    }

    async fn over<S>(stream: S, is_http2: bool) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        // The driver ends with the sender; what goes wrong on the way reaches the request that it breaks.
        Ok(Self(if is_http2 {
            let shaken = http2::handshake(TokioExecutor::new(), stream).await;
            let (sender, connection) = shaken.map_err(Failure::Reset)?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let shaken = http1::handshake(stream).await;
            let (sender, connection) = shaken.map_err(Failure::Reset)?;
            tokio::spawn(connection);
            Sender::Http1(sender)
        }))
    }

    /// Waits until the connection can carry a request; false when the server has closed it meanwhile.
    pub async fn is_usable(&mut self) -> bool {
        match &mut self.0 {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Asks for `url` and reads the whole answer.
    ///
    /// # Errors
    /// Fails with `Reset` when the connection ends before the answer does, also when the server closed it while
    /// it was idle: that request is lost to the caller, and a hidden second attempt would hide it. Only with HTTP/2 a server can say
    /// that there shall be no more requests: `Unsent` is one that has not begun.
    pub async fn get(&mut self, url: &Url) -> Result<Answer, Failure> {
        let response = self.send(url).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(Failure::Reset)?.to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn send(&mut self, url: &Url) -> Result<Response<Incoming>, Failure> {
        let wrong = |cause| Failure::Request {
            path: url.path.clone(),
            cause,
        };
        match &mut self.0 {
            Sender::Http1(sender) => {
                let request = Request::get(&url.path).header(header::HOST, &url.authority);
                let request = request.body(Empty::new()).map_err(wrong)?;
                sender.send_request(request).await.map_err(Failure::Reset)
            }
            Sender::Http2(sender) => {
                let request = Request::get(format!("https://{}{}", url.authority, url.path));
                let request = request.body(Empty::new()).map_err(wrong)?;
                let sent = sender.try_send_request(request).await;
                sent.map_err(|mut error| match error.take_message() {
                    Some(_request) => Failure::Unsent(error.into_error()),
                    None => Failure::Reset(error.into_error()),
                })
            }
        }
    }
}

async fn connect(url: &Url) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(&url.authority).await;
    let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    stream.map_err(|cause| unreachable(url, cause))
}

fn unreachable(url: &Url, cause: io::Error) -> Failure {
    Failure::Connect {
        authority: url.authority.clone(),
        cause,
    }
}

/// Asks once, on a connection of its own.
///
/// # Errors
/// Fails when no complete answer came within `deadline`.
pub async fn get(url: &Url, deadline: Duration) -> Result<Answer, Failure> {
    let exchange = async { Connection::open(url).await?.get(url).await };
    timeout(deadline, exchange)
        .await
        .unwrap_or(Err(Failure::Timeout(deadline)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_path() {
        let url: Url = "http://127.0.0.1:8080/a?b=c".parse().unwrap();
        assert_eq!(url, Url::local(8080, "/a?b=c"));
        let url: Url = "http://localhost".parse().unwrap();
        assert_eq!(
            (url.authority.as_str(), url.path.as_str()),
            ("localhost:80", "/")
        );
    }

    #[test]
    fn other_schemes_are_refused() {
        for text in ["https://127.0.0.1/", "127.0.0.1:80", ""] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
