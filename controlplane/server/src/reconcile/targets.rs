//! Turns the reports of the load balancers into verdicts: healthy, unhealthy, drained.

use std::time::Duration;

use roadstead_core::verdict::Reports;
use roadstead_core::{ClusterState, Command, verdict};

use crate::clock;
use crate::leader::Reign;

/// A load balancer reports every second. When one has left out two reports, the others judge without it; the tasks of a host
/// that is lost together with its load balancer are then replaced as soon as those of any other.
const SILENT: Duration = Duration::from_millis(2_500);

pub(super) fn decide(state: &ClusterState, reign: &Reign) -> Vec<Command> {
    let presence = &reign.presence;
    let nodes = state.load_balancer_nodes.keys();
    let silent = nodes.filter(|node| presence.node_silence(node) >= SILENT);
    let reports = Reports {
        views: presence.views(),
        silent: silent.cloned().collect(),
    };
    verdict::judge(state, &reports, clock::now())
}
