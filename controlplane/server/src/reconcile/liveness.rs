//! Notices who has fallen silent: agents get no new tasks, load balancers are no longer waited for.

use roadstead_core::state::container_instance::InstanceStatus;
use roadstead_core::{ClusterState, Command};

use crate::leader::Reign;
use crate::{Config, clock};

pub(super) fn decide(state: &ClusterState, reign: &Reign, config: &Config) -> Vec<Command> {
    let at = clock::now();
    let presence = &reign.presence;
    let agents = state
        .container_instances
        .values()
        .filter(|instance| instance.status != InstanceStatus::Inactive)
        .filter_map(|instance| {
            let connected = presence.agent_silence(&instance.id) < config.agent_timeout;
            // Only an agent that has spoken to this leader can be found connected again.
            let changed = connected != instance.agent_connected
                && (!connected || presence.agent(&instance.id).is_some());
            changed.then(|| Command::SetAgentConnected {
                id: instance.id.clone(),
                connected,
                at,
            })
        });
    let nodes = state
        .load_balancer_nodes
        .keys()
        .filter(|node| presence.node_silence(node) >= config.load_balancer_timeout)
        .map(|node| Command::ForgetLoadBalancerNode { node: node.clone() });
    agents.chain(nodes).collect()
}
