//! What becomes of tasks whose host has fallen silent, and that no load balancer sees.

use crate::world::{Step, World};

/// `api`, which has no load balancer, runs and is steady.
fn world() -> World {
    let mut world = World::new(50, 200);
    world.settle();
    world
}

fn wait_and_look(world: &mut World) {
    for _ in 0..5 {
        world.take(&Step::Wait(10));
        world.take(&Step::Pass);
    }
}

#[test]
fn silence_of_every_agent_stops_nothing() {
    let mut world = world();
    let before = world.wanted();
    for instance in 0..3 {
        world.take(&Step::Connect(instance, false));
    }
    wait_and_look(&mut world);
    assert_eq!(world.wanted(), before);
    for instance in 0..3 {
        world.take(&Step::Connect(instance, true));
    }
    wait_and_look(&mut world);
    assert_eq!(
        world.wanted(),
        before,
        "the agents are back, and nothing has moved"
    );
}

#[test]
fn a_lost_task_goes_only_when_its_replacement_is_healthy() {
    let mut world = world();
    let before = world.wanted();
    let silent = world.instance_of_a_task_of_api();
    world.take(&Step::Connect(silent, false));
    world.take(&Step::Wait(10));
    world.take(&Step::Pass);
    let meanwhile = world.wanted();
    assert!(meanwhile.is_superset(&before) && meanwhile.len() > before.len());
    // The replacement starts, and has run for long enough to count.
    world.take(&Step::TaskProgresses(0));
    world.take(&Step::Wait(60));
    world.take(&Step::Pass);
    let afterwards = world.wanted();
    assert_eq!(afterwards.len(), before.len());
    assert!(!afterwards.is_superset(&before), "the lost task went");
}
