//! Sessions with agents and load balancers: streams of complete sets in both directions, so that
//! losing any message is repaired by the next one. Served by the leader only.

mod agent;
mod agent_convert;
mod load_balancer;
mod load_balancer_certificates;
mod load_balancer_convert;
mod load_balancer_rule;
mod logs;

pub(crate) use agent::Agents;
pub(crate) use load_balancer::LoadBalancers;
pub(crate) use logs::LogRelay;
