//! What older versions have written must still load: it is on users' disks.
//!
//! `snapshots/N.state` is an encoded state, `snapshots/N.log` the commands that led to it. A change of
//! format adds a pair (`UPDATE=1` writes the newest anew while it is unreleased) and keeps the others.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::{Step, World};
use roadstead_core::{ClusterState, Command};

const NEWEST: u32 = 2;

fn path(version: u32, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(format!("{version}.{kind}"))
}

/// A state in which something of everything has happened.
fn eventful() -> World {
    let mut world = World::new(50, 200);
    world.settle();
    for step in [
        Step::Update(0),
        Step::Pass,
        Step::TaskProgresses(0),
        Step::TargetAnswers(0),
        Step::Pass,
        Step::TargetFails(1),
        Step::TaskDies(2),
        Step::UserStopsTask(3),
        Step::Drain(1, true),
        Step::Pass,
    ] {
        world.take(&step);
    }
    world.let_a_server_join();
    let minute = std::time::Duration::from_secs(60);
    world
        .pause(0, Some(minute))
        .expect("web has a target group");
    world
}

#[test]
fn every_stored_state_and_log_still_loads() {
    if std::env::var_os("UPDATE").is_some() {
        let (state, log) = eventful().into_parts();
        fs::write(
            path(NEWEST, "state"),
            rmp_serde::to_vec_named(&state).unwrap(),
        )
        .unwrap();
        fs::write(path(NEWEST, "log"), rmp_serde::to_vec_named(&log).unwrap()).unwrap();
    }
    for version in 1..=NEWEST {
        let state: ClusterState =
            rmp_serde::from_slice(&fs::read(path(version, "state")).unwrap()).unwrap();
        let log: Vec<Command> =
            rmp_serde::from_slice(&fs::read(path(version, "log")).unwrap()).unwrap();
        assert!(!state.join_tokens.is_empty() && !state.servers.is_empty());
        assert!(state.identity.authority.is_some());
        assert!(!state.tasks.is_empty() && !state.services.is_empty() && !log.is_empty());
        let mut listeners = state.listeners.values();
        assert!(listeners.any(|one| !one.default.forwards().is_empty()));
        let mut replica = ClusterState::default();
        for command in log {
            // A rejection is part of the history.
            drop(replica.apply(command));
        }
        assert!(
            !replica.tasks.is_empty(),
            "the log of version {version} leads nowhere"
        );
    }
}
