//! Target groups.

use roadstead_core::state::target_group::{
    Algorithm, Capacity, HealthCheckProtocol, ProtocolVersion, ProxyProtocol, Stickiness,
    TargetGroup, TargetGroupSpec, TargetHealthCheck, TargetProtocol,
};
use roadstead_core::state::task::TargetHealth;
use roadstead_core::targets::Target;
use roadstead_core::{ClusterState, Rejection};
use roadstead_proto::elb;

use super::{attribute, count, named};

/// Returns ELB's defaults for a new target group of that protocol, whose targets speak that version of HTTP.
pub(crate) fn spec_for(
    protocol: Option<&str>,
    version: Option<&str>,
) -> Result<TargetGroupSpec, Rejection> {
    match protocol {
        None | Some("HTTP") => Ok(default_spec(protocol_version(version)?)),
        Some("HTTPS") => Ok(https_spec(protocol_version(version)?)),
        Some("TCP") if version.is_none() => Ok(tcp_spec()),
        Some("TCP") => Err(Rejection::validation(
            "protocolVersion goes with protocol HTTP or HTTPS, not TCP",
        )),
        Some(other) => Err(Rejection::validation(format!(
            "protocol '{other}' is not supported; use HTTP, HTTPS or TCP"
        ))),
    }
}

fn tcp_spec() -> TargetGroupSpec {
    let mut spec = default_spec(ProtocolVersion::Http1);
    spec.protocol = TargetProtocol::Tcp;
    spec.health_check.protocol = HealthCheckProtocol::Tcp;
    spec.health_check.timeout = 10;
    spec
}

/// Targets are asked over TLS too, where ALB would ask without: they mostly have nothing else on their port.
fn https_spec(protocol_version: ProtocolVersion) -> TargetGroupSpec {
    let mut spec = default_spec(protocol_version);
    spec.protocol = TargetProtocol::Https;
    spec.health_check.protocol = HealthCheckProtocol::Https;
    spec
}

/// ELB's defaults for an HTTP target group whose targets speak that version.
pub(crate) fn default_spec(protocol_version: ProtocolVersion) -> TargetGroupSpec {
    let in_grpc = protocol_version == ProtocolVersion::Grpc;
    let path = if in_grpc { "/AWS.ALB/healthcheck" } else { "/" };
    TargetGroupSpec {
        protocol: TargetProtocol::Http,
        proxy_protocol: ProxyProtocol::Off,
        protocol_version,
        health_check: TargetHealthCheck {
            protocol: HealthCheckProtocol::Http,
            path: path.to_owned(),
            interval: 30,
            timeout: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            success_codes: default_codes(in_grpc),
        },
        deregistration_delay: 300,
        algorithm: Algorithm::RoundRobin,
        slow_start: 0,
        stickiness: Stickiness::default(),
        capacity: Capacity::default(),
        prefers_own_zone: false,
    }
}

/// UNIMPLEMENTED of gRPC, for the service of `default_spec`'s path is one that nobody has; 200 of HTTP.
fn default_codes(in_grpc: bool) -> Vec<(u16, u16)> {
    let code = if in_grpc { 12 } else { 200 };
    vec![(code, code)]
}

