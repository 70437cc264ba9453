//! What lives in the leader's memory only: who is connected, and what was reported last.
//!
//! A new leader begins with nothing and fills up from the sessions, which open with a complete
//! report. Only a changed verdict becomes a command.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roadstead_core::id::{ContainerInstanceId, DeploymentId, NodeId};
use roadstead_core::state::service::Counts;
use roadstead_core::verdict::NodeView;
use roadstead_proto::agent::AgentInstruction;
use tokio::sync::{mpsc, watch};

/// The presence of everyone, for the length of one leadership.
#[derive(Debug)]
pub(crate) struct Presence {
    since: Instant,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    agents: BTreeMap<ContainerInstanceId, Agent>,
    nodes: BTreeMap<NodeId, Node>,
}

#[derive(Debug)]
struct Agent {
    heard: Instant,
    instructions: mpsc::Sender<AgentInstruction>,
}

#[derive(Debug)]
struct Node {
    heard: Instant,
    view: NodeView,
    incarnation: String,
    /// Counted by earlier incarnations of the node.
    before: BTreeMap<DeploymentId, Counts>,
    counts: BTreeMap<DeploymentId, Counts>,
}

impl Presence {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that wakes when a load balancer has reported.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// An agent has opened its session; instructions to it go through `instructions`.
    pub(crate) fn agent_joined(
        &self,
        id: ContainerInstanceId,
        instructions: mpsc::Sender<AgentInstruction>,
    ) {
        self.inner().agents.insert(
            id,
            Agent {
                heard: Instant::now(),
                instructions,
            },
        );
    }

    /// An agent has said anything.
    pub(crate) fn agent_heard(&self, id: &ContainerInstanceId) {
        if let Some(agent) = self.inner().agents.get_mut(id) {
            agent.heard = Instant::now();
        }
    }

    /// Returns the way to an agent that has a session.
    pub(crate) fn agent(&self, id: &ContainerInstanceId) -> Option<mpsc::Sender<AgentInstruction>> {
        self.inner()
            .agents
            .get(id)
            .map(|agent| agent.instructions.clone())
    }

    /// Returns for how long an agent has been silent, at most for as long as this leader leads.
    pub(crate) fn agent_silence(&self, id: &ContainerInstanceId) -> Duration {
        self.inner()
            .agents
            .get(id)
            .map_or(self.since, |agent| agent.heard)
            .elapsed()
    }

    /// A load balancer has reported everything that it knows.
    pub(crate) fn node_reported(
        &self,
        id: NodeId,
        incarnation: &str,
        view: NodeView,
        counts: BTreeMap<DeploymentId, Counts>,
    ) {
        let mut inner = self.inner();
        let mut before = BTreeMap::new();
        if let Some(known) = inner.nodes.remove(&id) {
            before = known.before;
            if known.incarnation != incarnation {
                for (deployment, counted) in known.counts {
                    add(before.entry(deployment).or_default(), counted);
                }
            }
        }
        let incarnation = incarnation.to_owned();
        inner.nodes.insert(
            id,
            Node {
                heard: Instant::now(),
                view,
                incarnation,
                before,
                counts,
            },
        );
        drop(inner);
        self.changed.send_replace(());
    }

    /// Returns for how long a load balancer has been silent.
    pub(crate) fn node_silence(&self, id: &NodeId) -> Duration {
        self.inner()
            .nodes
            .get(id)
            .map_or(self.since, |node| node.heard)
            .elapsed()
    }

    /// Returns the last report of each load balancer.
    pub(crate) fn views(&self) -> BTreeMap<NodeId, NodeView> {
        self.inner()
            .nodes
            .iter()
            .map(|(id, node)| (id.clone(), node.view.clone()))
            .collect()
    }

    /// Returns what all load balancers have counted for a deployment.
    pub(crate) fn counts(&self, deployment: DeploymentId) -> Counts {
        let inner = self.inner();
        let counted = inner
            .nodes
            .values()
            .flat_map(|node| [&node.before, &node.counts]);
        counted.filter_map(|counts| counts.get(&deployment)).fold(
            Counts::default(),
            |mut sum, one| {
                add(&mut sum, *one);
                sum
            },
        )
    }
}

fn add(sum: &mut Counts, more: Counts) {
    sum.served += more.served;
    sum.retried += more.retried;
    sum.failed += more.failed;
    sum.cut += more.cut;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_the_restart_of_a_load_balancer() {
        let presence = Presence::new();
        let deployment = DeploymentId(7);
        let report = |incarnation: &str, served| {
            let counts = BTreeMap::from([(
                deployment,
                Counts {
                    served,
                    ..Counts::default()
                },
            )]);
            presence.node_reported(NodeId::new("lb"), incarnation, NodeView::new(), counts);
        };
        report("first", 10);
        report("first", 15);
        report("second", 4);
        assert_eq!(presence.counts(deployment).served, 19);
    }
}
