//! Between the core's types and those of the load balancer's session.

use std::collections::BTreeMap;

use roadstead_core::arn::Arns;
use roadstead_core::id::{DeploymentId, NodeId, TargetGroupName, TaskId};
use roadstead_core::state::load_balancer::{Listener, ListenerProtocol};
use roadstead_core::state::service::Counts;
use roadstead_core::state::target_group::{Stickiness, TargetHealthCheck};
use roadstead_core::state::task::TargetHealth;
use roadstead_core::targets::{self, GroupTargets};
use roadstead_core::verdict::{NodeView, TargetView};
use roadstead_core::{ClusterState, arn};
use roadstead_proto::lb;
use tonic::Status;

use super::load_balancer_rule;

/// Builds the complete routing table; it goes with the endpoints of all servers.
pub(super) fn table(state: &ClusterState, servers: Vec<String>) -> lb::Table {
    let arns = state.arns();
    lb::Table {
        revision: state.routing_version,
        control_plane_id: state.identity.control_plane_id.clone(),
        listeners: state
            .listeners
            .values()
            .map(|one| listener(&arns, one))
            .collect(),
        target_groups: targets::groups(state)
            .into_iter()
            .map(|one| target_group(&arns, one))
            .collect(),
        servers,
        certificates: Vec::new(),
    }
}

fn listener(arns: &Arns, listener: &Listener) -> lb::Listener {
    let each = listener.rules.iter();
    let mut rules: Vec<lb::Rule> = each
        .map(|(id, rule)| load_balancer_rule::to_proto(arns, arns.rule(&listener.id, id), rule))
        .collect();
    let default = arns.listener(&listener.id);
    rules.push(load_balancer_rule::default_to_proto(
        arns,
        default,
        &listener.default,
    ));
    let certificates = listener.protocol.certificates().iter();
    let client_authority = match &listener.protocol {
        ListenerProtocol::Http | ListenerProtocol::Tcp => None,
        ListenerProtocol::Https(tls) => tls.client_authority.clone(),
    };
    let attributes = &listener.attributes;
    lb::Listener {
        listener_arn: arns.listener(&listener.id),
        port: u32::from(listener.port),
        protocol: listener.protocol.name().to_owned(),
        rules,
        certificate_arns: certificates.map(|id| arns.certificate(id)).collect(),
        client_authority: client_authority.unwrap_or_default(),
        requests_per_second: attributes.requests_per_second,
        burst: attributes.burst,
        allowed_source_ips: attributes.allowed_sources.clone(),
        denied_source_ips: attributes.denied_sources.clone(),
        proxy_protocol: attributes.proxy_protocol,
    }
}

fn target_group(arns: &Arns, found: GroupTargets) -> lb::TargetGroup {
    let targets = found.targets.into_iter().map(|target| lb::Target {
        target_id: target.task.to_string(),
        address: target.address,
        port: u32::from(target.port),
        draining: target.draining_until.is_some(),
        suspect: target.suspect,
        zone: target.zone,
        drain_deadline: target.draining_until.map_or(0, |until| until.0),
    });
    let spec = &found.group.spec;
    lb::TargetGroup {
        target_group_arn: arns.target_group(&found.group.name),
        health_check: Some(health_check(&spec.health_check)),
        deployment: found
            .deployment
            .map(|id| id.to_string())
            .unwrap_or_default(),
        targets: targets.collect(),
        algorithm: spec.algorithm.name().to_owned(),
        slow_start_seconds: spec.slow_start,
        stickiness: stickiness(&spec.stickiness),
        requests_per_target: spec.capacity.requests_per_target,
        waiting: spec.capacity.waiting,
        waiting_seconds: spec.capacity.waiting_seconds,
        protocol: spec.protocol.name().to_owned(),
        protocol_version: spec.protocol_version.name().to_owned(),
        proxy_protocol_version: spec.proxy_protocol.version(),
        prefers_own_zone: spec.prefers_own_zone,
        paused_until: found.paused_until.map_or(0, |until| until.0),
    }
}

