//! Target groups: targets that serve the same thing, and how they are probed.

mod capacity;
mod protocol;
mod stickiness;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::id::TargetGroupName;
use crate::{Event, Exception, Rejection};

pub use capacity::Capacity;
pub use protocol::{HealthCheckProtocol, ProtocolVersion, ProxyProtocol, TargetProtocol};
pub(super) use stickiness::LONGEST_STICKINESS;
pub use stickiness::Stickiness;

const LONGEST_NAME: usize = 32;
const MOST_CODE_RANGES: usize = 20;

/// How targets are probed. Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealthCheck {
    #[serde(default)]
    pub protocol: HealthCheckProtocol,
    pub path: String,
    pub interval: u32,
    pub timeout: u32,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    /// Ranges of status codes that count as success, both ends included: those of gRPC where that is what is asked.
    pub success_codes: Vec<(u16, u16)>,
}

/// How requests are spread over the targets of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    #[default]
    RoundRobin,
    LeastOutstandingRequests,
    WeightedRandom,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [
        Self::RoundRobin,
        Self::LeastOutstandingRequests,
        Self::WeightedRandom,
    ];

    /// Returns its name, as ELB has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastOutstandingRequests => "least_outstanding_requests",
            Self::WeightedRandom => "weighted_random",
        }
    }
}

/// What the user says of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroupSpec {
    #[serde(default)]
    pub protocol: TargetProtocol,
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    pub health_check: TargetHealthCheck,
    /// Seconds that requests under way may take after a target has left.
    pub deregistration_delay: u32,
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Seconds over which the share of a new target grows; 0: at once.
    #[serde(default)]
    pub slow_start: u32,
    #[serde(default)]
    pub stickiness: Stickiness,
    #[serde(default)]
    pub capacity: Capacity,
    /// A load balancer sends requests to its own availability zone as long as a target is healthy there.
    #[serde(default)]
    pub prefers_own_zone: bool,
}

/// Targets that serve the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    pub name: TargetGroupName,
    pub spec: TargetGroupSpec,
}

impl TargetGroup {
    /// Returns how long requests under way may take after a target has left.
    #[must_use]
    pub fn deregistration_delay(&self) -> Duration {
        Duration::from_secs(u64::from(self.spec.deregistration_delay))
    }
}

impl ClusterState {
    pub(super) fn create_target_group(
        &mut self,
        name: TargetGroupName,
        spec: TargetGroupSpec,
    ) -> Result<Vec<Event>, Rejection> {
        check_name(name.as_str())?;
        spec.check()?;
        match self.target_groups.get(&name) {
            Some(known) if known.spec == spec => return Ok(Vec::new()),
            Some(_) => {
                return Err(Rejection::new(
                    Exception::DuplicateTargetGroupName,
                    format!(
                        "A target group with the name '{name}' exists already with other settings."
                    ),
                ));
            }
            None => {}
        }
        self.target_groups
            .insert(name.clone(), Arc::new(TargetGroup { name, spec }));
        Ok(self.routing_changed())
    }

    pub(super) fn modify_target_group(
        &mut self,
        name: &TargetGroupName,
        spec: TargetGroupSpec,
        before: Option<&TargetGroupSpec>,
    ) -> Result<Vec<Event>, Rejection> {
        spec.check()?;
        let group = self
            .target_groups
            .get_mut(name)
            .ok_or_else(|| group_not_found(name))?;
        if before.is_some_and(|before| group.spec != *before) {
            return Err(Rejection::stale(format!(
                "target group '{name}' has changed meanwhile; look again, and try again"
            )));
        }
        if group.spec == spec {
            return Ok(Vec::new());
        }
        Arc::make_mut(group).spec = spec;
        Ok(self.routing_changed())
    }

    pub(super) fn delete_target_group(
        &mut self,
        name: &TargetGroupName,
    ) -> Result<Vec<Event>, Rejection> {
        if !self.target_groups.contains_key(name) {
            return Err(group_not_found(name));
        }
        if self.target_group_in_use(name) {
            return Err(Rejection::new(
                Exception::ResourceInUse,
                format!("Target group '{name}' is currently in use by a listener or a rule"),
            ));
        }
        self.target_groups.remove(name);
        Ok(self.routing_changed())
    }
}

