//! No host is given more than it has: not by the state's books, and not by what really runs there.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_core::ClusterState;
use roadstead_core::id::ContainerInstanceId;
use roadstead_core::resources::Resources;

use super::Name::NoOvercommit;
use crate::host::Machine;
use crate::world::World;

/// What each instance has reserved is the sum of its tasks, and within what it has.
pub(crate) fn books(world: &World, state: &ClusterState) {
    let mut sums: BTreeMap<&ContainerInstanceId, (u32, u32, usize, BTreeSet<_>)> = BTreeMap::new();
    for task in state.tasks.values().filter(|task| !task.stopped()) {
        let sum = sums.entry(&task.container_instance).or_default();
        sum.0 += task.reserved.cpu_units;
        sum.1 += task.reserved.memory_mib;
        sum.2 += task.reserved.ports.len();
        sum.3.extend(&task.reserved.ports);
    }
    for instance in state.container_instances.values() {
        let (cpu, memory, ports, distinct) = sums.remove(&instance.id).unwrap_or_default();
        let Resources {
            cpu_units,
            memory_mib,
            ports: reserved,
        } = &instance.reserved;
        let equal =
            cpu == *cpu_units && memory == *memory_mib && distinct == reserved.iter().collect();
        if !equal || ports != distinct.len() {
            let text = format!("the books of {} are not the sum of its tasks", instance.id);
            world.violated(NoOvercommit, text);
        }
        let has = &instance.registered;
        if cpu > has.cpu_units || memory > has.memory_mib {
            let text = format!(
                "{} has given away {cpu} of {} CPU units and {memory} of {} MiB",
                instance.id, has.cpu_units, has.memory_mib
            );
            world.violated(NoOvercommit, text);
        }
    }
}

/// What runs on a host fits there, together with what the state has reserved for others.
pub(crate) fn really(world: &World, state: &ClusterState, machine: &Machine) {
    let id = ContainerInstanceId::new(&machine.id);
    let (mut cpu, mut memory) = (0, 0);
    let mut ports = BTreeSet::new();
    for container in machine.containers.values() {
        cpu += container.cpu_units;
        memory += container.memory_mib;
        if !ports.insert(container.host_port) {
            let text = format!("two containers have port {} of {id}", container.host_port);
            world.violated(NoOvercommit, text);
        }
    }
    for task in state.live_tasks_on(&id) {
        if !machine.containers.contains_key(task.id.as_str()) {
            cpu += task.reserved.cpu_units;
            memory += task.reserved.memory_mib;
        }
    }
    if cpu > machine.cpu_units || memory > machine.memory_mib {
        let text = format!(
            "{id} has {} CPU units and {} MiB, and runs or waits for {cpu} and {memory}",
            machine.cpu_units, machine.memory_mib
        );
        world.violated(NoOvercommit, text);
    }
}
