//! The control plane itself, for people.

use std::time::Duration;

use roadstead_client::proto::console::{DescribeControlPlaneResponse, LoadBalancerNode};

use super::grid::{fields, grid, joined, number, text};

/// Returns the servers, whether they can decide anything, then the term, and the load balancers that are connected with what keeps them
/// from serving all that they should.
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
    let rest = match status.load_balancers.is_empty() {
        true => fields([
            ("Term", number(status.term)),
            ("Load balancers", joined(&status.load_balancer_nodes)),
        ]),
        false => {
            let term = fields([("Term", number(status.term))]);
            format!("{term}\n\n{}", load_balancers(&status.load_balancers))
        }
    };
    match leaderless(status) {
        Some(warning) => format!("{servers}\n\n{warning}\n\n{rest}"),
        None => format!("{servers}\n\n{rest}"),
    }
}

fn load_balancers(nodes: &[LoadBalancerNode]) -> String {
    let rows = nodes.iter().map(|node| {
        let uptime = node
            .uptime_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let uptime = Duration::from_secs(uptime.unwrap_or_default());
        [
            text(node.id.as_ref()),
            number(node.table_revision),
            humantime::format_duration(uptime).to_string(),
            node.trouble.clone().unwrap_or_else(|| "ok".to_owned()),
        ]
    });
    grid(["LOAD BALANCER", "TABLE", "UP", "STATE"], rows)
}

/// Says what it means that no server leads.
fn leaderless(status: &DescribeControlPlaneResponse) -> Option<String> {
    if status.members.iter().any(|one| one.leader == Some(true)) {
        return None;
    }
    let voters = status.members.iter().filter(|one| one.voter == Some(true));
    let (well, all) = (
        voters.clone().filter(|one| one.trouble.is_none()).count(),
        voters.count(),
    );
    let needed = all / 2 + 1;
    let outlook = if well < needed {
        "start or repair the others"
    } else {
        "an election is due"
    };
    Some(format!(
        "No server leads: {well} of {all} voters answer and {needed} must, so {outlook}. Until then nothing can be \
         changed; tasks and load balancers go on."
    ))
}
