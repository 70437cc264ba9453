//! This server's part in the consensus: propose, read, and know who leads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, ClientWriteError, ForwardToLeader, InitializeError};
use openraft::{BasicNode, Raft, SnapshotPolicy};
use roadstead_client::{ConnectError, ControlPlane, Endpoint};
use roadstead_core::{ClusterState, Command, Rejection};
use roadstead_proto::raft::raft_client::RaftClient;
use roadstead_proto::raft::{Payload, ReadIndexRequest};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::{Request, Status};

use super::log_store::{LogError, LogStore};
use super::network::Peers;
use super::snapshot::SnapshotError;
use super::state_machine::StateMachine;
use super::{MemberId, Outcome, Proposal, TypeConfig, decode, encode};
use crate::Config;

/// A write or a linearizable read that takes longer has no quorum.
const DEADLINE: Duration = Duration::from_secs(5);
/// Entries kept behind a snapshot, so that a member that was away briefly needs no snapshot.
const ENTRIES_TO_KEEP: u64 = 1_000;

/// Why the replicated log could not serve.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    #[error("cannot open the log in {directory}")]
    Log {
        directory: String,
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("raft cannot start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no leader is elected at the moment")]
    NoLeader,
    #[error("the control plane did not answer within {} s: it may have lost its quorum", .0.as_secs())]
    Deadline(Duration),
    #[error("raft has stopped on this server")]
    Stopped(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the leader cannot be reached")]
    Leader(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Who leads, as this server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leadership {
    Here { term: u64 },
    Elsewhere(Option<Endpoint>),
}

/// This server's raft.
pub(crate) struct Node {
    id: MemberId,
    pub(super) raft: Raft<TypeConfig>,
    newest: watch::Receiver<Arc<ClusterState>>,
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
        let election = u64::try_from(config.election_timeout.as_millis()).unwrap_or(u64::MAX / 2);
        let settings = openraft::Config {
            cluster_name: "roadstead".to_owned(),
            election_timeout_min: election,
            election_timeout_max: election * 2,
            heartbeat_interval: (election / 4).max(1),
            install_snapshot_timeout: 10_000,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_after),
            max_in_snapshot_log_to_keep: ENTRIES_TO_KEEP,
            ..openraft::Config::default()
        };
        let settings = settings
            .validate()
            .map_err(|error| RaftError::Start(error.into()))?;
        let raft = Raft::new(config.id, Arc::new(settings), Peers, log, machine)
            .await
            .map_err(|error| RaftError::Start(error.into()))?;
        let node = Self {
            id: config.id,
            raft,
            newest,
        };
        node.make_first_membership(config).await?;
        Ok(node)
    }

    /// Every first member proposes the same membership; raft lets exactly one of them win.
    async fn make_first_membership(&self, config: &Config) -> Result<(), RaftError> {
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

    /// Writes several commands as one entry; each is accepted or rejected by itself.
    pub(crate) async fn propose(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<(), Rejection>>, RaftError> {
        let written = timeout(DEADLINE, self.propose_anywhere(Proposal { commands })).await;
        let (index, outcome) = written.map_err(|_| RaftError::Deadline(DEADLINE))??;
        self.wait_applied(index).await?;
        Ok(outcome.results)
    }

    async fn propose_anywhere(&self, proposal: Proposal) -> Result<(u64, Outcome), RaftError> {
        match self.propose_here(proposal.clone()).await? {
            Ok(written) => Ok(written),
            Err(leader) => {
                let mut client = leader_client(&leader).await?;
                let body = encode(&proposal).map_err(leader_error)?;
                let mut request = Request::new(Payload { body });
                request.set_timeout(DEADLINE);
                let answer = client
                    .propose(request)
                    .await
                    .map_err(leader_error)?
                    .into_inner();
                decode(&answer.body).map_err(leader_error)
            }
        }
    }

    /// Writes as the leader; the inner error names the leader when it is another server.
    pub(super) async fn propose_here(
        &self,
        proposal: Proposal,
    ) -> Result<Result<(u64, Outcome), Leader>, RaftError> {
        match self.raft.client_write(proposal).await {
            Ok(response) => Ok(Ok((response.log_id.index, response.data))),
            Err(openraft::error::RaftError::APIError(ClientWriteError::ForwardToLeader(
                leader,
            ))) => Ok(Err(Leader(leader))),
            Err(error) => Err(RaftError::Stopped(error.into())),
        }
    }

    /// Returns a state that holds every write acknowledged before the call.
    pub(crate) async fn read(&self) -> Result<Arc<ClusterState>, RaftError> {
        let index = timeout(DEADLINE, self.read_index()).await;
        let index = index.map_err(|_| RaftError::Deadline(DEADLINE))??;
        self.wait_applied(index).await?;
        Ok(self.newest())
    }

    async fn read_index(&self) -> Result<u64, RaftError> {
        match self.read_index_here().await? {
            Ok(index) => Ok(index),
            Err(leader) => {
                let mut request = Request::new(ReadIndexRequest {});
                request.set_timeout(DEADLINE);
                let answer = leader_client(&leader).await?.read_index(request).await;
                Ok(answer.map_err(leader_error)?.into_inner().index)
            }
        }
    }

    /// Returns the index that a linearizable read must wait for, confirmed by a quorum.
    pub(super) async fn read_index_here(&self) -> Result<Result<u64, Leader>, RaftError> {
        match self.raft.get_read_log_id().await {
            Ok((read, _)) => Ok(Ok(read.map_or(0, |id| id.index))),
            Err(openraft::error::RaftError::APIError(CheckIsLeaderError::ForwardToLeader(
                leader,
            ))) => Ok(Err(Leader(leader))),
            Err(openraft::error::RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                Err(RaftError::Deadline(DEADLINE))
            }
            Err(error) => Err(RaftError::Stopped(error.into())),
        }
    }

    async fn wait_applied(&self, index: u64) -> Result<(), RaftError> {
        let waited = self
            .raft
            .wait(Some(DEADLINE))
            .applied_index_at_least(Some(index), "read")
            .await;
        waited
            .map(|_| ())
            .map_err(|_| RaftError::Deadline(DEADLINE))
    }

    /// Returns who leads now.
    pub(crate) fn leadership(&self) -> Leadership {
        leadership(&self.raft.metrics().borrow(), self.id)
    }

    /// Waits until who leads is no longer `known`; returns `None` when raft has stopped.
    pub(crate) async fn leadership_changed(&self, known: &Leadership) -> Option<Leadership> {
        let mut metrics = self.raft.metrics();
        let changed = metrics
            .wait_for(|metrics| leadership(metrics, self.id) != *known)
            .await
            .ok()?;
        Some(leadership(&changed, self.id))
    }

    /// Returns term, applied index, and each voter with its endpoint and whether it leads.
    pub(crate) fn members(&self) -> (u64, u64, Vec<(MemberId, String, bool)>) {
        let metrics = self.raft.metrics().borrow().clone();
        let members = metrics.membership_config.nodes();
        let members =
            members.map(|(id, node)| (*id, node.addr.clone(), metrics.current_leader == Some(*id)));
        let applied = metrics.last_applied.map_or(0, |id| id.index);
        (metrics.current_term, applied, members.collect())
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
pub(super) struct Leader(ForwardToLeader<MemberId, BasicNode>);

impl Leader {
    /// Returns where the leader listens, when one is known.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        self.0.leader_node.as_ref()?.addr.parse().ok()
    }
}

fn leadership(metrics: &openraft::RaftMetrics<MemberId, BasicNode>, here: MemberId) -> Leadership {
    match metrics.current_leader {
        Some(leader) if leader == here => Leadership::Here {
            term: metrics.current_term,
        },
        Some(leader) => {
            let node = metrics
                .membership_config
                .nodes()
                .find(|(id, _)| **id == leader);
            Leadership::Elsewhere(node.and_then(|(_, node)| node.addr.parse().ok()))
        }
        None => Leadership::Elsewhere(None),
    }
}

async fn leader_client(
    leader: &Leader,
) -> Result<RaftClient<tonic::transport::Channel>, RaftError> {
    let endpoint = leader.endpoint().ok_or(RaftError::NoLeader)?;
    let connected = ControlPlane::new(vec![endpoint]).connect().await;
    Ok(RaftClient::new(connected.map_err(
        |error: ConnectError| RaftError::Leader(error.into()),
    )?))
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

impl From<RaftError> for Status {
    /// Everything here passes by itself or with another server: the caller may try again.
    fn from(error: RaftError) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::unavailable(text)
    }
}
