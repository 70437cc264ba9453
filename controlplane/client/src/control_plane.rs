//! A way to the control plane that survives the loss of any one server.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use crate::endpoint::ReachError;
use crate::{Credentials, Endpoint};

/// Metadata of an UNAVAILABLE answer by a server that does not lead: the endpoint of the leader, or
/// nothing where the server knows none.
pub const LEADER_METADATA: &str = "roadstead-leader";

/// No server of the control plane could be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the control plane at {}", .tried.join(", "))]
pub struct ConnectError {
    pub tried: Vec<String>,
    #[source]
    pub cause: ReachError,
}

/// Knows every server, and which one to ask next. Cheap to clone; clones share what they learn.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    endpoints: Arc<[Endpoint]>,
    credentials: Option<Arc<Credentials>>,
    preferred: Arc<Mutex<Endpoint>>,
}

impl ControlPlane {
    /// Returns a way to `endpoints` on this host; nothing is connected yet.
    ///
    /// # Panics
    /// Panics if `endpoints` is empty: a caller's configuration has checked that.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self::with_credentials(endpoints, None)
    }

    /// Returns a way to `endpoints`, with the credentials that those on other hosts ask for; nothing is connected yet.
    ///
    /// # Panics
    /// Panics if `endpoints` is empty: a caller's configuration has checked that.
    #[must_use]
    pub fn with_credentials(endpoints: Vec<Endpoint>, credentials: Option<Credentials>) -> Self {
        let first = endpoints
            .first()
            .expect("a control plane has an endpoint")
            .clone();
        Self {
            endpoints: endpoints.into(),
            credentials: credentials.map(Arc::new),
            preferred: Arc::new(Mutex::new(first)),
        }
    }

    /// Connects to the server that answered last, or else to the first of the others that accepts.
    ///
    /// # Errors
    /// Fails when no server accepts a connection.
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        let preferred = self.preferred();
        let others = self
            .endpoints
            .iter()
            .filter(|endpoint| **endpoint != preferred);
        let mut failure = None;
        for endpoint in std::iter::once(&preferred).chain(others) {
            match endpoint.connect(self.credentials.as_deref()).await {
                Ok(channel) => {
                    self.prefer(endpoint.clone());
                    return Ok(channel);
                }
                Err(error) => failure = Some(error),
            }
        }
        let tried = self.endpoints.iter().map(ToString::to_string).collect();
        Err(ConnectError {
            tried,
            cause: failure.expect("there is at least one endpoint"),
        })
    }

    /// Learns from a refusal: prefers the leader that it names, or else the next server.
    pub fn learn(&self, refusal: &Status) {
        let next = leader_of(refusal).unwrap_or_else(|| {
            let at = self
                .endpoints
                .iter()
                .position(|endpoint| *endpoint == self.preferred());
            self.endpoints[at.map_or(0, |at| (at + 1) % self.endpoints.len())].clone()
        });
        self.prefer(next);
    }

    fn preferred(&self) -> Endpoint {
        self.preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn prefer(&self, endpoint: Endpoint) {
        *self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = endpoint;
    }
}

/// Returns the leader that a refusal names.
#[must_use]
pub fn leader_of(refusal: &Status) -> Option<Endpoint> {
    let named = refusal.metadata().get(LEADER_METADATA)?;
    named.to_str().ok()?.parse().ok()
}

/// Builds the answer of a server that is not the leader.
#[must_use]
pub fn not_leader(leader: Option<&Endpoint>) -> Status {
    let (mut status, name) = match leader {
        Some(endpoint) => {
            let name = endpoint.to_string();
            (
                Status::unavailable(format!("this server is not the leader; ask {name}")),
                name,
            )
        }
        None => (
            Status::unavailable("no leader is elected at the moment; try again"),
            String::new(),
        ),
    };
    // An endpoint that does not fit a header is left out: the caller tries the next server.
    let name = name
        .parse()
        .unwrap_or_else(|_| MetadataValue::from_static(""));
    status.metadata_mut().insert(LEADER_METADATA, name);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        format!("unix:/run/{name}").parse().unwrap()
    }

    #[test]
    fn a_refusal_that_names_the_leader_is_followed() {
        let servers = ControlPlane::new(vec![endpoint("a"), endpoint("b"), endpoint("c")]);
        servers.learn(&not_leader(Some(&endpoint("c"))));
        assert_eq!(servers.preferred(), endpoint("c"));
    }

    #[test]
    fn a_refusal_without_a_leader_tries_the_next_server() {
        let servers = ControlPlane::new(vec![endpoint("a"), endpoint("b")]);
        servers.learn(&not_leader(None));
        assert_eq!(servers.preferred(), endpoint("b"));
        servers.learn(&not_leader(None));
        assert_eq!(servers.preferred(), endpoint("a"));
    }

    #[tokio::test]
    async fn an_error_names_every_server_that_was_tried() {
        let servers = ControlPlane::new(vec![endpoint("nobody-1"), endpoint("nobody-2")]);
        let error = servers.connect().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot reach the control plane at unix:/run/nobody-1, unix:/run/nobody-2"
        );
    }
}
