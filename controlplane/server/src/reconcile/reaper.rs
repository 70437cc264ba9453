//! Forgets tasks that stopped long ago.

use std::time::Duration;

use roadstead_core::{ClusterState, Command};

use crate::clock;

pub(super) fn decide(state: &ClusterState, retention: Duration) -> Vec<Command> {
    let now = clock::now();
    let over = state.tasks.values().filter(|task| {
        task.stopped()
            && task
                .times
                .stopped
                .is_some_and(|at| now.since(at) > retention)
    });
    let tasks: Vec<_> = over.map(|task| task.id.clone()).collect();
    if tasks.is_empty() {
        Vec::new()
    } else {
        vec![Command::ForgetTasks { tasks }]
    }
}
