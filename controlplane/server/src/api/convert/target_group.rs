//! Target groups.

use roadstead_core::state::target_group::{
    Algorithm, Capacity, Stickiness, TargetGroup, TargetGroupSpec, TargetHealthCheck,
};
use roadstead_core::{ClusterState, Rejection};
use roadstead_proto::elb;

use super::{attribute, count};

/// ELB's defaults for an HTTP target group.
pub(crate) fn default_spec() -> TargetGroupSpec {
    TargetGroupSpec {
        health_check: TargetHealthCheck {
            path: "/".to_owned(),
            interval: 30,
            timeout: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            success_codes: vec![(200, 200)],
        },
        deregistration_delay: 300,
        algorithm: Algorithm::RoundRobin,
        slow_start: 0,
        stickiness: Stickiness::default(),
        capacity: Capacity::default(),
    }
}

/// Returns `spec` with what `changes` says changed.
pub(crate) fn changed(
    mut spec: TargetGroupSpec,
    changes: &elb::ModifyTargetGroupRequest,
) -> Result<TargetGroupSpec, Rejection> {
    let check = &mut spec.health_check;
    if let Some(path) = &changes.health_check_path {
        check.path.clone_from(path);
    }
    let set = |field: &mut u32, value: Option<i32>, name: &str| {
        if let Some(value) = value {
            let refuse = |_| Rejection::validation(format!("{name} must not be negative"));
            *field = u32::try_from(value).map_err(refuse)?;
        }
        Ok::<(), Rejection>(())
    };
    set(
        &mut check.interval,
        changes.health_check_interval_seconds,
        "healthCheckIntervalSeconds",
    )?;
    set(
        &mut check.timeout,
        changes.health_check_timeout_seconds,
        "healthCheckTimeoutSeconds",
    )?;
    set(
        &mut check.healthy_threshold,
        changes.healthy_threshold_count,
        "healthyThresholdCount",
    )?;
    set(
        &mut check.unhealthy_threshold,
        changes.unhealthy_threshold_count,
        "unhealthyThresholdCount",
    )?;
    if let Some(codes) = changes
        .matcher
        .as_ref()
        .and_then(|matcher| matcher.http_code.as_deref())
    {
        spec.health_check.success_codes = success_codes(codes)?;
    }
    attribute::change(&mut spec, &changes.attributes)?;
    Ok(spec)
}

/// Reads `200`, `200,202` or `200-299`.
fn success_codes(text: &str) -> Result<Vec<(u16, u16)>, Rejection> {
    let refuse = || {
        Rejection::validation(format!(
            "matcher.httpCode '{text}' must be like 200, 200,202 or 200-299"
        ))
    };
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    text.split(',')
        .map(|part| range(part).ok_or_else(refuse))
        .collect()
}

/// Describes a target group.
pub(crate) fn to_proto(state: &ClusterState, group: &TargetGroup) -> elb::TargetGroup {
    let arns = state.arns();
    let check = &group.spec.health_check;
    let codes = check.success_codes.iter().map(|(from, to)| {
        if from == to {
            from.to_string()
        } else {
            format!("{from}-{to}")
        }
    });
    let codes: Vec<String> = codes.collect();
    let mut balancers: Vec<_> = state
        .listeners
        .values()
        .filter(|listener| listener.forwards_to(&group.name))
        .map(|listener| &listener.id.load_balancer)
        .collect();
    balancers.dedup();
    elb::TargetGroup {
        target_group_arn: Some(arns.target_group(&group.name)),
        target_group_name: Some(group.name.to_string()),
        protocol: Some("HTTP".to_owned()),
        health_check_path: Some(check.path.clone()),
        health_check_interval_seconds: Some(count(check.interval)),
        health_check_timeout_seconds: Some(count(check.timeout)),
        healthy_threshold_count: Some(count(check.healthy_threshold)),
        unhealthy_threshold_count: Some(count(check.unhealthy_threshold)),
        matcher: Some(elb::Matcher {
            http_code: Some(codes.join(",")),
        }),
        load_balancer_arns: balancers
            .into_iter()
            .map(|name| arns.load_balancer(name))
            .collect(),
        attributes: attribute::to_proto(&group.spec),
    }
}
