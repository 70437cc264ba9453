//! How a service tries again to start what does not start.

use std::time::Duration;

use crate::world::{Step, World};

#[test]
fn a_service_whose_tasks_fail_waits_longer_each_time() {
    let mut world = World::new(100, 200);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        world.take(&Step::Pass);
        world.fail_a_task_of_web();
        pauses.push(world.pause_of_web());
        world.take(&Step::Wait(60));
    }
    assert_eq!(pauses, [1, 2, 4, 8].map(Duration::from_secs));
}

#[test]
fn what_an_old_revision_does_holds_up_no_new_one() {
    let mut world = World::new(100, 200);
    world.take(&Step::Pass);
    world.take(&Step::Update(0));
    for _ in 0..3 {
        world.fail_a_task_of_web();
        world.take(&Step::Wait(5));
    }
    assert_eq!(world.pause_of_web(), Duration::ZERO);
}

#[test]
fn a_change_by_the_user_is_tried_at_once() {
    let mut world = World::new(100, 200);
    world.take(&Step::Pass);
    world.fail_a_task_of_web();
    assert!(world.pause_of_web() > Duration::ZERO);
    world.take(&Step::Scale(0, 4));
    assert_eq!(world.pause_of_web(), Duration::ZERO);
}
