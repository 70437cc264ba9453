//! Keeps every service at its desired count, and its rollouts going.

use roadstead_core::deployment::{self, Outside};
use roadstead_core::id::{DeploymentId, TaskId};
use roadstead_core::scheduler::Scratch;
use roadstead_core::state::service::Counts;
use roadstead_core::{ClusterState, Command};

use crate::leader::Reign;
use crate::{clock, id};

pub(super) fn decide(state: &ClusterState, reign: &Reign) -> Vec<Command> {
    let now = clock::now();
    let mut scratch = Scratch::new(state);
    let mut outside = Edge(reign);
    state
        .services
        .values()
        .flat_map(|service| deployment::advance(state, &mut scratch, service, now, &mut outside))
        .collect()
}

struct Edge<'a>(&'a Reign);

impl Outside for Edge<'_> {
    fn task_id(&mut self) -> TaskId {
        id::task()
    }

    fn counts(&self, deployment: DeploymentId) -> Counts {
        self.0.presence.counts(deployment)
    }
}
