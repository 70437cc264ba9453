//! What always holds, whatever happens in whatever order.
//!
//! A world of a few instances and services lives through random steps: passes of the loops, tasks
//! that start, fail, answer or fall ill, users who update, scale, drain and stop. After each command
//! the invariants are checked; at the end the trouble stops and everything must settle.

use crate::world::{Step, World};
use proptest::prelude::*;

fn step() -> impl Strategy<Value = Step> {
    let any_index = 0_usize..64;
    prop_oneof![
        6 => Just(Step::Pass),
        2 => Just(Step::Remember),
        2 => Just(Step::StalePass),
        8 => any_index.clone().prop_map(Step::TaskProgresses),
        6 => any_index.clone().prop_map(Step::TargetAnswers),
        2 => any_index.clone().prop_map(Step::TargetFails),
        1 => any_index.clone().prop_map(Step::TaskDies),
        4 => any_index.clone().prop_map(Step::DrainEnds),
        1 => any_index.clone().prop_map(Step::UserStopsTask),
        1 => (0_usize..2).prop_map(Step::Update),
        1 => (0_usize..2, 0_u32..9).prop_map(|(service, count)| Step::Scale(service, count)),
        1 => (0_usize..3, any::<bool>()).prop_map(|(instance, draining)| Step::Drain(instance, draining)),
        1 => (0_usize..3, any::<bool>()).prop_map(|(instance, here)| Step::Connect(instance, here)),
        1 => (0_usize..3).prop_map(Step::Replace),
        1 => (0_usize..2).prop_map(Step::Delete),
        2 => (0_usize..2).prop_map(Step::Create),
        1 => Just(Step::Forget),
        1 => any::<bool>().prop_map(Step::LoadBalancer),
        2 => (1_u32..60).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_at_every_step_and_the_world_settles(
        minimum in prop_oneof![Just(0_u32), Just(50), Just(100)],
        maximum in prop_oneof![Just(110_u32), Just(150), Just(200)],
        steps in prop::collection::vec(step(), 1..160),
    ) {
        let mut world = World::new(minimum, maximum);
        for step in &steps {
            world.take(step);
        }
        world.settle();
        prop_assert!(world.replay_equals(), "the same log gave another state");
        prop_assert!(world.restored_equals(), "a stored state came back different");
    }
}
