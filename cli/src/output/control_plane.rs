//! The control plane itself, for people.

use roadstead_client::proto::console::DescribeControlPlaneResponse;

use super::grid::{fields, grid, joined, number, text};

/// Returns the servers, then how far the log is applied and which load balancers are connected.
pub(crate) fn status(status: &DescribeControlPlaneResponse) -> String {
    let rows = status.members.iter().map(|member| {
        let role = match (member.leader, member.voter) {
            (Some(true), _) => "leader",
            (_, Some(false)) => "learner",
            _ => "follower",
        };
        [
            number(member.id),
            role.to_owned(),
            text(member.endpoint.as_ref()),
            number(member.applied_index),
            member.trouble.clone().unwrap_or_else(|| "ok".to_owned()),
        ]
    });
    let servers = grid(["SERVER", "ROLE", "ENDPOINT", "APPLIED", "STATE"], rows);
    let rest = fields([
        ("Term", number(status.term)),
        ("Load balancers", joined(&status.load_balancer_nodes)),
    ]);
    format!("{servers}\n\n{rest}")
}
