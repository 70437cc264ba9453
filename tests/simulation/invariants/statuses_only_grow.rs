//! A task never moves backwards, whoever reports what and when.

use std::sync::Arc;

use roadstead_core::ClusterState;
use roadstead_core::state::task::DesiredStatus;

use super::Name::StatusesOnlyGrow;
use crate::world::World;

pub(crate) fn check(world: &World, before: &ClusterState, after: &ClusterState) {
    for (id, task) in &before.tasks {
        let Some(later) = after
            .tasks
            .get(id)
            .filter(|later| !Arc::ptr_eq(later, task))
        else {
            continue;
        };
        let revived = task.desired_status == DesiredStatus::Stopped
            && later.desired_status == DesiredStatus::Running;
        if later.last_status < task.last_status || revived {
            let text = format!(
                "task {id} moved from {:?} back to {:?}, wanted {:?}",
                task.last_status, later.last_status, later.desired_status
            );
            world.violated(StatusesOnlyGrow, text);
        }
    }
    let versions =
        after.version >= before.version && after.routing_version >= before.routing_version;
    for (id, instance) in &before.container_instances {
        let later = after.container_instances.get(id);
        if !versions || later.is_some_and(|later| later.desired_version < instance.desired_version)
        {
            world.violated(
                StatusesOnlyGrow,
                format!("a version moved backwards at {id}"),
            );
        }
    }
}
