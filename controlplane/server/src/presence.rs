//! What lives in the leader's memory only: who is connected, and what was reported last.
//!
//! A new leader begins with nothing and fills up from the sessions, which open with a complete
//! report. Only a changed verdict becomes a command.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_core::id::{ContainerInstanceId, DeploymentId, NodeId};
use roadstead_core::state::service::Counts;
use roadstead_core::verdict::{NodeView, TargetView};
use roadstead_proto::agent::AgentInstruction;
use roadstead_proto::lb::NodeReport;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A host without power tells nobody: an agent that had its session there notices after its keepalive, and may then try
/// a server or two that cannot be reached.
const TO_FIND_THE_LEADER: Duration = Duration::from_secs(15);

/// The presence of everyone, for the length of one leadership.
#[derive(Debug)]
pub(crate) struct Presence {
    since: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    agents: BTreeMap<ContainerInstanceId, Agent>,
    nodes: BTreeMap<NodeId, Node>,
    node_sessions: BTreeMap<NodeId, NodeSession>,
    /// How many sessions load balancers have opened.
    opened: u64,
    /// One channel for each loop: the receivers of a shared one are woken in random order, and a simulation could not be
    /// repeated.
    watchers: Vec<watch::Sender<()>>,
}

#[derive(Debug)]
struct Agent {
    heard: Instant,
    session: Option<AgentSession>,
}

#[derive(Debug)]
struct AgentSession {
    instructions: mpsc::Sender<AgentInstruction>,
    /// Cancelled when the same agent opens another session: this one is a connection that broke.
    superseded: CancellationToken,
}

/// A load balancer's session.
#[derive(Debug, Clone)]
pub(crate) struct NodeSession {
    number: u64,
    /// Cancelled when the same load balancer opens another session: what is still on its way here is old.
    pub(crate) superseded: CancellationToken,
}

#[derive(Debug)]
struct Node {
    heard: Instant,
    view: Arc<NodeView>,
    /// As it came.
    report: Arc<NodeReport>,
    /// Counted by earlier incarnations of the node.
    before: BTreeMap<DeploymentId, Counts>,
    counts: BTreeMap<DeploymentId, Counts>,
}

