//! When the trouble is over, everything comes to rest: every service at its count, on the revision that it shall run, with
//! every target healthy; and no host has anything that it should not have.

use roadstead_core::ClusterState;
use roadstead_core::state::service::{RolloutState, Service, ServiceStatus};
use roadstead_core::state::task::{DesiredStatus, LastStatus, TargetHealth};

use crate::world::World;

/// Returns what is not at rest yet.
pub(crate) fn unrest(world: &World) -> Vec<String> {
    let state = world.state();
    let mut unrest = Vec::new();
    for (server, (applied, _)) in world.log.states().iter().enumerate() {
        if *applied != world.log.length() {
            unrest.push(format!("server {server} has not applied everything"));
        }
    }
    for instance in state.container_instances.values() {
        if !instance.agent_connected {
            unrest.push(format!(
                "the agent of {} counts as disconnected",
                instance.id
            ));
        }
    }
    if state.load_balancer_nodes.len() != crate::world::BALANCERS {
        unrest.push("not every load balancer is registered".to_owned());
    }
    for service in state.services.values() {
        unrest.extend(unrest_of(&state, service));
    }
    for task in state.tasks.values() {
        if !task.stopped() && task.desired_status == DesiredStatus::Stopped {
            unrest.push(format!("task {} has not stopped", task.id));
        }
    }
    for host in &world.hosts {
        unrest.extend(host.leftovers(&state));
    }
    unrest
}

fn unrest_of(state: &ClusterState, service: &Service) -> Option<String> {
    let id = &service.id;
    if service.status != ServiceStatus::Active {
        let gone = service.status == ServiceStatus::Inactive;
        return (!gone).then(|| format!("{id} is still being deleted"));
    }
    let primary = service.primary();
    if !service.steady || primary.rollout_state != RolloutState::Completed {
        let said = service.events.front().map(|event| event.message.as_str());
        return Some(format!(
            "{id} is not steady: {:?}, says {said:?}, waits until {:?}",
            primary.rollout_state, service.retry_at
        ));
    }
    let tasks: Vec<_> = state.live_tasks_of(id).collect();
    if tasks.len() != service.spec.desired_count as usize || service.deployments.len() != 1 {
        return Some(format!(
            "{id} has {} tasks, not {}",
            tasks.len(),
            service.spec.desired_count
        ));
    }
    tasks.into_iter().find_map(|task| {
        let balancers = &service.spec.load_balancers;
        let healthy = balancers.iter().all(|balancer| {
            task.target_health.get(&balancer.target_group) == Some(&TargetHealth::Healthy)
        });
        let current = task.task_definition == service.spec.task_definition;
        let runs = task.last_status == LastStatus::Running;
        (!healthy || !current || !runs)
            .then(|| format!("task {} of {id} is not as it shall be", task.id))
    })
}
