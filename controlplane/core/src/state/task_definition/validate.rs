//! What makes a task definition acceptable: "Task definition parameters" in the ECS guide.

use std::collections::BTreeSet;

use super::{ContainerDefinition, ContainerHealthCheck, NetworkMode, NewTaskDefinition};
use crate::Rejection;

const MOST_CONTAINERS: usize = 10;
const LONGEST_NAME: usize = 255;
/// The smallest hard limit, in MiB, that a container runtime accepts.
const LEAST_MEMORY_MIB: u32 = 4;
const MOST_CPU_UNITS: u32 = 262_144;
const LONGEST_STOP_TIMEOUT: u32 = 120;

impl NewTaskDefinition {
    /// Checks everything that can be known before a task is placed.
    ///
    /// # Errors
    /// `ClientException` that names the field.
    pub fn check(&self) -> Result<(), Rejection> {
        if !is_name(self.family.as_str()) {
            return refuse("family must have 1 to 255 letters, digits, hyphens or underscores.");
        }
        if self.containers.is_empty() {
            return refuse("Container definitions should not be null or empty.");
        }
        if self.containers.len() > MOST_CONTAINERS {
            return refuse("containerDefinitions may have at most 10 containers.");
        }
        if !self.containers.iter().any(|container| container.essential) {
            return refuse(
                "Invalid 'containerDefinitions': at least one essential container must be specified.",
            );
        }
        for container in &self.containers {
            self.check_container(container)?;
        }
        self.check_uniqueness()?;
        self.check_sums()
    }

    fn check_container(&self, container: &ContainerDefinition) -> Result<(), Rejection> {
        let name = &container.name;
        if name.is_empty() {
            return refuse("Container.name should not be null or empty.");
        }
        if !is_name(name) {
            return refuse(
                "Container.name must have 1 to 255 letters, digits, hyphens or underscores.",
            );
        }
        let invalid =
            |what: &str| refuse(format!("Invalid setting for container '{name}'. {what}"));
        if container.image.is_empty() {
            return refuse("Container.image should not be null or empty.");
        }
        if container.image.len() > LONGEST_NAME {
            return invalid("'image' may have at most 255 characters.");
        }
        if container.cpu_units > MOST_CPU_UNITS {
            return invalid("'cpu' may be at most 262144 units.");
        }
        match (container.memory_mib, container.memory_reservation_mib) {
            (None, None) if self.memory_mib.is_none() => {
                return invalid(
                    "At least one of 'memory' or 'memoryReservation' must be specified.",
                );
            }
            (Some(memory), Some(reservation)) if memory < reservation => {
                return invalid("The 'memory' must be greater than 'memoryReservation'.");
            }
            (Some(memory), _) if memory < LEAST_MEMORY_MIB => {
                return invalid("'memory' must be at least 4 MiB.");
            }
            (Some(_) | None, Some(_) | None) => {}
        }
        if container
            .stop_timeout
            .is_some_and(|seconds| seconds > LONGEST_STOP_TIMEOUT)
        {
            return invalid("'stopTimeout' may be at most 120 seconds.");
        }
        if container
            .environment
            .iter()
            .any(|(name, _)| name.is_empty() || name.contains('='))
        {
            return invalid("'environment' has a name that is empty or contains '='.");
        }
        if let Some(check) = &container.health_check {
            check_health_check(name, check)?;
        }
        let differs = |mapping: &super::PortMapping| {
            mapping.host_port != 0 && mapping.host_port != mapping.container_port
        };
        if self.network_mode == NetworkMode::Host && container.port_mappings.iter().any(differs) {
            return refuse(
                "When networkMode=host, the host ports and container ports in port mappings must match.",
            );
        }
        if container
            .port_mappings
            .iter()
            .any(|mapping| mapping.container_port == 0)
        {
            return invalid("'portMappings.containerPort' must be 1 to 65535.");
        }
        Ok(())
    }

    fn check_uniqueness(&self) -> Result<(), Rejection> {
        let mut names = BTreeSet::new();
        let mut host_ports = BTreeSet::new();
        for container in &self.containers {
            if !names.insert(&container.name) {
                return refuse(format!(
                    "Container.name '{}' is used twice.",
                    container.name
                ));
            }
            let mut container_ports = BTreeSet::new();
            for mapping in &container.port_mappings {
                if !container_ports.insert((mapping.protocol, mapping.container_port)) {
                    return refuse(format!(
                        "Invalid setting for container '{}'. 'portMappings' names container port {} twice.",
                        container.name, mapping.container_port
                    ));
                }
                if mapping.host_port != 0
                    && !host_ports.insert((mapping.protocol, mapping.host_port))
                {
                    return refuse(format!(
                        "Invalid setting for container '{}'. Host port {} is used twice.",
                        container.name, mapping.host_port
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_sums(&self) -> Result<(), Rejection> {
        let sum = |amount: fn(&ContainerDefinition) -> u32| -> u64 {
            self.containers
                .iter()
                .map(|container| u64::from(amount(container)))
                .sum()
        };
        if let Some(cpu) = self.cpu_units {
            if !(128..=196_608).contains(&cpu) {
                return refuse("Invalid 'cpu' setting for task. It must be 128 to 196608 units.");
            }
            if sum(|container| container.cpu_units) > u64::from(cpu) {
                return refuse(
                    "Invalid 'cpu' setting for task. The sum of container cpu must not exceed it.",
                );
            }
        }
        if let Some(memory) = self.memory_mib {
            if memory < LEAST_MEMORY_MIB {
                return refuse("Invalid 'memory' setting for task. It must be at least 4 MiB.");
            }
            let of = |one: &ContainerDefinition| {
                one.memory_reservation_mib.or(one.memory_mib).unwrap_or(0)
            };
            if sum(of) > u64::from(memory) {
                return refuse(
                    "When you are using EC2 launch type, sum of container memory must not exceed task memory.",
                );
            }
        }
        Ok(())
    }
}

fn check_health_check(name: &str, check: &ContainerHealthCheck) -> Result<(), Rejection> {
    let invalid = |what: &str| {
        refuse(format!(
            "Invalid setting for container '{name}'. healthCheck.{what}"
        ))
    };
    let kind = check.command.first().map(String::as_str);
    let has_words = check.command.len() > 1;
    if !(matches!(kind, Some("CMD")) && has_words
        || matches!(kind, Some("CMD-SHELL")) && check.command.len() == 2)
    {
        return invalid("command must be [\"CMD\", WORD, ...] or [\"CMD-SHELL\", LINE].");
    }
    if !(5..=300).contains(&check.interval) {
        return invalid("interval must be 5 to 300 seconds.");
    }
    if !(2..=60).contains(&check.timeout) {
        return invalid("timeout must be 2 to 60 seconds.");
    }
    if !(1..=10).contains(&check.retries) {
        return invalid("retries must be 1 to 10.");
    }
    if check.start_period.is_some_and(|seconds| seconds > 300) {
        return invalid("startPeriod must be 0 to 300 seconds.");
    }
    Ok(())
}

/// Returns whether `text` is a name as ECS allows it: 1 to 255 letters, digits, `-` and `_`.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(allowed)
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection::client(message))
}
