//! What must be true of every state, and of every step from one to the next.

use std::collections::BTreeSet;

use roadstead_core::deployment::{Fitness, fitness, floor_and_ceiling};
use roadstead_core::resources::Resources;
use roadstead_core::state::task::{DesiredStatus, StopCode};
use roadstead_core::{ClusterState, Command, Timestamp};

/// No instance has given away more than it has, and what it says is reserved is the sum.
pub(crate) fn no_overcommit(state: &ClusterState) {
    for instance in state.container_instances.values() {
        let mut sum = Resources::default();
        let mut ports = BTreeSet::new();
        for task in state
            .tasks
            .values()
            .filter(|task| !task.stopped() && task.container_instance == instance.id)
        {
            sum.cpu_units += task.reserved.cpu_units;
            sum.memory_mib += task.reserved.memory_mib;
            for port in &task.reserved.ports {
                assert!(
                    ports.insert(*port),
                    "port {port:?} is given away twice on {}",
                    instance.id
                );
            }
        }
        assert_eq!(
            sum.cpu_units, instance.reserved.cpu_units,
            "CPU reserved on {}",
            instance.id
        );
        assert_eq!(
            sum.memory_mib, instance.reserved.memory_mib,
            "memory reserved on {}",
            instance.id
        );
        assert_eq!(
            ports, instance.reserved.ports,
            "ports reserved on {}",
            instance.id
        );
        assert!(
            sum.cpu_units <= instance.registered.cpu_units,
            "CPU overcommitted on {}",
            instance.id
        );
        assert!(
            sum.memory_mib <= instance.registered.memory_mib,
            "memory overcommitted on {}",
            instance.id
        );
    }
}

/// A start keeps the ceiling, and a stop by the scheduler keeps the floor.
pub(crate) fn floor_and_ceiling_kept(
    before: &ClusterState,
    command: &Command,
    after: &ClusterState,
) {
    match command {
        Command::StartTasks { tasks, .. } => {
            for task in tasks {
                let Some(id) = after.tasks.get(&task.id).and_then(|task| task.service_id()) else {
                    continue;
                };
                let (_, ceiling) = bounds(after, &id);
                let wanted = after
                    .live_tasks_of(&id)
                    .filter(|task| task.desired_status == DesiredStatus::Running)
                    .count();
                assert!(
                    wanted <= ceiling,
                    "{id} has {wanted} tasks over a ceiling of {ceiling}"
                );
            }
        }
        Command::StopTasks {
            code: StopCode::ServiceSchedulerInitiated,
            tasks,
            at,
            ..
        } => {
            let of = |task| before.tasks.get(task).and_then(|task| task.service_id());
            for id in tasks.iter().filter_map(of).collect::<BTreeSet<_>>() {
                let (floor, _) = bounds(after, &id);
                let (had, has) = (healthy(before, &id, *at), healthy(after, &id, *at));
                assert!(
                    has == had || has >= floor,
                    "{id} went from {had} to {has} healthy under a floor of {floor}"
                );
            }
        }
        _ => {}
    }
}

fn bounds(state: &ClusterState, id: &roadstead_core::id::ServiceId) -> (usize, usize) {
    let spec = &state.services[id].spec;
    floor_and_ceiling(spec.desired_count, spec.deployment_configuration)
}

fn healthy(state: &ClusterState, id: &roadstead_core::id::ServiceId, now: Timestamp) -> usize {
    let service = &state.services[id];
    state
        .live_tasks_of(id)
        .filter(|task| fitness(state, service, task, now) == Fitness::Healthy)
        .count()
}

/// Statuses only grow.
pub(crate) fn nothing_moves_backwards(before: &ClusterState, after: &ClusterState) {
    for (id, task) in &before.tasks {
        if let Some(later) = after.tasks.get(id) {
            assert!(
                later.last_status >= task.last_status,
                "task {id} moved backwards"
            );
            let revived = task.desired_status == DesiredStatus::Stopped
                && later.desired_status == DesiredStatus::Running;
            assert!(!revived, "task {id} was revived");
        }
    }
    assert!(after.version >= before.version && after.routing_version >= before.routing_version);
}

/// The agent is told to stop a task only when no load balancer may still have a request there.
pub(crate) fn drained_before_stopped(state: &ClusterState) {
    for task in state
        .tasks
        .values()
        .filter(|task| task.draining_until.is_some())
    {
        assert_eq!(
            task.instruction(),
            DesiredStatus::Running,
            "task {} is stopped while it drains",
            task.id
        );
    }
}
