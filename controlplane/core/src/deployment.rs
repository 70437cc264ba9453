//! Keeps a service at its desired count and rolls it from one task definition to the next.
//!
//! One pass looks at the whole service and says what to start and what to stop:
//!
//!     start   what the primary deployment lacks, as far as the ceiling lets
//!     stop    what has no future here (old, unhealthy, on a draining instance), as far as the
//!             floor lets; what is not healthy holds up no floor and goes first
//!
//! The floor rounds up and the ceiling down, as ECS rounds. Restart, failover, scaling, draining
//! and rollout are this one path. Rules: "Deploy Amazon ECS services by replacing tasks".

mod health;
mod pass;
mod resting;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::{DeploymentId, ServiceId, TaskId};
use crate::scheduler::{Demand, Kind, Scratch};
use crate::state::service::{
    Counts, DeploymentConfiguration, RolloutState, Service, ServiceStatus,
};
use crate::state::task::{DesiredStatus, NewTask, StopCode, TaskService};
use crate::{ClusterState, Command, Rejection, Timestamp};

pub use health::{Fitness, fitness};
use pass::Pass;
pub use resting::Resting;

/// What a pass needs from outside: fresh ids and what the load balancers have counted.
pub trait Outside {
    /// Returns an id that was never used.
    fn task_id(&mut self) -> TaskId;
    /// Returns what has been counted for a deployment until now.
    fn counts(&self, deployment: DeploymentId) -> Counts;
}

/// What one pass found.
#[derive(Debug)]
pub struct Step {
    pub commands: Vec<Command>,
    pub rest: Rest,
}

/// How long a service needs no other look: while it, its tasks and the status of their instances are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// There is something to do, or something else may make room for it.
    No,
    Until(Timestamp),
    UntilChange,
}

/// Returns what to do for `service` now.
pub fn advance(
    state: &ClusterState,
    scratch: &mut Scratch<'_>,
    service: &Arc<Service>,
    now: Timestamp,
    outside: &mut impl Outside,
) -> Step {
    if service.status == ServiceStatus::Inactive {
        return Step {
            commands: Vec::new(),
            rest: Rest::UntilChange,
        };
    }
    let pass = Pass::new(state, service, now);
    let (mut commands, unplaced) = start(state, scratch, &pass, outside);
    commands.extend(stop(&pass, unplaced));
    if commands.is_empty() {
        commands.extend(conclude(state, &pass, outside));
    }
    let rest = if commands.is_empty() {
        pass.rest()
    } else {
        Rest::No
    };
    Step { commands, rest }
}

/// Returns what to start, and how many tasks found no room.
fn start(
    state: &ClusterState,
    scratch: &mut Scratch<'_>,
    pass: &Pass<'_>,
    outside: &mut impl Outside,
) -> (Vec<Command>, usize) {
    let count = pass.may_start();
    let service = pass.service;
    let (tasks, problem) = match count {
        // Most passes start nothing.
        0 => (Vec::new(), None),
        _ => place(state, scratch, service, count, outside),
    };
    let unplaced = problem.as_ref().map_or(0, |_| count - tasks.len());
    let mut commands = Vec::new();
    if !tasks.is_empty() {
        commands.push(Command::StartTasks {
            tasks,
            at: pass.now,
        });
    }
    let told = service.problem.as_ref();
    let problem = problem.or_else(|| pass.stuck());
    commands.extend(
        problem
            .filter(|message| told != Some(message))
            .map(|message| Command::ReportProblem {
                service: service.id.clone(),
                message,
                at: pass.now,
            }),
    );
    (commands, unplaced)
}

/// Returns as many tasks as find room, and why not all of them do.
fn place(
    state: &ClusterState,
    scratch: &mut Scratch<'_>,
    service: &Service,
    count: usize,
    outside: &mut impl Outside,
) -> (Vec<NewTask>, Option<String>) {
    let primary = service.primary();
    let Some(definition) = state.task_definitions.get(&primary.task_definition) else {
        return (Vec::new(), None);
    };
    let demand = Demand {
        cluster: &service.id.cluster,
        kind: Kind::Deployment(&service.id, primary.id),
        needed: definition.reservation(),
        strategy: &service.spec.placement_strategy,
    };
    let mut places = scratch.places(&demand);
    let mut tasks = Vec::new();
    for _ in 0..count {
        match places.take() {
            Ok(container_instance) => tasks.push(NewTask {
                id: outside.task_id(),
                cluster: service.id.cluster.clone(),
                task_definition: primary.task_definition.clone(),
                container_instance,
                service: Some(TaskService {
                    name: service.id.service.clone(),
                    deployment: primary.id,
                }),
                group: None,
                started_by: Some(primary.id.to_string()),
                overrides: Vec::new(),
            }),
            Err(nowhere) => return (tasks, Some(nowhere.to_string())),
        }
    }
    (tasks, None)
}