impl TargetGroupSpec {
    /// Checks what a user says.
    ///
    /// # Errors
    /// Names the first value that no target group may have.
    pub fn check(&self) -> Result<(), Rejection> {
        let check = &self.health_check;
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Rejection::validation(format!(
                "{name} must be {least} to {most}, not {value}"
            )))
        };
        if !check.path.starts_with('/')
            || check.path.len() > 1024
            || check.path.contains(char::is_whitespace)
        {
            return Err(Rejection::validation(
                "healthCheckPath must begin with / and have at most 1024 characters",
            ));
        }
        within("healthCheckIntervalSeconds", check.interval, 5, 300)?;
        within("healthCheckTimeoutSeconds", check.timeout, 2, 120)?;
        within("healthyThresholdCount", check.healthy_threshold, 2, 10)?;
        within("unhealthyThresholdCount", check.unhealthy_threshold, 2, 10)?;
        within(
            "deregistration_delay.timeout_seconds",
            self.deregistration_delay,
            0,
            3600,
        )?;
        self.check_slow_start()?;
        if self.protocol == TargetProtocol::Tcp && self.stickiness.enabled {
            return Err(Rejection::validation(
                "stickiness.enabled goes with target groups of protocol HTTP or HTTPS: there are no cookies in TCP",
            ));
        }
        if self.proxy_protocol != ProxyProtocol::Off && self.protocol != TargetProtocol::Tcp {
            return Err(Rejection::validation(
                "proxy_protocol_v2.enabled and roadstead.proxy_protocol_v1.enabled go with target groups of protocol TCP",
            ));
        }
        self.stickiness.check()?;
        self.capacity.check()?;
        let (matcher, least, most) = if self.is_asked_in_grpc() {
            ("grpcCode", 0, 99)
        } else {
            ("httpCode", 200, 499)
        };
        let ordered =
            |(from, to): &(u16, u16)| (least..=most).contains(from) && from <= to && *to <= most;
        if check.success_codes.len() > MOST_CODE_RANGES {
            return Err(Rejection::validation(format!(
                "matcher.{matcher} must name at most {MOST_CODE_RANGES} codes or ranges"
            )));
        }
        if check.success_codes.is_empty() || !check.success_codes.iter().all(ordered) {
            return Err(Rejection::validation(format!(
                "matcher.{matcher} must name codes from {least} to {most}"
            )));
        }
        Ok(())
    }

    /// Returns whether targets are asked how they fare by a call of gRPC.
    #[must_use]
    pub fn is_asked_in_grpc(&self) -> bool {
        self.protocol_version == ProtocolVersion::Grpc
            && match self.health_check.protocol {
                HealthCheckProtocol::Http => true,
                // Targets that get their calls without TLS have something else there.
                HealthCheckProtocol::Https => self.protocol == TargetProtocol::Https,
                HealthCheckProtocol::Tcp => false,
            }
    }
}

impl TargetGroupSpec {
    fn check_slow_start(&self) -> Result<(), Rejection> {
        if !matches!(self.slow_start, 0 | 30..=900) {
            return Err(Rejection::validation(format!(
                "slow_start.duration_seconds must be 0 or 30 to 900, not {}",
                self.slow_start
            )));
        }
        if self.slow_start > 0 && self.algorithm != Algorithm::RoundRobin {
            return Err(Rejection::validation(format!(
                "slow_start.duration_seconds goes with the algorithm round_robin, not with {}",
                self.algorithm.name()
            )));
        }
        Ok(())
    }
}

/// ELB: at most 32 letters, digits and hyphens, none at either end.
pub(super) fn check_name(name: &str) -> Result<(), Rejection> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '-';
    if (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
    {
        return Ok(());
    }
    Err(Rejection::validation(format!(
        "name '{name}' must have 1 to 32 letters, digits or hyphens, and no hyphen at either end"
    )))
}

pub(super) fn group_not_found(name: &TargetGroupName) -> Rejection {
    Rejection::new(
        Exception::TargetGroupNotFound,
        format!("Target group '{name}' not found"),
    )
}
