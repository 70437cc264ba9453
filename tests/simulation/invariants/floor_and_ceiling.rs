//! A rolling deployment keeps its floor and its ceiling.
//!
//! Promised is what the control plane does by itself: it never stops a task so that fewer than the floor are healthy, by what
//! it knows then, and never starts one so that more than the ceiling are wanted. What a host takes with it when it dies, or a
//! user stops, is below the floor without anybody's fault.

use std::collections::BTreeSet;

use roadstead_core::deployment::{Fitness, fitness};
use roadstead_core::id::ServiceId;
use roadstead_core::state::task::{DesiredStatus, LastStatus, TargetHealth, Task};
use roadstead_core::{ClusterState, Command, Timestamp};

use super::Name::FloorAndCeiling;
use crate::user::STOPPED_BY_USER;
use crate::world::World;

pub(crate) fn check(world: &World, before: &ClusterState, command: &Command, after: &ClusterState) {
    match command {
        Command::StartTasks { tasks, .. } => {
            let started = tasks
                .iter()
                .filter_map(|one| after.tasks.get(&one.id)?.service_id());
            for id in started.collect::<BTreeSet<_>>() {
                ceiling(world, before, &id, after);
            }
        }
        Command::StopTasks {
            tasks, reason, at, ..
        } if reason != STOPPED_BY_USER => {
            let stopped = tasks
                .iter()
                .filter_map(|one| before.tasks.get(one)?.service_id());
            for id in stopped.collect::<BTreeSet<_>>() {
                floor(world, before, &id, after, *at);
            }
        }
        _ => {}
    }
}

fn ceiling(world: &World, before: &ClusterState, id: &ServiceId, after: &ClusterState) {
    let (_, ceiling) = bounds(after, id);
    let wanted = |state: &ClusterState| {
        let tasks = state.live_tasks_of(id);
        tasks
            .filter(|task| task.desired_status == DesiredStatus::Running)
            .count()
    };
    let (had, has) = (wanted(before), wanted(after));
    if has > had && has > ceiling {
        let text = format!("{id} has {has} tasks over a ceiling of {ceiling}");
        world.violated(FloorAndCeiling, text);
    }
}

fn floor(
    world: &World,
    before: &ClusterState,
    id: &ServiceId,
    after: &ClusterState,
    at: Timestamp,
) {
    let (floor, _) = bounds(after, id);
    let (had, has) = (healthy(before, id, at), healthy(after, id, at));
    if has < had && has < floor {
        let text = format!("{id} went from {had} to {has} healthy tasks under a floor of {floor}");
        world.violated(FloorAndCeiling, text);
    }
}

/// The floor is rounded up and the ceiling down; reckoned here without the help of what is tested.
fn bounds(state: &ClusterState, id: &ServiceId) -> (usize, usize) {
    let spec = &state.services[id].spec;
    let desired = spec.desired_count as usize;
    let limits = spec.deployment_configuration;
    let floor = (desired * limits.minimum_healthy_percent as usize).div_ceil(100);
    (floor, desired * limits.maximum_percent as usize / 100)
}

fn healthy(state: &ClusterState, id: &ServiceId, now: Timestamp) -> usize {
    let service = &state.services[id];
    let fit = |task: &Task| {
        if service.spec.load_balancers.is_empty() {
            return fitness(state, service, task, now) == Fitness::Healthy;
        }
        // Counted here without the help of what is tested.
        task.desired_status == DesiredStatus::Running
            && task.last_status == LastStatus::Running
            && service.spec.load_balancers.iter().all(|balancer| {
                task.target_health.get(&balancer.target_group) == Some(&TargetHealth::Healthy)
            })
    };
    state.live_tasks_of(id).filter(|task| fit(task)).count()
}
