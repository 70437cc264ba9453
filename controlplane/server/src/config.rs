//! What a server has to know before it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use roadstead_client::Endpoint;

/// The configuration of one server, validated by whoever builds it.
#[derive(Debug, Clone)]
pub struct Config {
    /// This server's number among the members.
    pub id: u64,
    /// Holds log and snapshots; belongs to this server alone.
    pub data_dir: PathBuf,
    /// The socket on which this host's operator reaches it.
    pub socket: PathBuf,
    /// Where other hosts reach it, and where it listens for them; `None` when there are none.
    pub remote: Option<Remote>,
    /// Every voter with its endpoint, this server included. Read when the log is empty; empty on a server that joins.
    pub members: BTreeMap<u64, Endpoint>,
    /// Asked to make this server a member, if it is none.
    pub contacts: Vec<Endpoint>,
    /// The region in ARNs.
    pub region: String,
    /// The account in ARNs: twelve digits.
    pub account: String,
    /// An agent that is silent for so long counts as disconnected: it gets no new task, its targets are probed at once, and
    /// soon after its tasks are replaced, as far as no load balancer sees them answer.
    pub agent_timeout: Duration,
    /// A load balancer that is silent for so long is no longer waited for when targets drain.
    pub load_balancer_timeout: Duration,
    /// A follower that hears nothing for so long stands for election; up to half as much again is drawn by lot.
    pub election_timeout: Duration,
    /// What has ended (a task, a service, a container instance) can be described for so long.
    pub retention: Duration,
    /// A snapshot is taken, and the log cut, after so many entries.
    pub snapshot_after: u64,
}

/// How other hosts reach a server.
#[derive(Debug, Clone)]
pub struct Remote {
    /// `https://host:port`, as others know it.
    pub endpoint: Endpoint,
    /// The address that is bound.
    pub bind: SocketAddr,
}

impl Config {
    /// Returns the defaults for a control plane of one server, for its own host alone.
    #[must_use]
    pub fn new(id: u64, data_dir: PathBuf, socket: PathBuf) -> Self {
        Self {
            members: BTreeMap::from([(id, Endpoint::Unix(socket.clone()))]),
            contacts: Vec::new(),
            id,
            data_dir,
            socket,
            remote: None,
            region: "local".to_owned(),
            account: "000000000000".to_owned(),
            agent_timeout: Duration::from_secs(2),
            load_balancer_timeout: Duration::from_secs(30),
            election_timeout: Duration::from_millis(300),
            retention: Duration::from_secs(60 * 60),
            snapshot_after: 5_000,
        }
    }
}
