//! What must hold, one file each. `committed` is called after every command that the log has taken; the other hooks where
//! something really happens, on a host or at a load balancer.

pub(crate) mod drained_means_no_new_request;
pub(crate) mod everything_converges;
pub(crate) mod floor_and_ceiling;
pub(crate) mod no_overcommit;
pub(crate) mod nothing_lost;
pub(crate) mod replicas_agree;
pub(crate) mod statuses_only_grow;

use roadstead_core::{ClusterState, Command, Rejection};

use crate::world::World;

/// Names an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    NoOvercommit,
    FloorAndCeiling,
    NothingLost,
    DrainedMeansNoNewRequest,
    StatusesOnlyGrow,
    ReplicasAgree,
    EverythingConverges,
}

/// What the invariants remember.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) started: nothing_lost::Started,
    pub(crate) wishes: nothing_lost::Wishes,
    pub(crate) let_go: drained_means_no_new_request::LetGo,
}

/// The log has taken a command. The log is locked meanwhile.
pub(crate) fn committed(
    world: &World,
    before: &ClusterState,
    command: &Command,
    result: &Result<(), Rejection>,
    after: &ClusterState,
) {
    replicas_agree::a_rejection_changes_nothing(world, before, command, result, after);
    statuses_only_grow::check(world, before, after);
    no_overcommit::books(world, after);
    floor_and_ceiling::check(world, before, command, after);
    nothing_lost::tasks_stop_where_they_run(world, before, after);
    drained_means_no_new_request::check(world, before, command, after);
}
