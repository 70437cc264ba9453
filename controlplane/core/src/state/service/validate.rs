//! What a service may say.

use std::collections::BTreeSet;

use super::ServiceSpec;
use crate::Rejection;
use crate::state::ClusterState;

/// 5000 tasks per service is ECS's quota.
const MOST_TASKS: u32 = 5000;
const MOST_TARGET_GROUPS: usize = 5;
/// The longest grace period that the ECS API takes, in seconds.
const LONGEST_GRACE: u32 = i32::MAX.unsigned_abs();

impl ClusterState {
    pub(super) fn check_spec(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        check_numbers(spec)?;
        let id = &spec.task_definition;
        let definition = self.usable_task_definition(&id.family, Some(id.revision))?;
        let groups: BTreeSet<_> = spec
            .load_balancers
            .iter()
            .map(|one| &one.target_group)
            .collect();
        if groups.len() < spec.load_balancers.len() {
            return Err(Rejection::invalid(
                "loadBalancers names a target group twice.",
            ));
        }
        for balancer in &spec.load_balancers {
            let (container, port) = (&balancer.container_name, balancer.container_port);
            let Some(found) = definition.container(container) else {
                return Err(Rejection::invalid(format!(
                    "The container {container} does not exist in the task definition."
                )));
            };
            if !found
                .port_mappings
                .iter()
                .any(|mapping| mapping.container_port == port)
            {
                return Err(Rejection::invalid(format!(
                    "The container {container} did not have a container port {port} defined."
                )));
            }
            let group = &balancer.target_group;
            if !self.target_groups.contains_key(group) {
                return Err(Rejection::invalid(format!(
                    "Target group not found: {group}"
                )));
            }
            if !self.target_group_in_use(group) {
                return Err(Rejection::invalid(format!(
                    "The target group with targetGroupArn {} does not have an associated load balancer.",
                    self.arns().target_group(group)
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn check_numbers(spec: &ServiceSpec) -> Result<(), Rejection> {
    if spec.desired_count > MOST_TASKS {
        return Err(Rejection::invalid("desiredCount may be at most 5000."));
    }
    if spec.load_balancers.len() > MOST_TARGET_GROUPS {
        return Err(Rejection::invalid(
            "loadBalancers may have at most 5 entries.",
        ));
    }
    if spec.health_check_grace_period_seconds > LONGEST_GRACE {
        return Err(Rejection::invalid(
            "healthCheckGracePeriodSeconds is too large.",
        ));
    }
    let configuration = spec.deployment_configuration;
    if configuration.minimum_healthy_percent > 100 {
        return Err(Rejection::invalid(
            "minimumHealthyPercent must be 0 to 100.",
        ));
    }
    if !(100..=10_000).contains(&configuration.maximum_percent) {
        return Err(Rejection::invalid("maximumPercent must be 100 to 10000."));
    }
    Ok(())
}