fn stop(pass: &Pass<'_>, unplaced: usize) -> Vec<Command> {
    pass.may_stop(unplaced)
        .into_iter()
        .map(|(reason, tasks)| Command::StopTasks {
            tasks,
            code: StopCode::ServiceSchedulerInitiated,
            reason,
            at: pass.now,
        })
        .collect()
}

/// Nothing is left to start or stop: says what that means.
fn conclude(state: &ClusterState, pass: &Pass<'_>, outside: &impl Outside) -> Option<Command> {
    let service = pass.service;
    let id: ServiceId = service.id.clone();
    if service.status == ServiceStatus::Draining {
        let gone = state
            .live_tasks_of(&id)
            .all(|task| task.instruction() == DesiredStatus::Stopped);
        return gone.then_some(Command::FinishServiceDeletion {
            service: id,
            at: pass.now,
        });
    }
    if !pass.settled() {
        return None;
    }
    let primary = service.primary();
    if primary.rollout_state == RolloutState::InProgress {
        let (deployment, counts) = (primary.id, outside.counts(primary.id));
        return Some(Command::CompleteDeployment {
            service: id,
            deployment,
            counts,
            at: pass.now,
        });
    }
    (!service.steady).then_some(Command::ReportSteadyState {
        service: id,
        at: pass.now,
    })
}

/// Refuses a start that was decided on an older snapshot and would now break the ceiling.
pub(crate) fn check_ceiling(state: &ClusterState, tasks: &[NewTask]) -> Result<(), Rejection> {
    let Some((first, of)) = tasks
        .first()
        .and_then(|task| Some((task, task.service.as_ref()?)))
    else {
        return Ok(());
    };
    let id = ServiceId {
        cluster: first.cluster.clone(),
        service: of.name.clone(),
    };
    if tasks
        .iter()
        .any(|task| task.cluster != first.cluster || task.service.as_ref() != Some(of))
    {
        return Err(Rejection::stale(
            "tasks of several services cannot be started as one",
        ));
    }
    match state.services.get(&id) {
        Some(service)
            if Pass::new(state, service, Timestamp::default()).ceiling_kept_with(tasks.len()) =>
        {
            Ok(())
        }
        Some(_) | None => Err(Rejection::stale(format!(
            "service {id} has as many tasks as it may"
        ))),
    }
}

/// Refuses a stop that was decided on an older snapshot and would now break the floor.
pub(crate) fn check_floor(
    state: &ClusterState,
    tasks: &[TaskId],
    at: Timestamp,
) -> Result<(), Rejection> {
    let of = |task: &TaskId| state.tasks.get(task).and_then(|task| task.service_id());
    let leaving: BTreeSet<_> = tasks.iter().collect();
    for id in tasks.iter().filter_map(of).collect::<BTreeSet<_>>() {
        let kept =
            |service: &Arc<Service>| Pass::new(state, service, at).floor_kept_without(&leaving);
        if !state.services.get(&id).is_some_and(kept) {
            return Err(Rejection::stale(format!(
                "service {id} cannot spare these tasks now"
            )));
        }
    }
    Ok(())
}

/// Returns floor and ceiling of a service: how many tasks must be healthy, how many may be wanted.
#[must_use]
pub fn floor_and_ceiling(desired: u32, configuration: DeploymentConfiguration) -> (usize, usize) {
    let floor = (desired * configuration.minimum_healthy_percent).div_ceil(100);
    let ceiling = desired * configuration.maximum_percent / 100;
    (floor as usize, ceiling as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rounds_up_and_the_ceiling_down() {
        let configuration = |minimum_healthy_percent, maximum_percent| DeploymentConfiguration {
            minimum_healthy_percent,
            maximum_percent,
        };
        assert_eq!(floor_and_ceiling(3, configuration(50, 150)), (2, 4));
        assert_eq!(floor_and_ceiling(10, configuration(100, 120)), (10, 12));
        assert_eq!(floor_and_ceiling(1, configuration(100, 150)), (1, 1));
        assert_eq!(floor_and_ceiling(0, configuration(100, 200)), (0, 0));
    }
}
