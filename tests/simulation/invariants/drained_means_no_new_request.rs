//! Drained means that no request is there and none will come.
//!
//! When the control plane lets a task be told to stop because every load balancer has let go of it, none of these load
//! balancers sends a request there any more, or still waits for one. A load balancer that was struck off was not waited for.
//! And while only servers fail, no request fails.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_core::state::task::{DesiredStatus, LastStatus};
use roadstead_core::{ClusterState, Command};

use super::Name::DrainedMeansNoNewRequest;
use crate::plan::Trouble;
use crate::world::{World, lock};

/// The load balancers that have let go of a task.
pub(crate) type LetGo = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check(world: &World, before: &ClusterState, command: &Command, after: &ClusterState) {
    if let Command::FinishDrain { task } = command
        && after
            .tasks
            .get(task)
            .is_some_and(|one| one.draining_until.is_none())
        && before
            .tasks
            .get(task)
            .is_some_and(|one| one.draining_until.is_some())
    {
        let nodes: BTreeSet<String> = before
            .load_balancer_nodes
            .keys()
            .map(ToString::to_string)
            .collect();
        let busy = world.balancers.with_requests_at(task.as_str());
        if let Some(node) = nodes.intersection(&busy).next() {
            let text = format!("{node} has a request at task {task}, which counts as drained");
            world.violated(DrainedMeansNoNewRequest, text);
        }
        lock(&world.ledger).let_go.insert(task.to_string(), nodes);
    }
    if let Command::StopTasks { tasks, .. } = command {
        for id in tasks {
            let (Some(task), Some(later)) = (before.tasks.get(id), after.tasks.get(id)) else {
                continue;
            };
            let service = task.service_id().and_then(|id| before.services.get(&id));
            let serves = task.last_status == LastStatus::Running
                && task.desired_status == DesiredStatus::Running
                && service.is_some_and(|service| !service.spec.load_balancers.is_empty())
                && !before.load_balancer_nodes.is_empty();
            if serves && later.instruction() == DesiredStatus::Stopped {
                let text = format!("task {id} serves and is told to stop before it has drained");
                world.violated(DrainedMeansNoNewRequest, text);
            }
        }
    }
}

/// A load balancer sends a request to a task.
pub(crate) fn sends(world: &World, node: &str, task: &str) {
    let ledger = lock(&world.ledger);
    if ledger
        .let_go
        .get(task)
        .is_some_and(|nodes| nodes.contains(node))
    {
        let text = format!("{node} sends a request to task {task}, of which it had let go");
        world.violated(DrainedMeansNoNewRequest, text);
    }
}

/// A load balancer has no answer for its client.
pub(crate) fn fails(world: &World, node: &str, group: &str, why: &str) {
    world.note(format_args!("{node} fails a request to {group}: {why}"));
    if world.plan.trouble == Trouble::Servers {
        let text = format!("{node} fails a request to {group}: {why}");
        world.violated(DrainedMeansNoNewRequest, text);
    }
}