/// Returns `spec` with what `changes` says changed.
pub(crate) fn changed(
    mut spec: TargetGroupSpec,
    changes: &elb::ModifyTargetGroupRequest,
) -> Result<TargetGroupSpec, Rejection> {
    let was_asked_in_grpc = spec.is_asked_in_grpc();
    let check = &mut spec.health_check;
    if let Some(protocol) = &changes.health_check_protocol {
        check.protocol = health_check_protocol(protocol)?;
    }
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
    let is_asked_in_grpc = spec.is_asked_in_grpc();
    let matcher = changes.matcher.clone().unwrap_or_default();
    let codes = match (is_asked_in_grpc, matcher.http_code, matcher.grpc_code) {
        (_, None, None) if was_asked_in_grpc == is_asked_in_grpc => None,
        // The codes that it had are of another kind.
        (_, None, None) => Some(default_codes(is_asked_in_grpc)),
        (true, None, Some(codes)) => Some(success_codes("grpcCode", "0,12 or 0-99", &codes)?),
        (false, Some(codes), None) => {
            Some(success_codes("httpCode", "200,202 or 200-299", &codes)?)
        }
        (true, Some(_), _) => {
            return Err(Rejection::validation(
                "matcher.httpCode does not go with a health check in gRPC; use grpcCode",
            ));
        }
        (false, _, Some(_)) => {
            return Err(Rejection::validation(
                "matcher.grpcCode goes with protocol version GRPC and a health check that is a call; use httpCode",
            ));
        }
    };
    if let Some(codes) = codes {
        spec.health_check.success_codes = codes;
    }
    attribute::change(&mut spec, &changes.attributes)?;
    // Before the log: what is refused there has filled it.
    spec.check()?;
    Ok(spec)
}

/// Reads what targets speak.
fn protocol_version(name: Option<&str>) -> Result<ProtocolVersion, Rejection> {
    let Some(name) = name else {
        return Ok(ProtocolVersion::default());
    };
    let known = ProtocolVersion::ALL.map(|one| (one.name(), one));
    named("protocolVersion", known, name)
}

fn health_check_protocol(name: &str) -> Result<HealthCheckProtocol, Rejection> {
    let known = HealthCheckProtocol::ALL.map(|one| (one.name(), one));
    named("healthCheckProtocol", known, name)
}

