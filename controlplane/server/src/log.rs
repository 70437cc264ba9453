//! What loops and sessions need of the replicated log: the newest state, a way to change it, and who leads.
//!
//! `raft::Node` is it in every server. The simulation brings another one, which promises what raft promises and loses what
//! raft may lose (docs/design/0009-a-simulation-below-the-loops.md).

use std::sync::Arc;

use roadstead_client::Endpoint;
use roadstead_core::{ClusterState, Command, Rejection};
use tokio::sync::watch;

use crate::RaftError;
use crate::raft::Node;

/// Who leads, as this server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    Here { term: u64 },
    Elsewhere(Option<Endpoint>),
}

/// Where every server listens. Each session has it, and compares it with each change of the state.
pub type Endpoints = Arc<[String]>;

/// One server's part in the replicated log.
pub trait Log: Send + Sync + 'static {
    /// Returns a receiver of the newest applied state.
    fn watch(&self) -> watch::Receiver<Arc<ClusterState>>;

    /// Returns a receiver of every server's endpoint.
    fn servers(&self) -> watch::Receiver<Endpoints>;

    /// Returns the newest state that this server has applied; it may be behind the leader's.
    fn newest(&self) -> Arc<ClusterState>;

    /// Writes several commands as one, here or through the leader, and waits until they are applied here; each is accepted
    /// or rejected by itself.
    fn propose(
        &self,
        commands: Vec<Command>,
    ) -> impl Future<Output = Result<Vec<Result<(), Rejection>>, RaftError>> + Send;

    /// Returns a state that holds every write acknowledged before the call.
    fn read(&self) -> impl Future<Output = Result<Arc<ClusterState>, RaftError>> + Send;

    /// Returns who leads now.
    fn leadership(&self) -> Leadership;

    /// Waits until who leads is no longer `known`; returns `None` when the log has stopped.
    fn leadership_changed(
        &self,
        known: &Leadership,
    ) -> impl Future<Output = Option<Leadership>> + Send;

    /// Writes one command. The outer error is the log's, the inner one a rule's.
    fn write(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Result<(), Rejection>, RaftError>> + Send {
        async {
            let mut results = self.propose(vec![command]).await?;
            Ok(results.pop().unwrap_or(Ok(())))
        }
    }
}

impl Log for Node {
    fn watch(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.watch()
    }

    fn servers(&self) -> watch::Receiver<Endpoints> {
        self.servers()
    }

    fn newest(&self) -> Arc<ClusterState> {
        self.newest()
    }

    async fn propose(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<(), Rejection>>, RaftError> {
        self.propose(commands).await
    }

    async fn read(&self) -> Result<Arc<ClusterState>, RaftError> {
        self.read().await
    }

    fn leadership(&self) -> Leadership {
        self.leadership()
    }

    async fn leadership_changed(&self, known: &Leadership) -> Option<Leadership> {
        self.leadership_changed(known).await
    }
}
