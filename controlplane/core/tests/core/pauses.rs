//! How a service's requests are held.

use std::time::Duration;

use crate::world::{Step, World};

#[test]
fn a_pause_reaches_the_target_group_and_ends_when_the_user_says() {
    let mut world = World::new(100, 200);
    world.take(&Step::Pass);
    assert_eq!(world.paused_until(), None);
    let until = world.pause(0, Some(Duration::from_secs(60))).unwrap();
    assert_eq!(world.paused_until(), until);
    assert_eq!(world.pause(0, None), Ok(None));
    assert_eq!(world.paused_until(), None);
}

#[test]
fn a_pause_that_is_too_long_or_of_nothing_is_refused() {
    let mut world = World::new(100, 200);
    for seconds in [0, 601] {
        let refused = world.pause(0, Some(Duration::from_secs(seconds)));
        assert!(refused.unwrap_err().message.contains("1 to 600"));
    }
    let refused = world.pause(1, Some(Duration::from_secs(60)));
    assert!(refused.unwrap_err().message.contains("no target group"));
}
