//! One server above a log that somebody else brings: for `tests/simulation` alone, behind a feature that no binary has.
//!
//! Everything between the log and the wire is the real thing: leadership, presence, loops, sessions. What reads a clock or
//! makes ids asks `edge` here, so that a seed decides both.

mod edge;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roadstead_proto::agent::{AgentInstruction, AgentMessage};
use roadstead_proto::lb::{NodeReport, Table};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use crate::leader;
pub use crate::log::{Endpoints, Leadership, Log};
use crate::session::{Agents, LoadBalancers, LogRelay};
pub use edge::{Edge, begin, deployment_id, task_id};
pub(crate) use edge::{draw, now};

/// One life of a server, from its start to its crash.
#[derive(Debug)]
pub struct Server<L> {
    agents: Agents<L>,
    load_balancers: LoadBalancers<L>,
    stop: CancellationToken,
}

impl<L: Log> Server<L> {
    /// Starts a server that remembers nothing but its log; what has ended is forgotten after `retention`.
    #[must_use]
    pub fn start(log: &Arc<L>, retention: Duration) -> Self {
        let config = crate::Config {
            retention,
            ..crate::Config::new(0, PathBuf::new(), PathBuf::new())
        };
        let stop = CancellationToken::new();
        let reigns = leader::follow(log, &Arc::new(config), &TaskTracker::new(), stop.clone());
        Self {
            agents: Agents::new(log, &reigns, &LogRelay::default(), stop.clone()),
            load_balancers: LoadBalancers::new(log, &reigns, stop.clone()),
            stop,
        }
    }

    /// Opens the session of an agent.
    ///
    /// # Errors
    /// As the session of a real agent is refused.
    pub async fn agent_session(
        &self,
        messages: impl Stream<Item = Result<AgentMessage, Status>> + Send + Unpin + 'static,
    ) -> Result<ReceiverStream<AgentInstruction>, Status> {
        self.agents.open(|_| Ok(()), messages).await
    }

    /// Opens the session of a load balancer.
    ///
    /// # Errors
    /// As the session of a real load balancer is refused.
    pub async fn load_balancer_session(
        &self,
        reports: impl Stream<Item = Result<NodeReport, Status>> + Send + Unpin + 'static,
    ) -> Result<ReceiverStream<Table>, Status> {
        self.load_balancers.open(|_| Ok(()), reports).await
    }

    /// Ends this life: loops and sessions stop where they are.
    pub fn crash(&self) {
        self.stop.cancel();
    }
}
