//! Whether a task of a service counts as healthy.

use std::time::Duration;

use crate::Timestamp;
use crate::state::ClusterState;
use crate::state::service::Service;
use crate::state::task::{DesiredStatus, HealthStatus, LastStatus, TargetHealth, Task};

/// Without a load balancer and without a health check, a task has to run so long before it counts
/// towards the minimum healthy percent.
const PROBATION: Duration = Duration::from_secs(40);

/// A task whose agent has been disconnected for so long is lost, as far as nothing else tells how it fares: docs/design/0008.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(3);

/// What a task is worth to its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    /// Not RUNNING yet, or no verdict yet.
    Pending,
    Healthy,
    /// Says which check failed, in ECS's words for the task's stopped reason.
    Unhealthy(String),
    /// Nobody knows how it fares: its host has fallen silent. It may run as well as ever.
    Lost(String),
}

/// Judges a task of `service` that shall run.
///
/// With a load balancer the targets' health counts, with container checks theirs, with neither the
/// time that the task has been RUNNING.
#[must_use]
pub fn fitness(state: &ClusterState, service: &Service, task: &Task, now: Timestamp) -> Fitness {
    judge(state, service, task, now).0
}

/// Judges a task, and says until when the same state gives the same verdict; `None` is for ever.
pub(super) fn judge(
    state: &ClusterState,
    service: &Service,
    task: &Task,
    now: Timestamp,
) -> (Fitness, Option<Timestamp>) {
    if task.desired_status != DesiredStatus::Running {
        return (Fitness::Pending, None);
    }
    let given_up_at = given_up_at(state, service, task);
    if given_up_at.is_some_and(|at| now >= at) {
        let reason = format!(
            "The agent of container instance {} has been silent for too long",
            task.container_instance
        );
        return (Fitness::Lost(reason), None);
    }
    if task.last_status != LastStatus::Running {
        return (Fitness::Pending, given_up_at);
    }
    let since = task.running_since.unwrap_or(now);
    let seconds = u64::from(service.spec.health_check_grace_period_seconds);
    let grace_ends = since.after(Duration::from_secs(seconds));
    let probation_ends = since.after(PROBATION);
    let (fitness, until) = match verdict(state, service, task) {
        Verdict::Unhealthy(_) if now < grace_ends => (Fitness::Pending, Some(grace_ends)),
        Verdict::Unhealthy(reason) => (Fitness::Unhealthy(reason), None),
        Verdict::Unchecked if now < probation_ends => (Fitness::Pending, Some(probation_ends)),
        Verdict::Unchecked | Verdict::Healthy => (Fitness::Healthy, None),
        Verdict::Pending => (Fitness::Pending, None),
    };
    (fitness, until.into_iter().chain(given_up_at).min())
}

/// Returns when a task counts as lost with its host, which has fallen silent. Load balancers see for themselves whether
/// their targets still answer, so their word counts more than an agent's silence.
fn given_up_at(state: &ClusterState, service: &Service, task: &Task) -> Option<Timestamp> {
    let instance = state.container_instances.get(&task.container_instance)?;
    let unseen = service.spec.load_balancers.is_empty() || task.last_status < LastStatus::Running;
    (!instance.agent_connected && unseen)
        .then(|| instance.connection_changed_at.after(GIVEN_UP_AFTER))
}

/// What the checks say, whatever the time.
enum Verdict {
    Unchecked,
    Pending,
    Healthy,
    Unhealthy(String),
}

fn verdict(state: &ClusterState, service: &Service, task: &Task) -> Verdict {
    let definition = state.task_definitions.get(&task.task_definition);
    let checked = definition.is_some_and(|definition| {
        let mut containers = definition.content.containers.iter();
        containers.any(|one| one.health_check.is_some())
    });
    if checked && task.health == HealthStatus::Unhealthy {
        return Verdict::Unhealthy("Task failed container health checks".to_owned());
    }
    let mut pending = checked && task.health != HealthStatus::Healthy;
    for balancer in &service.spec.load_balancers {
        let group = &balancer.target_group;
        match task.target_health.get(group) {
            Some(TargetHealth::Healthy) => {}
            Some(TargetHealth::Initial { .. }) | None => pending = true,
            Some(TargetHealth::Unhealthy { .. }) => {
                let arn = state.arns().target_group(group);
                return Verdict::Unhealthy(format!(
                    "Task failed ELB health checks in (target-group {arn})"
                ));
            }
        }
    }
    if pending {
        Verdict::Pending
    } else if checked || !service.spec.load_balancers.is_empty() {
        Verdict::Healthy
    } else {
        Verdict::Unchecked
    }
}