impl Presence {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that wakes when a load balancer has reported.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        let (sender, receiver) = watch::channel(());
        self.inner().watchers.push(sender);
        receiver
    }

    /// An agent has opened its session; instructions to it go through `instructions`. Returns the
    /// token that is cancelled when a newer session takes its place.
    pub(crate) fn agent_joined(
        &self,
        id: &ContainerInstanceId,
        instructions: mpsc::Sender<AgentInstruction>,
    ) -> CancellationToken {
        let superseded = CancellationToken::new();
        let session = AgentSession {
            instructions,
            superseded: superseded.clone(),
        };
        let agent = Agent {
            heard: Instant::now(),
            session: Some(session),
        };
        let before = self.inner().agents.insert(id.clone(), agent);
        if let Some(session) = before.and_then(|before| before.session) {
            session.superseded.cancel();
        }
        superseded
    }

    /// A session has ended. The agent counts as present for a while: it may be on its way back.
    pub(crate) fn agent_left(
        &self,
        id: &ContainerInstanceId,
        instructions: &mpsc::Sender<AgentInstruction>,
    ) {
        let mut inner = self.inner();
        let Some(agent) = inner.agents.get_mut(id) else {
            return;
        };
        let own = |session: &AgentSession| session.instructions.same_channel(instructions);
        if agent.session.as_ref().is_some_and(own) {
            agent.session = None;
        }
    }

    /// An agent has said anything.
    pub(crate) fn agent_heard(&self, id: &ContainerInstanceId) {
        if let Some(agent) = self.inner().agents.get_mut(id) {
            agent.heard = Instant::now();
        }
    }

    /// Returns the way to an agent that has a session.
    pub(crate) fn agent(&self, id: &ContainerInstanceId) -> Option<mpsc::Sender<AgentInstruction>> {
        let inner = self.inner();
        Some(inner.agents.get(id)?.session.as_ref()?.instructions.clone())
    }

    /// Returns for how long an agent has been silent, at most for as long as this leader leads. One that it has not heard
    /// of yet may be on its way from the leader before, and has time for that first.
    pub(crate) fn agent_silence(&self, id: &ContainerInstanceId) -> Duration {
        match self.inner().agents.get(id) {
            Some(agent) => agent.heard.elapsed(),
            None => self.since.elapsed().saturating_sub(TO_FIND_THE_LEADER),
        }
    }

    /// A load balancer has opened its session; an earlier one of it is over.
    pub(crate) fn node_joined(&self, id: &NodeId) -> NodeSession {
        let mut inner = self.inner();
        inner.opened += 1;
        let session = NodeSession {
            number: inner.opened,
            superseded: CancellationToken::new(),
        };
        if let Some(before) = inner.node_sessions.insert(id.clone(), session.clone()) {
            before.superseded.cancel();
        }
        inner.distrust(id);
        session
    }

    /// A session has ended. The load balancer may be a new process when it is back, with an older table.
    pub(crate) fn node_left(&self, id: &NodeId, session: &NodeSession) {
        let mut inner = self.inner();
        let current = inner.node_sessions.get(id);
        if current.is_some_and(|current| current.number == session.number) {
            inner.node_sessions.remove(id);
            inner.distrust(id);
        }
    }

    /// A load balancer has reported everything that it knows.
    pub(crate) fn node_reported(
        &self,
        id: NodeId,
        report: NodeReport,
        view: NodeView,
        counts: BTreeMap<DeploymentId, Counts>,
    ) {
        let mut inner = self.inner();
        let mut before = BTreeMap::new();
        if let Some(known) = inner.nodes.remove(&id) {
            before = known.before;
            if known.report.incarnation != report.incarnation {
                for (deployment, counted) in known.counts {
                    add(before.entry(deployment).or_default(), counted);
                }
            }
        }
        inner.nodes.insert(
            id,
            Node {
                heard: Instant::now(),
                view: Arc::new(view),
                report: Arc::new(report),
                before,
                counts,
            },
        );
        for watcher in &inner.watchers {
            watcher.send_replace(());
        }
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
    pub(crate) fn views(&self) -> BTreeMap<NodeId, Arc<NodeView>> {
        self.inner()
            .nodes
            .iter()
            .map(|(id, node)| (id.clone(), Arc::clone(&node.view)))
            .collect()
    }

    /// Returns what each load balancer that is connected has told last, as it came.
    pub(crate) fn reports(&self) -> Vec<Arc<NodeReport>> {
        let inner = self.inner();
        let connected = inner.node_sessions.keys();
        let nodes = connected.filter_map(|id| inner.nodes.get(id));
        nodes.map(|node| Arc::clone(&node.report)).collect()
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

impl Inner {
    /// Forgets what a load balancer has let go of: only a session that goes on keeps that word. Of the health that it has
    /// seen nothing is taken back.
    fn distrust(&mut self, id: &NodeId) {
        if let Some(node) = self.nodes.get_mut(id) {
            Arc::make_mut(&mut node.view).retain(|_, view| matches!(view, TargetView::Serving(_)));
        }
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
    use roadstead_core::id::{TargetGroupName, TaskId};
    use roadstead_core::state::task::TargetHealth;

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
            let report = NodeReport {
                incarnation: incarnation.to_owned(),
                ..NodeReport::default()
            };
            presence.node_reported(NodeId::new("lb"), report, NodeView::new(), counts);
        };
        report("first", 10);
        report("first", 15);
        report("second", 4);
        assert_eq!(presence.counts(deployment).served, 19);
    }

    #[test]
    fn what_a_load_balancer_has_let_go_of_holds_for_as_long_as_its_session() {
        let presence = Presence::new();
        let id = NodeId::new("lb");
        let task = |name: &str| (TargetGroupName::new("web"), TaskId::new(name));
        let report = || {
            let view = NodeView::from([
                (task("old"), TargetView::Drained),
                (task("new"), TargetView::Serving(TargetHealth::Healthy)),
            ]);
            let report = NodeReport::default();
            presence.node_reported(id.clone(), report, view, BTreeMap::new());
        };
        let known = || presence.views()[&id].keys().cloned().collect::<Vec<_>>();
        let first = presence.node_joined(&id);
        report();
        assert_eq!(known(), [task("new"), task("old")]);
        let second = presence.node_joined(&id);
        assert!(first.superseded.is_cancelled());
        assert_eq!(known(), [task("new")]);
        report();
        presence.node_left(&id, &first);
        assert_eq!(known(), [task("new"), task("old")]);
        presence.node_left(&id, &second);
        assert_eq!(known(), [task("new")]);
    }

    #[test]
    fn a_newer_session_takes_the_place_of_one_whose_connection_broke() {
        let presence = Presence::new();
        let id = ContainerInstanceId::new("i");
        let (first, second) = (mpsc::channel(1).0, mpsc::channel(1).0);
        let superseded = presence.agent_joined(&id, first.clone());
        presence.agent_joined(&id, second.clone());
        assert!(superseded.is_cancelled());
        presence.agent_left(&id, &first);
        assert!(
            presence
                .agent(&id)
                .is_some_and(|sender| sender.same_channel(&second))
        );
        presence.agent_left(&id, &second);
        assert!(presence.agent(&id).is_none());
    }
}