fn stickiness(stickiness: &Stickiness) -> Option<lb::Stickiness> {
    if !stickiness.enabled {
        return None;
    }
    Some(if stickiness.by_application {
        lb::Stickiness {
            seconds: stickiness.application_duration,
            application_cookie: stickiness.application_cookie.clone(),
        }
    } else {
        lb::Stickiness {
            seconds: stickiness.duration,
            application_cookie: String::new(),
        }
    })
}

fn health_check(check: &TargetHealthCheck) -> lb::HealthCheck {
    let range = |(from, to): &(u16, u16)| lb::CodeRange {
        from: u32::from(*from),
        to: u32::from(*to),
    };
    lb::HealthCheck {
        path: check.path.clone(),
        interval_seconds: check.interval,
        timeout_seconds: check.timeout,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        success_codes: check.success_codes.iter().map(range).collect(),
        protocol: check.protocol.name().to_owned(),
    }
}

/// Reads the name of the node that reports.
pub(super) fn node_id(report: &lb::NodeReport) -> Result<NodeId, Status> {
    let id = &report.node_id;
    if id.is_empty()
        || id.len() > 64
        || !id
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || one == '-')
    {
        return Err(Status::invalid_argument(
            "node_id must have 1 to 64 letters, digits or hyphens",
        ));
    }
    Ok(NodeId::new(id))
}

/// Reads what a node says of its targets and what it has counted.
pub(super) fn report(
    report: &lb::NodeReport,
) -> Result<(NodeView, BTreeMap<DeploymentId, Counts>), Status> {
    let mut view = NodeView::new();
    for target in &report.targets {
        let group = target_group_name(&target.target_group_arn)?;
        view.insert(
            (group, TaskId::new(&target.target_id)),
            target_view(target)?,
        );
    }
    let counted = report.counts.iter().filter_map(|one| {
        // Requests to a group that no service uses are counted for nobody.
        let deployment = one.deployment.strip_prefix("ecs-svc/")?.parse().ok()?;
        let counts = Counts {
            served: one.served,
            retried: one.retried,
            failed: one.failed,
            cut: one.cut,
        };
        Some((DeploymentId(deployment), counts))
    });
    Ok((view, counted.collect()))
}

fn target_view(target: &lb::TargetReport) -> Result<TargetView, Status> {
    let (reason, description) = (target.reason.clone(), target.description.clone());
    match target.state.as_str() {
        "draining" if target.drained => Ok(TargetView::Drained),
        "draining" => Ok(TargetView::Draining),
        "healthy" => Ok(TargetView::Serving(TargetHealth::Healthy)),
        "initial" => Ok(TargetView::Serving(TargetHealth::Initial {
            reason,
            description,
        })),
        "unhealthy" => Ok(TargetView::Serving(TargetHealth::Unhealthy {
            reason,
            description,
        })),
        other => Err(Status::invalid_argument(format!(
            "unknown target state {other:?}"
        ))),
    }
}

fn target_group_name(text: &str) -> Result<TargetGroupName, Status> {
    match arn::resource(text).as_deref() {
        Some(["targetgroup", name, _]) => Ok(TargetGroupName::new(*name)),
        Some(_) | None => Err(Status::invalid_argument(format!(
            "{text:?} is not the ARN of a target group"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roadstead_core::state::target_group::TargetGroup;

    use super::*;
    use crate::api::convert::target_group::spec_for;

    #[test]
    fn load_balancers_are_told_how_targets_are_spoken_to_and_asked() {
        let told = |protocol, version| {
            let group = TargetGroup {
                name: TargetGroupName::new("web"),
                spec: spec_for(Some(protocol), version).unwrap(),
            };
            let found = GroupTargets {
                group: Arc::new(group),
                deployment: None,
                targets: Vec::new(),
                paused_until: None,
            };
            let told = target_group(&Arns::new("local", "000000000000"), found);
            let check = told.health_check.unwrap();
            [told.protocol, told.protocol_version, check.protocol]
        };
        assert_eq!(told("HTTP", Some("HTTP2")), ["HTTP", "HTTP2", "HTTP"]);
        assert_eq!(told("HTTPS", Some("GRPC")), ["HTTPS", "GRPC", "HTTPS"]);
        assert_eq!(told("TCP", None), ["TCP", "HTTP1", "TCP"]);
    }
}
