//! This server's part in the consensus: propose, and know who leads. `read` is how it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ForwardToLeader, InitializeError};
use openraft::{BasicNode, LogId, Raft, SnapshotPolicy};
use roadstead_client::{Backoff, Credentials, Endpoint};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::raft::Payload;
use roadstead_proto::raft::raft_client::RaftClient;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tracing::warn;

use super::election::{Elections, quorum_silence};
use super::log_store::{LogError, LogStore};
use super::membership;
use super::network::Peers;
use super::proposer::{Answer, Proposer, Written};
use super::snapshot::SnapshotError;
use super::state_machine::StateMachine;
use super::{MemberId, RaftError, TypeConfig, decode, encode};
use crate::Config;
use crate::log::{Endpoints, Leadership};

/// A write or a linearizable read that takes longer has no quorum.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// While no leader is known, one is looked for this often, and then less often.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// Entries kept behind a snapshot, so that a member that was away briefly needs no snapshot.
const ENTRIES_TO_KEEP: u64 = 1_000;

/// A server of the control plane.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) endpoint: String,
    pub(crate) leads: bool,
    /// False while it still catches up.
    pub(crate) votes: bool,
}

/// This server's raft.
pub(crate) struct Node {
    id: MemberId,
    pub(super) raft: Raft<TypeConfig>,
    proposer: Proposer,
    pub(super) elections: Elections,
    peers: Peers,
    newest: watch::Receiver<Arc<ClusterState>>,
    servers: watch::Receiver<Endpoints>,
    /// Where the log ended when this process started.
    pub(super) end_at_start: Option<LogId<MemberId>>,
    patience: Duration,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Node")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Opens the log, starts raft, and makes the first membership if the log is empty.
    pub(crate) async fn start(config: &Config) -> Result<Self, RaftError> {
        let directory = &config.data_dir;
        let log =
            LogStore::open(directory).map_err(|error: LogError| log_error(directory, error))?;
        let (machine, newest) = StateMachine::open(directory.clone())
            .map_err(|error: SnapshotError| log_error(directory, error))?;
        let election = u64::try_from(config.election_timeout.as_millis()).unwrap_or(u64::MAX / 4);
        let settings = openraft::Config {
            cluster_name: "roadstead".to_owned(),
            // `Elections` decides. What is left of these is the lease: for so long after a leader's word a vote is refused.
            enable_elect: false,
            election_timeout_min: (election / 2).max(2),
            election_timeout_max: (election * 3 / 4).max(3),
            heartbeat_interval: (election / 4).max(1),
            install_snapshot_timeout: 10_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_after),
            max_in_snapshot_log_to_keep: ENTRIES_TO_KEEP,
            ..openraft::Config::default()
        };
        let settings = settings
            .validate()
            .map_err(|error| RaftError::Start(error.into()))?;
        let peers = Peers::default();
        let end = log.end();
        let end_at_start = end.last_log_id();
        let end_at_start = end_at_start.map_err(|error| log_error(directory, error))?;
        let raft = Raft::new(config.id, Arc::new(settings), peers.clone(), log, machine)
            .await
            .map_err(|error| RaftError::Start(error.into()))?;
        let proposer = Proposer::start(raft.clone());
        let servers = membership::follow(raft.metrics());
        let patience = config.election_timeout;
        let elections = Elections::start(config.id, raft.clone(), end, peers.clone(), patience);
        let node = Self {
            id: config.id,
            raft,
            proposer,
            elections,
            peers,
            newest,
            servers,
            end_at_start,
            patience,
        };
        node.make_first_membership(config).await?;
        Ok(node)
    }

    /// Every first member proposes the same membership; raft lets exactly one of them win.
    async fn make_first_membership(&self, config: &Config) -> Result<(), RaftError> {
        if config.members.is_empty() {
            // It joins, and learns the membership from the others.
            return Ok(());
        }
        let members: BTreeMap<MemberId, BasicNode> = config
            .members
            .iter()
            .map(|(id, endpoint)| (*id, BasicNode::new(endpoint.to_string())))
            .collect();
        match self.raft.initialize(members).await {
            Ok(()) | Err(openraft::error::RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Ok(())
            }
            Err(error) => Err(RaftError::Start(error.into())),
        }
    }

    /// Returns a receiver of the newest applied state.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.newest.clone()
    }

    /// Returns the newest state that this server has applied; it may be behind the leader's.
    pub(crate) fn newest(&self) -> Arc<ClusterState> {
        Arc::clone(&self.newest.borrow())
    }

    /// Writes one command, here or through the leader, and waits until it is applied here.
    ///
    /// The outer error is the log's, the inner one a rule's.
    pub(crate) async fn write(&self, command: Command) -> Result<Result<(), Rejection>, RaftError> {
        let mut results = self.propose(vec![command]).await?;
        Ok(results.pop().unwrap_or(Ok(())))
    }

    /// Writes several commands as one; each is accepted or rejected by itself.
    pub(crate) async fn propose(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<(), Rejection>>, RaftError> {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut proposed = true;
        let written = timeout(DEADLINE, async {
            loop {
                proposed = true;
                match self.propose_anywhere(commands.clone()).await {
                    // Nothing was proposed: an election is under way.
                    Err(RaftError::NoLeader) => {
                        proposed = false;
                        sleep(pauses.pause()).await;
                    }
                    written => return written,
                }
            }
        });
        let (index, results) = match written.await {
            Ok(written) => written?,
            Err(_) if proposed => return Err(RaftError::Undecided(DEADLINE)),
            Err(_) => return Err(RaftError::NoQuorum(DEADLINE)),
        };
        self.wait_applied(index)
            .await
            .map_err(|_| RaftError::Undecided(DEADLINE))?;
        Ok(results)
    }

    async fn propose_anywhere(&self, commands: Vec<Command>) -> Result<Written, RaftError> {
        match self.propose_here(commands.clone()).await? {
            Ok(written) => Ok(written),
            Err(leader) => {
                let body = encode(&commands).map_err(leader_error)?;
                let mut request = Request::new(Payload { body });
                request.set_timeout(DEADLINE);
                let answer = self
                    .leader_client(&leader)?
                    .propose(request)
                    .await
                    .map_err(leader_refusal)?;
                decode(&answer.into_inner().body).map_err(leader_error)
            }
        }
    }

    /// Writes as the leader; the inner error names the leader when it is another server.
    pub(super) async fn propose_here(&self, commands: Vec<Command>) -> Answer {
        let silence = quorum_silence(&self.raft.metrics().borrow());
        if silence.is_some_and(|silence| silence >= self.forsaken()) {
            return Ok(Err(Leader(ForwardToLeader::empty())));
        }
        self.proposer.propose(commands).await
    }

    /// A leader whom no majority has answered for so long leads nobody: others may have one already.
    fn forsaken(&self) -> Duration {
        self.patience * 2
    }

    pub(super) async fn wait_applied(&self, index: u64) -> Result<(), RaftError> {
        let waited = self
            .raft
            .wait(Some(DEADLINE))
            .applied_index_at_least(Some(index), "read")
            .await;
        waited
            .map(|_| ())
            .map_err(|_| RaftError::NoQuorum(DEADLINE))
    }

    pub(super) fn leader_client(&self, leader: &Leader) -> Result<RaftClient<Channel>, RaftError> {
        self.client(&leader.endpoint().ok_or(RaftError::NoLeader)?)
    }

    /// Returns a client of another server.
    pub(crate) fn client(&self, endpoint: &Endpoint) -> Result<RaftClient<Channel>, RaftError> {
        // Without credentials nobody was asked anything.
        self.peers.client(endpoint).map_err(|error| {
            warn!(%endpoint, error = &error as &dyn std::error::Error, "cannot reach a server");
            RaftError::NoLeader
        })
    }

    /// Gives the credentials with which other servers know this one.
    pub(crate) fn identify(&self, credentials: Credentials) {
        self.peers.identify(credentials);
    }

    /// Returns a receiver of every server's endpoint.
    pub(crate) fn servers(&self) -> watch::Receiver<Endpoints> {
        self.servers.clone()
    }

    /// Returns this server's number among the members.
    pub(crate) fn id(&self) -> MemberId {
        self.id
    }

    /// Returns who leads now.
    pub(crate) fn leadership(&self) -> Leadership {
        self.led(&self.raft.metrics().borrow())
    }

    /// Waits until who leads is no longer `known`; returns `None` when raft has stopped.
    pub(crate) async fn leadership_changed(&self, known: &Leadership) -> Option<Leadership> {
        let mut metrics = self.raft.metrics();
        let changed = metrics
            .wait_for(|metrics| self.led(metrics) != *known)
            .await
            .ok()?;
        Some(self.led(&changed))
    }

    fn led(&self, metrics: &openraft::RaftMetrics<MemberId, BasicNode>) -> Leadership {
        if quorum_silence(metrics).is_some_and(|silence| silence >= self.forsaken()) {
            return Leadership::Elsewhere(None);
        }
        match metrics.current_leader {
            Some(leader) if leader == self.id => Leadership::Here {
                term: metrics.current_term,
            },
            Some(leader) => {
                let mut nodes = metrics.membership_config.nodes();
                let node = nodes.find(|(id, _)| **id == leader);
                Leadership::Elsewhere(node.and_then(|(_, node)| node.addr.parse().ok()))
            }
            None => Leadership::Elsewhere(None),
        }
    }

    /// Returns the term and the index of what is applied here.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        (
            metrics.current_term,
            metrics.last_applied.map_or(0, |id| id.index),
        )
    }

    /// Returns every member.
    pub(crate) fn members(&self) -> Vec<Member> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<MemberId> = membership.voter_ids().collect();
        let forsaken = quorum_silence(&metrics).is_some_and(|silence| silence >= self.forsaken());
        let member = |(id, node): (&MemberId, &BasicNode)| Member {
            id: *id,
            endpoint: node.addr.clone(),
            leads: metrics.current_leader == Some(*id) && !forsaken,
            votes: voters.contains(id),
        };
        membership.nodes().map(member).collect()
    }

    /// Waits until raft has stopped for good, and returns why.
    pub(crate) async fn failed(&self) -> RaftError {
        let mut metrics = self.raft.metrics();
        let failed = metrics
            .wait_for(|metrics| metrics.running_state.is_err())
            .await;
        let fatal = failed
            .ok()
            .and_then(|found| found.running_state.as_ref().err().cloned());
        RaftError::Stopped(fatal.map_or_else(|| "raft is gone".into(), Into::into))
    }

    /// Stops raft; the log stays.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "raft did not stop in order"
            );
        }
    }
}

/// openraft's word on who leads instead of this server.
#[derive(Debug)]
pub(crate) struct Leader(pub(super) ForwardToLeader<MemberId, BasicNode>);

impl Leader {
    /// Returns where the leader listens, when one is known.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.0.leader_node.as_ref()?.addr.parse().ok()
    }
}

/// What has certainly done nothing may be tried again. What any other failure means is unknown.
pub(super) fn leader_refusal(status: Status) -> RaftError {
    if roadstead_client::did_nothing(&status) {
        RaftError::NoLeader
    } else {
        leader_error(status)
    }
}

fn leader_error(error: impl std::error::Error + Send + Sync + 'static) -> RaftError {
    RaftError::Leader(error.into())
}

fn log_error(directory: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> RaftError {
    RaftError::Log {
        directory: directory.display().to_string(),
        cause: cause.into(),
    }
}
