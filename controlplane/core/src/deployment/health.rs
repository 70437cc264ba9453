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
    if task.desired_status != DesiredStatus::Running {
        return Fitness::Pending;
    }
    if let Some(reason) = given_up(state, service, task, now) {
        return Fitness::Lost(reason);
    }
    if task.last_status != LastStatus::Running {
        return Fitness::Pending;
    }
    let age = now.since(task.running_since.unwrap_or(now));
    let grace = Duration::from_secs(u64::from(service.spec.health_check_grace_period_seconds));
    let verdict = verdict(state, service, task, age);
    match verdict {
        Fitness::Unhealthy(_) if age < grace => Fitness::Pending,
        Fitness::Unhealthy(_) | Fitness::Lost(_) | Fitness::Pending | Fitness::Healthy => verdict,
    }
}

/// Returns why a task counts as lost with its host. Load balancers see for themselves whether their targets still
/// answer, so their word counts more than an agent's silence.
fn given_up(
    state: &ClusterState,
    service: &Service,
    task: &Task,
    now: Timestamp,
) -> Option<String> {
    let instance = state.container_instances.get(&task.container_instance)?;
    let silent =
        !instance.agent_connected && now.since(instance.connection_changed_at) >= GIVEN_UP_AFTER;
    let unseen = service.spec.load_balancers.is_empty() || task.last_status < LastStatus::Running;
    (silent && unseen).then(|| {
        format!(
            "The agent of container instance {} has been silent for too long",
            instance.id
        )
    })
}

fn verdict(state: &ClusterState, service: &Service, task: &Task, age: Duration) -> Fitness {
    let checked = state
        .task_definitions
        .get(&task.task_definition)
        .is_some_and(|definition| {
            definition
                .content
                .containers
                .iter()
                .any(|one| one.health_check.is_some())
        });
    if checked && task.health == HealthStatus::Unhealthy {
        return Fitness::Unhealthy("Task failed container health checks".to_owned());
    }
    let mut pending = checked && task.health != HealthStatus::Healthy;
    for balancer in &service.spec.load_balancers {
        let group = &balancer.target_group;
        match task.target_health.get(group) {
            Some(TargetHealth::Healthy) => {}
            Some(TargetHealth::Initial { .. }) | None => pending = true,
            Some(TargetHealth::Unhealthy { .. }) => {
                let arn = state.arns().target_group(group);
                return Fitness::Unhealthy(format!(
                    "Task failed ELB health checks in (target-group {arn})"
                ));
            }
        }
    }
    let unchecked = !checked && service.spec.load_balancers.is_empty();
    if pending || (unchecked && age < PROBATION) {
        Fitness::Pending
    } else {
        Fitness::Healthy
    }
}
