//! The connection to containerd: one channel, dialled again by itself when containerd comes back.
//!
//! Every request carries the agent's containerd namespace and a deadline. `ContainerdError` tells apart
//! what containerd refused, what it did not finish in time, and a containerd that is not there.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::version_client::VersionClient;
use containerd_client::services::v1::{CreateNamespaceRequest, Namespace};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status, TimeoutExpired};

/// For what containerd does by itself, without starting a process.
const DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

const NAMESPACE_HEADER: &str = "containerd-namespace";
const LEASE_HEADER: &str = "containerd-lease";

/// Why containerd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    #[error("containerd does not answer on {socket}")]
    Connect {
        socket: PathBuf,
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    #[error("containerd stopped answering")]
    Lost(#[source] Box<Status>),
    /// The deadline of the request passed.
    #[error("containerd did not finish in time")]
    Timeout(#[source] Box<Status>),
    #[error("{message}")]
    Refused { code: Code, message: String },
}

impl ContainerdError {
    /// Tells whether containerd is not there, rather than unwilling.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost(_))
    }

    /// Tells whether a request's deadline passed: containerd is there, and may be stuck with this.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    pub(super) fn is(&self, expected: Code) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == expected)
    }
}

impl From<Status> for ContainerdError {
    fn from(status: Status) -> Self {
        if status.code() == Code::DeadlineExceeded || is_own_deadline(&status) {
            return Self::Timeout(Box::new(status));
        }
        // A status that the transport made up has its cause with it; one that was received has none.
        let transport = status.source().is_some();
        let lost = matches!(status.code(), Code::Unavailable | Code::Cancelled);
        if transport || lost {
            Self::Lost(Box::new(status))
        } else {
            Self::Refused {
                code: status.code(),
                message: status.message().to_owned(),
            }
        }
    }
}

/// Tells whether the deadline passed on this side, which tonic calls cancelled.
fn is_own_deadline(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns the message of an answer.
pub(super) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, ContainerdError> {
    Ok(result?.into_inner())
}

/// Counts what exists already, or is gone already, as done.
pub(super) trait Tolerate {
    fn unless(self, code: Code) -> Result<(), ContainerdError>;
}

impl<T> Tolerate for Result<Response<T>, Status> {
    fn unless(self, code: Code) -> Result<(), ContainerdError> {
        match self {
            Err(status) if status.code() == code => Ok(()),
            other => answer(other).map(drop),
        }
    }
}

/// A connection to containerd in one of its namespaces. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    namespace: MetadataValue<Ascii>,
    name: String,
}

impl Client {
    /// Connects, and makes the namespace be there.
    ///
    /// # Errors
    /// Fails when containerd does not answer in time or refuses the namespace.
    pub async fn connect(socket: &Path, namespace: &str) -> Result<Self, ContainerdError> {
        let error = |cause| ContainerdError::Connect {
            socket: socket.to_owned(),
            cause,
        };
        let connected = timeout(CONNECT_DEADLINE, containerd_client::connect(socket)).await;
        let channel = connected
            .map_err(|elapsed| error(elapsed.into()))?
            .map_err(|cause| error(cause.into()))?;
        let client = Self {
            channel,
            namespace: namespace.parse().map_err(
                |cause: tonic::metadata::errors::InvalidMetadataValue| error(cause.into()),
            )?,
            name: namespace.to_owned(),
        };
        client.version().await?;
        let namespace = Namespace {
            name: client.name.clone(),
            ..Namespace::default()
        };
        NamespacesClient::new(client.channel())
            .create(client.request(CreateNamespaceRequest {
                namespace: Some(namespace),
            }))
            .await
            .unless(Code::AlreadyExists)?;
        Ok(client)
    }

    /// Asks for containerd's version: a sign of life.
    pub(super) async fn version(&self) -> Result<String, ContainerdError> {
        let mut request = self.request(());
        request.set_timeout(CONNECT_DEADLINE);
        let version = VersionClient::new(self.channel()).version(request).await;
        Ok(answer(version)?.version)
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn namespace(&self) -> &str {
        &self.name
    }

    /// Returns a request with the usual deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.endless(message);
        request.set_timeout(DEADLINE);
        request
    }

    /// Returns a request for work that takes up to `limit`.
    pub(super) fn long<T>(&self, message: T, limit: Duration) -> Request<T> {
        let mut request = self.endless(message);
        request.set_timeout(limit);
        request
    }

    /// Returns a request that waits for as long as containerd lives.
    pub(super) fn endless<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let namespace = self.namespace.clone();
        request.metadata_mut().insert(NAMESPACE_HEADER, namespace);
        request
    }

    /// Puts a request under a lease: nothing that it makes is collected before the lease ends.
    pub(super) fn leased<T>(mut request: Request<T>, lease: &Lease) -> Request<T> {
        let lease = lease.id.clone();
        request.metadata_mut().insert(LEASE_HEADER, lease);
        request
    }
}

/// Keeps containerd's garbage collector away from what is being made.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: MetadataValue<Ascii>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn a_containerd_that_is_silent_is_told_from_one_that_hangs_up() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("c.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let client = Client {
            channel: containerd_client::connect(&socket).await.unwrap(),
            namespace: "rs".parse().unwrap(),
            name: "rs".into(),
        };
        let version = async |limit| {
            let request = client.long((), limit);
            let asked = VersionClient::new(client.channel()).version(request).await;
            answer(asked).unwrap_err()
        };
        let silent = version(Duration::from_millis(20)).await;
        assert!(silent.is_timeout() && !silent.is_absence(), "{silent:?}");
        let (connection, _) = listener.accept().await.unwrap();
        drop((connection, listener));
        let lost = version(Duration::from_secs(10)).await;
        assert!(lost.is_absence() && !lost.is_timeout(), "{lost:?}");
    }

    #[test]
    fn a_deadline_that_containerd_saw_pass_is_a_timeout_too() {
        let error = ContainerdError::from(Status::deadline_exceeded("context deadline exceeded"));
        assert!(error.is_timeout() && !error.is_absence());
    }
}
