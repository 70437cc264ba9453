//! Turns the reports of the load balancers into verdicts: healthy, unhealthy, drained.

use roadstead_core::{ClusterState, Command, verdict};

use crate::clock;
use crate::leader::Reign;

pub(super) fn decide(state: &ClusterState, reign: &Reign) -> Vec<Command> {
    verdict::judge(state, &reign.presence.views(), clock::now())
}
