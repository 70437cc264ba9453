use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::Timestamp;
use crate::resources::{Lack, Protocol};
use crate::state::container_instance::{ContainerInstance, InstanceStatus};

/// An instance with `cpu` units and `memory` MiB in availability zone `zone`.
fn instance(id: &str, zone: &str, cpu: u32, memory: u32) -> ContainerInstance {
    ContainerInstance {
        id: ContainerInstanceId::new(id),
        cluster: ClusterName::new("default"),
        host_name: id.to_owned(),
        address: "10.0.0.1".to_owned(),
        agent_version: "1".to_owned(),
        registered: resources(cpu, memory),
        attributes: BTreeMap::from([("ecs.availability-zone".to_owned(), zone.to_owned())]),
        status: InstanceStatus::Active,
        agent_connected: true,
        registered_at: Timestamp(0),
        connection_changed_at: Timestamp(0),
        reserved: Resources::default(),
        desired_version: 0,
    }
}

fn resources(cpu_units: u32, memory_mib: u32) -> Resources {
    Resources {
        cpu_units,
        memory_mib,
        ..Resources::default()
    }
}

fn state(instances: Vec<ContainerInstance>) -> ClusterState {
    let mut state = ClusterState::default();
    for instance in instances {
        state
            .container_instances
            .insert(instance.id.clone(), Arc::new(instance));
    }
    state
}

/// Places `count` equal tasks and returns where they went.
fn place(
    state: &ClusterState,
    count: usize,
    needed: &Resources,
    strategy: &[Strategy],
) -> Vec<Result<String, Nowhere>> {
    let mut scratch = Scratch::new(state);
    let cluster = ClusterName::new("default");
    let demand = Demand {
        cluster: &cluster,
        group: "service:web",
        deployment: None,
        needed: needed.clone(),
        strategy,
    };
    (0..count)
        .map(|_| scratch.place(&demand).map(|id| id.to_string()))
        .collect()
}

fn placed(placements: Vec<Result<String, Nowhere>>) -> Vec<String> {
    placements
        .into_iter()
        .map(|one| one.expect("it fits"))
        .collect()
}

#[test]
fn tasks_spread_over_zones_first_and_then_over_instances() {
    let instances = vec![
        instance("a1", "a", 1024, 1024),
        instance("a2", "a", 1024, 1024),
        instance("b1", "b", 1024, 1024),
    ];
    let at = placed(place(
        &state(instances),
        4,
        &resources(10, 10),
        &default_strategy(),
    ));
    assert_eq!(
        at.iter().filter(|id| *id == "b1").count(),
        2,
        "half of them in zone b: {at:?}"
    );
    assert_eq!(at.iter().filter(|id| *id == "a1").count(), 1, "{at:?}");
}

#[test]
fn binpack_fills_one_instance_before_it_opens_the_next() {
    let instances = vec![
        instance("large", "a", 1024, 1000),
        instance("small", "a", 1024, 300),
    ];
    let strategy = [Strategy::Binpack(BinpackField::Memory)];
    let at = placed(place(&state(instances), 4, &resources(1, 100), &strategy));
    assert_eq!(at, ["small", "small", "small", "large"]);
}

#[test]
fn the_choices_of_one_pass_count_each_other() {
    let placements = place(
        &state(vec![instance("one", "a", 100, 250)]),
        3,
        &resources(1, 100),
        &[],
    );
    assert!(placements[0].is_ok() && placements[1].is_ok());
    let nowhere = placements[2]
        .as_ref()
        .expect_err("250 MiB hold two tasks of 100");
    assert_eq!(
        nowhere.0,
        [(ContainerInstanceId::new("one"), Unfit::Lacks(Lack::Memory))]
    );
}

#[test]
fn a_static_port_is_given_away_once_per_instance() {
    let needed = Resources {
        ports: [(Protocol::Tcp, 80)].into(),
        ..resources(1, 1)
    };
    let instances = vec![
        instance("one", "a", 100, 100),
        instance("two", "a", 100, 100),
    ];
    let placements = place(&state(instances), 3, &needed, &default_strategy());
    assert!(placements[0].is_ok() && placements[1].is_ok() && placements[2].is_err());
}

#[test]
fn a_port_that_the_instance_reserves_for_itself_is_not_given_away() {
    let mut host = instance("one", "a", 100, 100);
    host.registered.ports.insert((Protocol::Tcp, 22));
    let needed = Resources {
        ports: [(Protocol::Tcp, 22)].into(),
        ..resources(1, 1)
    };
    let placements = place(&state(vec![host]), 1, &needed, &[]);
    assert_eq!(
        placements[0].as_ref().unwrap_err().0[0].1,
        Unfit::Lacks(Lack::Ports)
    );
}

#[test]
fn draining_and_disconnected_instances_take_nothing_and_the_closest_is_named() {
    let mut draining = instance("draining", "a", 100, 100);
    draining.status = InstanceStatus::Draining;
    let mut silent = instance("silent", "a", 100, 100);
    silent.agent_connected = false;
    let full = instance("full", "a", 100, 5);
    let nowhere = place(
        &state(vec![draining, silent, full]),
        1,
        &resources(1, 10),
        &[],
    );
    let text = nowhere[0].as_ref().unwrap_err().to_string();
    assert!(
        text.contains("(container-instance full) has insufficient memory available."),
        "{text}"
    );
}

#[test]
fn a_cluster_without_instances_says_so() {
    let nowhere = place(&state(Vec::new()), 1, &resources(1, 1), &[]);
    let text = nowhere[0].as_ref().unwrap_err().to_string();
    assert!(
        text.ends_with("Reason: No Container Instances were found in your cluster."),
        "{text}"
    );
}
