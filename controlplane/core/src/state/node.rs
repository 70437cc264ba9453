//! Load balancer nodes: the processes that balance load. A drain waits for each of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::id::NodeId;
use crate::{Event, Rejection, Timestamp};

/// One process that balances load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerNode {
    pub id: NodeId,
    pub registered_at: Timestamp,
}

impl ClusterState {
    pub(super) fn register_node(
        &mut self,
        id: NodeId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if self.load_balancer_nodes.contains_key(&id) {
            return Ok(Vec::new());
        }
        let node = LoadBalancerNode {
            id: id.clone(),
            registered_at: at,
        };
        self.load_balancer_nodes.insert(id.clone(), Arc::new(node));
        Ok(vec![Event::LoadBalancerNodeRegistered(id)])
    }

    pub(super) fn forget_node(&mut self, id: &NodeId) -> Result<Vec<Event>, Rejection> {
        match self.load_balancer_nodes.remove(id) {
            Some(_) => Ok(vec![Event::LoadBalancerNodeForgotten(id.clone())]),
            None => Err(Rejection::stale(format!("load balancer node {id} is gone"))),
        }
    }
}
