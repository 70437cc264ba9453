//! Nothing is lost and nothing is doubled.
//!
//! What a user was told to be written is there. A container that runs belongs to a task that the control plane knows, on that
//! host; and no task is ever started twice.

use std::collections::BTreeMap;

use roadstead_core::ClusterState;
use roadstead_core::id::{ServiceId, TaskId};
use roadstead_core::state::service::{ServiceSpec, ServiceStatus};

use super::Name::NothingLost;
use crate::host::Machine;
use crate::world::{World, lock};

/// Where each task was started.
pub(crate) type Started = BTreeMap<String, String>;
/// What the user was told of each service, last.
pub(crate) type Wishes = BTreeMap<ServiceId, Wish>;

/// What must be true of a service.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Is(Box<ServiceSpec>),
    Deleted,
    /// The last write may have taken place or not.
    Unknown,
}

/// A host starts a container.
pub(crate) fn starts(world: &World, state: &ClusterState, machine: &Machine, task: &str) {
    let before = lock(&world.ledger)
        .started
        .insert(task.to_owned(), machine.id.clone());
    if let Some(before) = before {
        let text = format!(
            "task {task} is started on {} and was on {before}",
            machine.id
        );
        world.violated(NothingLost, text);
    }
    let known = state.tasks.get(&TaskId::new(task));
    if known.is_none_or(|known| known.container_instance.as_str() != machine.id) {
        let text = format!(
            "{} starts task {task}, which nobody has placed there",
            machine.id
        );
        world.violated(NothingLost, text);
    }
}

/// A task that the state holds for stopped does not run any more.
pub(crate) fn tasks_stop_where_they_run(
    world: &World,
    before: &ClusterState,
    after: &ClusterState,
) {
    for (id, task) in &before.tasks {
        let over = after.tasks.get(id).is_none_or(|later| later.stopped());
        if task.stopped() || !over {
            continue;
        }
        let runs = world.hosts.iter().find(|host| host.runs(id.as_str()));
        if let Some(host) = runs {
            let text = format!(
                "task {id} still runs on {} and counts as stopped",
                host.id()
            );
            world.violated(NothingLost, text);
        }
    }
}

/// What was acknowledged is in the state.
pub(crate) fn wishes_are_kept(world: &World) {
    let state = world.state();
    for (id, wish) in &lock(&world.ledger).wishes {
        let service = state.services.get(id);
        let kept = match wish {
            Wish::Unknown => true,
            Wish::Is(spec) => {
                service.is_some_and(|one| one.status == ServiceStatus::Active && one.spec == **spec)
            }
            Wish::Deleted => service.is_none_or(|one| one.status != ServiceStatus::Active),
        };
        if !kept {
            let spec = service.map(|service| (service.status, &service.spec));
            let text = format!("{id} was acknowledged as {wish:?} and is {spec:?}");
            world.violated(NothingLost, text);
        }
    }
}
