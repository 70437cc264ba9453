//! Invariants that cannot fail prove nothing: each finds the bug that is planted for it, within a few seeds.

use crate::invariants::Name;
use crate::plan::Plan;
use crate::planted::Plant;
use crate::run::run;

/// The seeds that may be needed to find a bug.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=40;

fn finds(plant: Plant, finder: Name) {
    let mut seeds = SEEDS;
    let found = seeds.find_map(|seed| {
        let outcome = run(seed, Plan::of(seed).with(plant, finder));
        Some((seed, outcome.violation?))
    });
    let (seed, violation) = found.unwrap_or_else(|| panic!("{finder:?} did not find {plant:?}"));
    assert_eq!(violation.invariant, finder);
    println!("seed {seed} finds {plant:?}: {}", violation.text);
}

#[test]
fn a_drain_that_is_reported_too_early_is_found() {
    finds(Plant::DrainedTooEarly, Name::DrainedMeansNoNewRequest);
}

#[test]
fn a_stop_that_is_reported_too_early_overcommits_a_host() {
    finds(Plant::StoppedTooEarly, Name::NoOvercommit);
}

#[test]
fn a_task_that_runs_and_counts_as_stopped_is_found() {
    finds(Plant::StoppedTooEarly, Name::NothingLost);
}

#[test]
fn a_task_that_is_started_twice_is_found() {
    finds(Plant::AgentForgets, Name::NothingLost);
}

#[test]
fn an_acknowledged_write_that_is_gone_is_found() {
    finds(Plant::WriteIsLost, Name::NothingLost);
}

#[test]
fn a_stop_below_the_floor_is_found() {
    finds(Plant::StopsTooMany, Name::FloorAndCeiling);
}

#[test]
fn a_task_that_moves_backwards_is_found() {
    finds(Plant::StatusMovesBackwards, Name::StatusesOnlyGrow);
}

#[test]
fn a_follower_that_leaves_out_an_entry_is_found() {
    finds(Plant::FollowerSkipsEntry, Name::ReplicasAgree);
}

#[test]
fn a_task_that_never_stops_is_found() {
    finds(Plant::AgentNeverStops, Name::EverythingConverges);
}