/// Reads codes such as `200`, `200,202` or `200-299`.
fn success_codes(matcher: &str, example: &str, text: &str) -> Result<Vec<(u16, u16)>, Rejection> {
    let refuse = || {
        Rejection::validation(format!(
            "matcher.{matcher} '{text}' must be codes and ranges of codes with commas between them, such as {example}"
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
    let codes = Some(codes.collect::<Vec<String>>().join(","));
    let (http_code, grpc_code) = if group.spec.is_asked_in_grpc() {
        (None, codes)
    } else {
        (codes, None)
    };
    let matcher = elb::Matcher {
        http_code,
        grpc_code,
    };
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
        protocol: Some(group.spec.protocol.name().to_owned()),
        health_check_path: Some(check.path.clone()),
        health_check_interval_seconds: Some(count(check.interval)),
        health_check_timeout_seconds: Some(count(check.timeout)),
        healthy_threshold_count: Some(count(check.healthy_threshold)),
        unhealthy_threshold_count: Some(count(check.unhealthy_threshold)),
        protocol_version: (group.spec.protocol != TargetProtocol::Tcp)
            .then(|| group.spec.protocol_version.name().to_owned()),
        health_check_protocol: Some(check.protocol.name().to_owned()),
        matcher: Some(matcher),
        load_balancer_arns: balancers
            .into_iter()
            .map(|name| arns.load_balancer(name))
            .collect(),
        attributes: attribute::to_proto(&group.spec),
    }
}

/// Returns how a target stands, in ELB's words: by the `verdict` of the load balancers, if any of them asks it.
pub(crate) fn health(
    target: &Target,
    verdict: Option<&TargetHealth>,
    group_in_use: bool,
) -> elb::TargetHealth {
    let standing = |state: &str, reason: &str, description: &str| {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        elb::TargetHealth {
            state: Some(state.to_owned()),
            reason: told(reason),
            description: told(description),
        }
    };
    if target.draining_until.is_some() {
        return standing(
            "draining",
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        );
    }
    // Of a service that is being deleted, for no other loses its listener.
    if !group_in_use {
        return standing(
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        );
    }
    match verdict {
        Some(TargetHealth::Healthy) => standing("healthy", "", ""),
        Some(TargetHealth::Unhealthy {
            reason,
            description,
        }) => standing("unhealthy", reason, description),
        Some(TargetHealth::Initial {
            reason,
            description,
        }) => standing("initial", reason, description),
        None => standing(
            "initial",
            "Elb.RegistrationInProgress",
            "Target registration is in progress",
        ),
    }
}

#[cfg(test)]
mod tests {
    use roadstead_core::Timestamp;
    use roadstead_core::id::TaskId;

    use super::*;

    #[test]
    fn a_group_has_the_defaults_of_what_its_targets_speak() {
        let of = |protocol, version| {
            let spec = spec_for(Some(protocol), version).unwrap();
            spec.check().unwrap();
            let check = &spec.health_check;
            let code = check.success_codes[0].0;
            (
                spec.protocol.name(),
                check.protocol.name(),
                check.timeout,
                code,
            )
        };
        assert_eq!(of("HTTP", None), ("HTTP", "HTTP", 5, 200));
        assert_eq!(of("HTTP", Some("GRPC")), ("HTTP", "HTTP", 5, 12));
        assert_eq!(of("HTTPS", Some("HTTP2")), ("HTTPS", "HTTPS", 5, 200));
        assert_eq!(of("HTTPS", Some("GRPC")), ("HTTPS", "HTTPS", 5, 12));
        assert_eq!(of("TCP", None), ("TCP", "TCP", 10, 200));
        assert_eq!(spec_for(None, None), spec_for(Some("HTTP"), None));
        for (protocol, version) in [("TCP", Some("HTTP1")), ("UDP", None), ("HTTPS", Some("1"))] {
            assert!(spec_for(Some(protocol), version).is_err(), "{protocol}");
        }
    }

    #[test]
    fn a_health_check_that_is_no_longer_a_call_has_codes_of_http() {
        let asked_by = |spec: TargetGroupSpec, protocol: &str| {
            let change = elb::ModifyTargetGroupRequest {
                health_check_protocol: Some(protocol.to_owned()),
                ..elb::ModifyTargetGroupRequest::default()
            };
            changed(spec, &change).unwrap().health_check.success_codes
        };
        let of = |protocol| spec_for(Some(protocol), Some("GRPC")).unwrap();
        // Targets that get their calls without TLS have something else there.
        assert_eq!(asked_by(of("HTTP"), "HTTPS"), [(200, 200)]);
        assert_eq!(asked_by(of("HTTPS"), "HTTPS"), [(12, 12)]);
        assert_eq!(asked_by(of("HTTPS"), "HTTP"), [(12, 12)]);
        assert_eq!(asked_by(of("HTTPS"), "TCP"), [(200, 200)]);
    }

    #[test]
    fn a_target_stands_as_its_load_balancers_say_while_it_is_asked() {
        let serving = Target {
            task: TaskId::new("0123456789abcdef"),
            address: "127.0.0.1".to_owned(),
            port: 8080,
            draining_until: None,
            suspect: false,
            zone: String::new(),
        };
        let draining = Target {
            draining_until: Some(Timestamp::default()),
            ..serving.clone()
        };
        let unhealthy = TargetHealth::Unhealthy {
            reason: "Target.Timeout".to_owned(),
            description: "Request timed out".to_owned(),
        };
        for (target, verdict, in_use, state, reason) in [
            (
                &serving,
                Some(&TargetHealth::Healthy),
                true,
                "healthy",
                None,
            ),
            (
                &serving,
                Some(&unhealthy),
                true,
                "unhealthy",
                Some("Target.Timeout"),
            ),
            (
                &serving,
                None,
                true,
                "initial",
                Some("Elb.RegistrationInProgress"),
            ),
            (
                &serving,
                Some(&TargetHealth::Healthy),
                false,
                "unused",
                Some("Target.NotInUse"),
            ),
            (
                &draining,
                None,
                false,
                "draining",
                Some("Target.DeregistrationInProgress"),
            ),
        ] {
            let health = health(target, verdict, in_use);
            assert_eq!(
                (health.state.as_deref(), health.reason.as_deref()),
                (Some(state), reason)
            );
            assert_eq!(health.description.is_some(), reason.is_some(), "{state}");
        }
    }
}
