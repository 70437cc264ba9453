//! The attributes of target groups: keys and values, as ELB has them.

use roadstead_core::Rejection;
use roadstead_core::state::target_group::{Algorithm, ProxyProtocol, TargetGroupSpec};
use roadstead_proto::elb::TargetGroupAttribute;

use super::named;

const DELAY: &str = "deregistration_delay.timeout_seconds";
const SLOW_START: &str = "slow_start.duration_seconds";
const ALGORITHM: &str = "load_balancing.algorithm.type";
/// ALB keeps to a zone even if nothing is healthy there; we do not lose a request for it.
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
const STICKY: &str = "stickiness.enabled";
const STICKY_BY: &str = "stickiness.type";
const STICKY_FOR: &str = "stickiness.lb_cookie.duration_seconds";
const COOKIE: &str = "stickiness.app_cookie.cookie_name";
const COOKIE_FOR: &str = "stickiness.app_cookie.duration_seconds";
/// NLB has it; version 1 is ours.
const PROXY_V2: &str = "proxy_protocol_v2.enabled";
const PROXY_V1: &str = "roadstead.proxy_protocol_v1.enabled";
// ELB has none of these.
const REQUESTS: &str = "roadstead.capacity.requests_per_target";
const WAITING: &str = "roadstead.capacity.waiting";
const WAITING_FOR: &str = "roadstead.capacity.waiting_seconds";
const BY_LOAD_BALANCER: &str = "lb_cookie";
const BY_APPLICATION: &str = "app_cookie";

/// Describes the attributes of a group.
pub(crate) fn to_proto(spec: &TargetGroupSpec) -> Vec<TargetGroupAttribute> {
    let (sticky, capacity) = (&spec.stickiness, &spec.capacity);
    let by = if sticky.by_application {
        BY_APPLICATION
    } else {
        BY_LOAD_BALANCER
    };
    [
        (DELAY, spec.deregistration_delay.to_string()),
        (SLOW_START, spec.slow_start.to_string()),
        (ALGORITHM, spec.algorithm.name().to_owned()),
        (CROSS_ZONE, (!spec.prefers_own_zone).to_string()),
        (STICKY, sticky.enabled.to_string()),
        (STICKY_BY, by.to_owned()),
        (STICKY_FOR, sticky.duration.to_string()),
        (COOKIE, sticky.application_cookie.clone()),
        (COOKIE_FOR, sticky.application_duration.to_string()),
        (
            PROXY_V2,
            (spec.proxy_protocol == ProxyProtocol::V2).to_string(),
        ),
        (
            PROXY_V1,
            (spec.proxy_protocol == ProxyProtocol::V1).to_string(),
        ),
        (REQUESTS, capacity.requests_per_target.to_string()),
        (WAITING, capacity.waiting.to_string()),
        (WAITING_FOR, capacity.waiting_seconds.to_string()),
    ]
    .map(|(key, value)| TargetGroupAttribute {
        key: Some(key.to_owned()),
        value: Some(value),
    })
    .into()
}

/// Changes what is given.
pub(crate) fn change(
    spec: &mut TargetGroupSpec,
    attributes: &[TargetGroupAttribute],
) -> Result<(), Rejection> {
    for attribute in attributes {
        let key = attribute.key.as_deref().unwrap_or_default();
        let value = attribute.value.as_deref().unwrap_or_default();
        let (sticky, capacity) = (&mut spec.stickiness, &mut spec.capacity);
        match key {
            DELAY => spec.deregistration_delay = number(key, value)?,
            SLOW_START => spec.slow_start = number(key, value)?,
            ALGORITHM => spec.algorithm = algorithm(value)?,
            CROSS_ZONE => spec.prefers_own_zone = !one_of(key, value, ["false", "true"])?,
            STICKY => sticky.enabled = one_of(key, value, ["false", "true"])?,
            STICKY_BY => {
                sticky.by_application = one_of(key, value, [BY_LOAD_BALANCER, BY_APPLICATION])?;
            }
            STICKY_FOR => sticky.duration = number(key, value)?,
            COOKIE => value.clone_into(&mut sticky.application_cookie),
            COOKIE_FOR => sticky.application_duration = number(key, value)?,
            PROXY_V1 => proxy_protocol(spec, key, value, ProxyProtocol::V1)?,
            PROXY_V2 => proxy_protocol(spec, key, value, ProxyProtocol::V2)?,
            REQUESTS => capacity.requests_per_target = number(key, value)?,
            WAITING => capacity.waiting = number(key, value)?,
            WAITING_FOR => capacity.waiting_seconds = number(key, value)?,
            other => {
                return Err(Rejection::validation(format!(
                    "target group attribute key '{other}' is not supported"
                )));
            }
        }
    }
    Ok(())
}

