//! Where the load balancers send requests: derived from listeners, services and their tasks.
//!
//! A task is a target from RUNNING until it is asked to stop; then it drains. Nothing of this is
//! stored, so a target can never be left over.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Timestamp;
use crate::id::{DeploymentId, TargetGroupName, TaskId};
use crate::state::ClusterState;
use crate::state::service::{Service, ServiceStatus};
use crate::state::target_group::TargetGroup;
use crate::state::task::{DesiredStatus, LastStatus, Task};

/// One port of one task in a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub task: TaskId,
    pub address: String,
    pub port: u16,
    /// Set when it takes no new request; requests under way may end until then.
    pub draining_until: Option<Timestamp>,
    /// The agent of its host is silent: the host may be gone, or only the agent.
    pub suspect: bool,
    /// The availability zone of its host; empty when that is not known.
    pub zone: String,
}

/// A target group with all that is behind it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTargets {
    pub group: Arc<TargetGroup>,
    /// The deployment that requests are counted for: the primary one of the group's service.
    pub deployment: Option<DeploymentId>,
    pub targets: Vec<Target>,
    /// Its requests wait until then, whatever targets there are.
    pub paused_until: Option<Timestamp>,
}

/// Returns every target group with its targets, by name.
#[must_use]
pub fn groups(state: &ClusterState) -> Vec<GroupTargets> {
    let mut found: BTreeMap<&TargetGroupName, GroupTargets> = state
        .target_groups
        .iter()
        .map(|(name, group)| {
            let group = Arc::clone(group);
            (
                name,
                GroupTargets {
                    group,
                    deployment: None,
                    targets: Vec::new(),
                    paused_until: None,
                },
            )
        })
        .collect();
    let serving = state
        .services
        .values()
        .filter(|one| one.status != ServiceStatus::Inactive);
    for service in serving {
        for balancer in &service.spec.load_balancers {
            let Some(entry) = found.get_mut(&balancer.target_group) else {
                continue;
            };
            entry.deployment = Some(service.primary().id);
            entry.paused_until = entry.paused_until.max(service.paused_until);
            entry
                .targets
                .extend(targets_of(state, service, &balancer.target_group));
        }
    }
    found.into_values().collect()
}

/// Returns the targets that `service` has in `group`.
pub fn targets_of(
    state: &ClusterState,
    service: &Service,
    group: &TargetGroupName,
) -> impl Iterator<Item = Target> {
    let balancer = service
        .spec
        .load_balancers
        .iter()
        .find(|one| one.target_group == *group);
    let tasks = state
        .live_tasks_of(&service.id)
        .filter(|task| is_target(task));
    tasks.filter_map(move |task| {
        let balancer = balancer?;
        let instance = state.container_instances.get(&task.container_instance)?;
        Some(Target {
            task: task.id.clone(),
            address: instance.address.clone(),
            port: task.host_port(&balancer.container_name, balancer.container_port)?,
            draining_until: task.draining_until,
            suspect: !instance.agent_connected,
            zone: instance
                .attribute("ecs.availability-zone")
                .map(str::to_owned)
                .unwrap_or_default(),
        })
    })
}

fn is_target(task: &Task) -> bool {
    let serving =
        task.desired_status == DesiredStatus::Running && task.last_status == LastStatus::Running;
    serving || task.draining_until.is_some()
}

impl ClusterState {
    /// Returns until when a task that is stopped now may finish its requests; `None` when no load
    /// balancer can have sent it one.
    pub(crate) fn drain_deadline(&self, id: &TaskId, at: Timestamp) -> Option<Timestamp> {
        let task = self
            .tasks
            .get(id)
            .filter(|task| task.last_status == LastStatus::Running)?;
        if self.load_balancer_nodes.is_empty() {
            return None;
        }
        let service = self.services.get(&task.service_id()?)?;
        let groups = service.spec.load_balancers.iter();
        let delays = groups.filter_map(|one| self.target_groups.get(&one.target_group));
        let longest = delays.map(|group| group.deregistration_delay()).max()?;
        Some(at.after(longest))
    }

    pub(crate) fn is_target_of_any(&self, task: &Task) -> bool {
        let service = task.service_id().and_then(|id| self.services.get(&id));
        service.is_some_and(|service| !service.spec.load_balancers.is_empty())
    }
}
