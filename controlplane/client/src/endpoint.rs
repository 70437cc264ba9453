//! Where a server of the control plane listens.
//!
//! On its own host that is a Unix socket, whose file permissions say who may call. Between hosts it is TLS, with a
//! certificate on both sides. Plain TCP is not offered.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{self, Channel, Uri};

use crate::Credentials;

/// The longest path that `sockaddr_un` takes, with its closing zero (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
/// Where servers listen when nothing else is said.
pub const DEFAULT_PORT: u16 = 7443;
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// A server that is silent for so long, and does not answer a ping for a little longer, is gone. What has lost it has then
/// time to find the next leader before that gives it up.
const KEEPALIVE: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a server listens, written `unix:/path/to/socket` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    Unix(PathBuf),
    /// The host as it stands in a URL: an IPv6 address is in brackets.
    Tls {
        host: String,
        port: u16,
    },
}

/// A server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("there is no certificate for {0}: join first, with a token from `ctl token create`")]
    NoCredentials(Endpoint),
    #[error(transparent)]
    Transport(#[from] transport::Error),
}

impl Endpoint {
    /// Returns the path of a Unix socket.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Tls { .. } => None,
        }
    }

    /// Connects now; the channel connects again by itself when the connection is lost.
    ///
    /// # Errors
    /// Fails when nobody listens there, or the two sides do not trust each other.
    pub async fn connect(&self, credentials: Option<&Credentials>) -> Result<Channel, ReachError> {
        // The futures are large, and a connection is rare.
        match self {
            Self::Unix(path) => {
                let settings = settings("http://control-plane")?;
                let connecting = settings.connect_with_connector(connector(path.clone()));
                Ok(Box::pin(connecting).await?)
            }
            Self::Tls { .. } => Ok(Box::pin(self.secured(credentials)?.connect()).await?),
        }
    }

    /// Returns a channel that connects with its first request.
    ///
    /// # Errors
    /// Fails when credentials are needed and missing, or unsound.
    pub fn connect_when_needed(
        &self,
        credentials: Option<&Credentials>,
    ) -> Result<Channel, ReachError> {
        match self {
            Self::Unix(path) => Ok(settings("http://control-plane")?
                .connect_with_connector_lazy(connector(path.clone()))),
            Self::Tls { .. } => Ok(self.secured(credentials)?.connect_lazy()),
        }
    }

    fn secured(
        &self,
        credentials: Option<&Credentials>,
    ) -> Result<transport::Endpoint, ReachError> {
        let credentials = credentials.ok_or_else(|| ReachError::NoCredentials(self.clone()))?;
        Ok(settings(&self.to_string())?.tls_config(credentials.client_config())?)
    }
}

fn connector(
    path: PathBuf,
) -> impl tower::Service<Uri, Response = TokioIo<UnixStream>, Error = std::io::Error, Future: Send>
+ Send
+ 'static {
    // It alone decides where to go; the URI only fills the :authority header.
    tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    })
}

pub(crate) fn settings(uri: &str) -> Result<transport::Endpoint, transport::Error> {
    Ok(transport::Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(CONNECT_DEADLINE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT))
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    #[error("endpoint `{0}` is not of the form unix:/absolute/path or https://host:port")]
    Form(String),
    #[error(
        "socket path `{path}` has {length} bytes; the system takes at most {LONGEST_SOCKET_PATH}"
    )]
    TooLong { path: String, length: usize },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let form = || EndpointError::Form(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                length if length > LONGEST_SOCKET_PATH => Err(EndpointError::TooLong {
                    path: path.to_owned(),
                    length,
                }),
                _ if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
                _ => Err(form()),
            };
        }
        let authority = text.strip_prefix("https://").ok_or_else(form)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: tonic::codegen::http::uri::Authority = authority.parse().map_err(|_| form())?;
        let host = parsed.host();
        // What is not the host is its port; a user's name, or a port out of range, is refused with it.
        let port = match authority.strip_prefix(host).ok_or_else(form)? {
            "" => DEFAULT_PORT,
            rest => {
                let port = rest.strip_prefix(':').and_then(|port| port.parse().ok());
                port.filter(|port| *port > 0).ok_or_else(form)?
            }
        };
        if host.is_empty() {
            return Err(form());
        }
        Ok(Self::Tls {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Tls { host, port } => write!(formatter, "https://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back_as_it_is_written() {
        for text in [
            "unix:/run/roadstead/server.sock",
            "https://10.0.0.1:7443",
            "https://[fd00::1]:7000",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        let short: Endpoint = "https://server-1.example/".parse().unwrap();
        assert_eq!(short.to_string(), "https://server-1.example:7443");
    }

    #[tokio::test]
    async fn tls_without_a_certificate_says_what_to_do() {
        let endpoint: Endpoint = "https://127.0.0.1:1".parse().unwrap();
        let error = endpoint.connect(None).await.unwrap_err();
        assert!(error.to_string().contains("ctl token create"), "{error}");
    }

    #[test]
    fn other_forms_are_refused_by_name() {
        for text in [
            "http://127.0.0.1:1",
            "https://",
            "https://:7443",
            "https://host:",
            "https://host:99999",
            "https://me@host",
            "https://host/path",
            "unix:relative",
            "",
            "/run/x",
        ] {
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
