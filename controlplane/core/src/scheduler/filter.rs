//! Whether an instance can take a task, and why not.

use std::fmt;

use crate::resources::{Lack, Resources};
use crate::state::container_instance::{ContainerInstance, InstanceStatus};

/// Why an instance does not fit. The order is how close it came: the last is the closest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// Deregistered; as good as absent.
    Inactive,
    Draining,
    AgentDisconnected,
    Lacks(Lack),
}

impl Unfit {
    /// Returns the reason of a `RunTask` failure.
    #[must_use]
    pub fn failure_reason(self) -> &'static str {
        match self {
            Self::Inactive => "INACTIVE",
            Self::Draining => "DRAINING",
            Self::AgentDisconnected => "AGENT",
            Self::Lacks(Lack::Cpu) => "RESOURCE:CPU",
            Self::Lacks(Lack::Memory) => "RESOURCE:MEMORY",
            Self::Lacks(Lack::Ports) => "RESOURCE:PORTS",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Inactive => "is deregistered",
            Self::Draining => "is draining",
            Self::AgentDisconnected => "encountered error \"AGENT\"",
            Self::Lacks(Lack::Cpu) => "has insufficient CPU units available",
            Self::Lacks(Lack::Memory) => "has insufficient memory available",
            Self::Lacks(Lack::Ports) => "is already using a port required by your task",
        })
    }
}

/// Returns why `instance`, with `reserved` taken, cannot take `needed`; `None` when it can.
pub(super) fn unfit(
    instance: &ContainerInstance,
    reserved: &Resources,
    needed: &Resources,
) -> Option<Unfit> {
    match instance.status {
        InstanceStatus::Inactive => Some(Unfit::Inactive),
        InstanceStatus::Draining => Some(Unfit::Draining),
        InstanceStatus::Active if !instance.agent_connected => Some(Unfit::AgentDisconnected),
        InstanceStatus::Active => reserved
            .lack(&instance.registered, needed)
            .map(Unfit::Lacks),
    }
}