/// Reads the value of an attribute that is a number.
pub(super) fn number(key: &str, value: &str) -> Result<u32, Rejection> {
    let number = value.parse();
    number.map_err(|_| Rejection::validation(format!("{key} '{value}' is not a whole number")))
}

/// Turns a version on, in the place of the other, or off.
fn proxy_protocol(
    spec: &mut TargetGroupSpec,
    key: &str,
    value: &str,
    version: ProxyProtocol,
) -> Result<(), Rejection> {
    if one_of(key, value, ["false", "true"])? {
        spec.proxy_protocol = version;
    } else if spec.proxy_protocol == version {
        spec.proxy_protocol = ProxyProtocol::Off;
    }
    Ok(())
}

/// Returns whether it is the second of the two.
pub(super) fn one_of(key: &str, value: &str, [no, yes]: [&str; 2]) -> Result<bool, Rejection> {
    match value {
        _ if value == no => Ok(false),
        _ if value == yes => Ok(true),
        _ => Err(Rejection::validation(format!(
            "{key} must be {no} or {yes}, not '{value}'"
        ))),
    }
}

fn algorithm(value: &str) -> Result<Algorithm, Rejection> {
    let known = Algorithm::ALL.map(|one| (one.name(), one));
    named(ALGORITHM, known, value)
}

#[cfg(test)]
mod tests {
    use roadstead_core::state::target_group::ProtocolVersion;

    use super::super::target_group::default_spec;
    use super::*;

    fn changed(pairs: &[(&str, &str)]) -> Result<TargetGroupSpec, Rejection> {
        let attributes: Vec<_> = pairs
            .iter()
            .map(|(key, value)| TargetGroupAttribute {
                key: Some((*key).to_owned()),
                value: Some((*value).to_owned()),
            })
            .collect();
        let mut spec = default_spec(ProtocolVersion::Http1);
        change(&mut spec, &attributes)?;
        Ok(spec)
    }

    #[test]
    fn what_is_described_can_be_given_again() {
        let spec = changed(&[
            (DELAY, "5"),
            (ALGORITHM, "weighted_random"),
            (STICKY, "true"),
            (STICKY_BY, "app_cookie"),
            (COOKIE, "SESSION"),
            (REQUESTS, "8"),
            (WAITING_FOR, "20"),
        ])
        .unwrap();
        let mut again = default_spec(ProtocolVersion::Http1);
        change(&mut again, &to_proto(&spec)).unwrap();
        assert_eq!(again, spec);
        assert_eq!(spec.stickiness.application_cookie, "SESSION");
    }

    #[test]
    fn a_key_or_a_value_that_is_not_known_is_named() {
        for (key, value, names) in [
            ("load_balancing.cross_zone.enabled", "use", "cross_zone"),
            (
                "target_failover.on_unhealthy",
                "rebalance",
                "target_failover",
            ),
            (ALGORITHM, "fastest", "least_outstanding_requests"),
            (STICKY, "yes", "true"),
            (DELAY, "5s", "5s"),
            (SLOW_START, "-1", "-1"),
        ] {
            let message = changed(&[(key, value)]).unwrap_err().message;
            assert!(message.contains(names), "{message}");
        }
    }
}
