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
        kind: Kind::Group("family:web"),
        needed: needed.clone(),
        strategy,
    };
    let mut places = scratch.places(&demand);
    (0..count)
        .map(|_| places.take().map(|id| id.to_string()))
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

/// Chooses as the documentation of the strategies says, by looking at everything anew for each task.
fn naive(
    state: &ClusterState,
    count: usize,
    needed: &Resources,
    strategy: &[Strategy],
) -> Vec<Option<String>> {
    let mut instances: Vec<ContainerInstance> = state
        .container_instances
        .values()
        .map(|one| (**one).clone())
        .collect();
    let mut on: BTreeMap<ContainerInstanceId, usize> = BTreeMap::new();
    let mut choose = || {
        let of = |one: &ContainerInstance| on.get(&one.id).copied().unwrap_or(0);
        let key = |one: &ContainerInstance| -> Vec<usize> {
            let keys = strategy.iter().map(|strategy| match strategy {
                Strategy::Spread(SpreadField::Instance) => of(one),
                Strategy::Spread(SpreadField::Attribute(name)) => {
                    let same = instances.iter().filter(|other| {
                        one.attribute(name).is_some()
                            && other.attribute(name) == one.attribute(name)
                    });
                    same.map(of).sum()
                }
                Strategy::Binpack(BinpackField::Cpu) => {
                    (one.registered.cpu_units - one.reserved.cpu_units) as usize
                }
                Strategy::Binpack(BinpackField::Memory) => {
                    (one.registered.memory_mib - one.reserved.memory_mib) as usize
                }
            });
            keys.collect()
        };
        let fits = instances
            .iter()
            .enumerate()
            .filter(|(_, one)| one.reserved.lack(&one.registered, needed).is_none());
        let best = fits.min_by_key(|(_, one)| (key(one), one.reserved.memory_mib, one.id.clone()));
        let at = best.map(|(at, _)| at)?;
        instances[at].reserved.reserve(needed);
        *on.entry(instances[at].id.clone()).or_default() += 1;
        Some(instances[at].id.to_string())
    };
    (0..count).map(|_| choose()).collect()
}

fn any_strategy() -> impl proptest::strategy::Strategy<Value = Strategy> {
    proptest::sample::select(vec![
        Strategy::Spread(SpreadField::Instance),
        Strategy::Spread(SpreadField::Attribute("ecs.availability-zone".to_owned())),
        Strategy::Spread(SpreadField::Attribute("rack".to_owned())),
        Strategy::Binpack(BinpackField::Cpu),
        Strategy::Binpack(BinpackField::Memory),
    ])
}

proptest::proptest! {
    #[test]
    fn the_heaps_choose_what_looking_at_everything_would_choose(
        sizes in proptest::collection::vec((0..3_usize, 0..3_usize, 5..40_u32, 5..40_u32), 1..12),
        strategy in proptest::collection::vec(any_strategy(), 0..4),
        needed in (1..6_u32, 1..6_u32),
        count in 1..60_usize,
    ) {
        let instances = sizes.iter().enumerate().map(|(at, (zone, rack, cpu, memory))| {
            let mut one = instance(&format!("i{at:02}"), ["a", "b", "c"][*zone], *cpu, *memory);
            // One of three has no such attribute.
            if *rack > 0 {
                one.attributes.insert("rack".to_owned(), rack.to_string());
            }
            one
        });
        let state = state(instances.collect());
        let needed = resources(needed.0, needed.1);
        let chosen = place(&state, count, &needed, &strategy);
        let chosen: Vec<_> = chosen.into_iter().map(Result::ok).collect();
        proptest::prop_assert_eq!(chosen, naive(&state, count, &needed, &strategy));
    }
}
