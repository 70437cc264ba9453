//! What a server has to know before it starts.

use std::collections::BTreeMap;
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
    /// Where this server listens.
    pub listen: Endpoint,
    /// Every voter with its endpoint, this server included. Read when the log is empty.
    pub members: BTreeMap<u64, Endpoint>,
    /// The region in ARNs.
    pub region: String,
    /// The account in ARNs: twelve digits.
    pub account: String,
    /// An agent that is silent for so long counts as disconnected and gets no new task.
    pub agent_timeout: Duration,
    /// A load balancer that is silent for so long is no longer waited for when targets drain.
    pub load_balancer_timeout: Duration,
    /// A follower that hears nothing for so long stands for election; up to twice as long is drawn.
    pub election_timeout: Duration,
    /// What has ended (a task, a service, a container instance) can be described for so long.
    pub retention: Duration,
    /// A snapshot is taken, and the log cut, after so many entries.
    pub snapshot_after: u64,
}

impl Config {
    /// Returns the defaults for a control plane of one server.
    #[must_use]
    pub fn new(id: u64, data_dir: PathBuf, listen: Endpoint) -> Self {
        Self {
            members: BTreeMap::from([(id, listen.clone())]),
            id,
            data_dir,
            listen,
            region: "local".to_owned(),
            account: "000000000000".to_owned(),
            agent_timeout: Duration::from_secs(5),
            load_balancer_timeout: Duration::from_secs(30),
            election_timeout: Duration::from_millis(300),
            retention: Duration::from_secs(60 * 60),
            snapshot_after: 5_000,
        }
    }
}
