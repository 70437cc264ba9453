//! Where a server of the control plane listens.
//!
//! For now a Unix socket: it reaches no further than this machine, and its file permissions say who
//! may call. Addresses between machines come with TLS on every link; plain TCP is not offered.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Uri};

/// The longest path that `sockaddr_un` takes, with its closing zero (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A server that is silent for so long, and does not answer a ping for as long again, is gone.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Where a server listens, written `unix:/path/to/socket`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns the path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Unix(path) => path,
        }
    }
}

impl Endpoint {
    /// Connects now; the channel connects again by itself when the connection is lost.
    ///
    /// # Errors
    /// Fails when nobody listens there.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        transport().connect_with_connector(self.connector()).await
    }

    /// Returns a channel that connects with its first request.
    #[must_use]
    pub fn connect_when_needed(&self) -> Channel {
        transport().connect_with_connector_lazy(self.connector())
    }

    fn connector(
        &self,
    ) -> impl tower::Service<
        Uri,
        Response = TokioIo<UnixStream>,
        Error = std::io::Error,
        Future: Send,
    > + Send
    + 'static {
        let path = self.path().to_owned();
        tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        })
    }
}

fn transport() -> tonic::transport::Endpoint {
    // The connector decides where to go; the URI only fills the :authority header.
    tonic::transport::Endpoint::from_static("http://control-plane")
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    #[error("endpoint `{0}` is not of the form unix:/absolute/path")]
    Form(String),
    #[error(
        "socket path `{path}` has {length} bytes; the system takes at most {LONGEST_SOCKET_PATH}"
    )]
    TooLong { path: String, length: usize },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.strip_prefix("unix:") {
            Some(path) if path.len() > LONGEST_SOCKET_PATH => Err(EndpointError::TooLong {
                path: path.to_owned(),
                length: path.len(),
            }),
            Some(path) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(_) | None => Err(EndpointError::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back_as_it_is_written() {
        let endpoint: Endpoint = "unix:/run/roadstead/server.sock".parse().unwrap();
        assert_eq!(endpoint.to_string(), "unix:/run/roadstead/server.sock");
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        for text in ["http://127.0.0.1:1", "unix:relative", "", "/run/x"] {
            assert_eq!(
                text.parse::<Endpoint>(),
                Err(EndpointError::Form(text.to_owned()))
            );
        }
        let long = format!("unix:/{}", "x".repeat(120));
        assert!(matches!(
            long.parse::<Endpoint>(),
            Err(EndpointError::TooLong { length: 121, .. })
        ));
    }
}
