//! A way to the control plane that survives the loss of any one server.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Status};

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

/// More servers than any control plane has.
const MOST_SERVERS: usize = 32;

/// Knows every server, and which one to ask next. Cheap to clone; clones share what they learn.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    known: Arc<Mutex<Known>>,
    named: watch::Sender<Vec<Endpoint>>,
    credentials: Option<Arc<Credentials>>,
}

#[derive(Debug)]
struct Known {
    /// Never empty.
    endpoints: Vec<Endpoint>,
    preferred: Endpoint,
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
        let preferred = endpoints
            .first()
            .expect("a control plane has an endpoint")
            .clone();
        let known = Known {
            endpoints,
            preferred,
        };
        Self {
            known: Arc::new(Mutex::new(known)),
            named: watch::Sender::default(),
            credentials: credentials.map(Arc::new),
        }
    }

    /// Connects to the server that answered last, or else to the first of the others that accepts.
    ///
    /// # Errors
    /// Fails when no server accepts a connection.
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        let (preferred, mut others) = {
            let known = self.known();
            (known.preferred.clone(), known.endpoints.clone())
        };
        others.retain(|endpoint| *endpoint != preferred);
        let mut failure = None;
        for endpoint in std::iter::once(&preferred).chain(&others) {
            match endpoint.connect(self.credentials.as_deref()).await {
                Ok(channel) => {
                    self.known().preferred = endpoint.clone();
                    return Ok(channel);
                }
                Err(error) => failure = Some(error),
            }
        }
        let tried = self
            .known()
            .endpoints
            .iter()
            .map(ToString::to_string)
            .collect();
        Err(ConnectError {
            tried,
            cause: failure.expect("there is at least one endpoint"),
        })
    }

    /// Learns from a refusal: prefers the leader that it names, or else the next server. Returns whether it named one.
    pub fn learn(&self, refusal: &Status) -> bool {
        let leader = leader_of(refusal);
        let mut known = self.known();
        let named = leader.is_some();
        known.preferred = leader.unwrap_or_else(|| {
            let mut endpoints = known.endpoints.iter();
            let at = endpoints.position(|endpoint| *endpoint == known.preferred);
            known.endpoints[at.map_or(0, |at| (at + 1) % known.endpoints.len())].clone()
        });
        named
    }

    /// Learns every server from a session: those that joined after this process did are among them. None that was known
    /// is forgotten.
    pub fn learn_servers(&self, servers: &[String]) {
        let servers = servers.iter().filter_map(|text| text.parse().ok());
        let named: Vec<Endpoint> = servers.take(MOST_SERVERS).collect();
        let mut known = self.known();
        for server in &named {
            if known.endpoints.len() < MOST_SERVERS && !known.endpoints.contains(server) {
                known.endpoints.push(server.clone());
            }
        }
        drop(known);
        self.named.send_if_modified(|before| {
            let news = !named.is_empty() && *before != named;
            if news {
                *before = named;
            }
            news
        });
    }

    /// Returns the servers as a session has named them last, for who keeps them for the next start.
    #[must_use]
    pub fn named_servers(&self) -> watch::Receiver<Vec<Endpoint>> {
        self.named.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the leader that a refusal names.
#[must_use]
pub fn leader_of(refusal: &Status) -> Option<Endpoint> {
    let named = refusal.metadata().get(LEADER_METADATA)?;
    named.to_str().ok()?.parse().ok()
}

/// Returns whether a call that failed with this status has certainly done nothing, so that it may be repeated: a server
/// said UNAVAILABLE, or none was reached. A connection that broke during the call leaves the question open.
#[must_use]
pub fn did_nothing(status: &Status) -> bool {
    if status.code() != Code::Unavailable {
        return false;
    }
    // A status that was made on this side has a source.
    let mut source = status.source();
    if source.is_none() {
        return true;
    }
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
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
        assert!(servers.learn(&not_leader(Some(&endpoint("c")))));
        assert_eq!(servers.known().preferred, endpoint("c"));
    }

    #[test]
    fn a_refusal_without_a_leader_tries_the_next_server() {
        let servers = ControlPlane::new(vec![endpoint("a"), endpoint("b")]);
        assert!(!servers.learn(&not_leader(None)));
        assert_eq!(servers.known().preferred, endpoint("b"));
        servers.learn(&not_leader(None));
        assert_eq!(servers.known().preferred, endpoint("a"));
    }

    #[test]
    fn servers_that_joined_later_are_learned_and_none_is_forgotten() {
        let servers = ControlPlane::new(vec![endpoint("a")]);
        let all = ["unix:/run/b", "unix:/run/c", "nonsense"].map(str::to_owned);
        let mut named = servers.named_servers();
        servers.learn_servers(&all);
        let known = servers.known().endpoints.clone();
        assert_eq!(known, [endpoint("a"), endpoint("b"), endpoint("c")]);
        assert_eq!(
            *named.borrow_and_update(),
            [endpoint("b"), endpoint("c")],
            "the one that was removed is not kept"
        );
        servers.learn_servers(&all);
        servers.learn_servers(&[]);
        assert!(!named.has_changed().unwrap());
    }

    #[tokio::test]
    async fn only_what_reached_no_server_or_was_refused_by_one_has_done_nothing() {
        assert!(did_nothing(&not_leader(None)));
        let nobody = tonic::ConnectError("refused".into());
        assert!(did_nothing(&Status::from_error(Box::new(nobody))));
        let mut broken = Status::unavailable("the connection broke");
        broken.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
        assert!(!did_nothing(&broken));
        assert!(!did_nothing(&Status::deadline_exceeded("too late")));
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
