//! The same log gives the same state on every server, and a command that is refused changes nothing.

use roadstead_core::{ClusterState, Command, Rejection};

use super::Name::ReplicasAgree;
use crate::world::World;

pub(crate) fn a_rejection_changes_nothing(
    world: &World,
    before: &ClusterState,
    command: &Command,
    result: &Result<(), Rejection>,
    after: &ClusterState,
) {
    if result.is_err() && before != after {
        world.violated(
            ReplicasAgree,
            format!("a rejected command changed something: {command:?}"),
        );
    }
}

/// A server that applies an entry comes to the same result as the first one.
pub(crate) fn same_result(
    world: &World,
    server: usize,
    command: &Command,
    result: &Result<(), Rejection>,
    expected: &Result<(), Rejection>,
) {
    if result != expected {
        let text =
            format!("server {server} came to {result:?} and not {expected:?} with {command:?}");
        world.violated(ReplicasAgree, text);
    }
}

/// Servers that have applied everything have the same state.
pub(crate) fn same_state(world: &World) {
    let (length, state) = (world.log.length(), world.state());
    for (server, (applied, own)) in world.log.states().into_iter().enumerate() {
        if applied == length && *own != *state {
            world.violated(
                ReplicasAgree,
                format!("server {server} has another state after {length} entries"),
            );
        }
    }
}
