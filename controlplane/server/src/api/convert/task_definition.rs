//! Task definitions.

use roadstead_core::Rejection;
use roadstead_core::arn::Arns;
use roadstead_core::id::Family;
use roadstead_core::resources::Protocol;
use roadstead_core::state::task_definition::{
    ContainerDefinition, ContainerHealthCheck, NetworkMode, NewTaskDefinition, PortMapping,
    TaskDefinition,
};
use roadstead_proto::ecs;

use super::number::{port, unsigned};
use super::{count, seconds};

/// Reads a request to register; what Roadstead does not support is refused by name.
pub(crate) fn from_request(
    request: ecs::RegisterTaskDefinitionRequest,
) -> Result<NewTaskDefinition, Rejection> {
    if !request.volumes.is_empty() {
        return Err(unsupported("volumes"));
    }
    if !request.placement_constraints.is_empty() {
        return Err(unsupported("placementConstraints"));
    }
    if let Some(other) = request
        .requires_compatibilities
        .iter()
        .find(|one| *one != "EC2")
    {
        return Err(Rejection::client(format!(
            "requiresCompatibilities '{other}' is not supported; use EC2."
        )));
    }
    let network_mode = match request.network_mode.as_deref() {
        None | Some("bridge") => NetworkMode::Bridge,
        Some("host") => NetworkMode::Host,
        Some(other) => {
            return Err(Rejection::client(format!(
                "networkMode '{other}' is not supported; use bridge or host."
            )));
        }
    };
    let containers: Result<Vec<_>, Rejection> = request
        .container_definitions
        .into_iter()
        .map(|container| container_from_proto(container, network_mode))
        .collect();
    Ok(NewTaskDefinition {
        family: Family::new(request.family.unwrap_or_default()),
        network_mode,
        containers: containers?,
        cpu_units: amount(request.cpu.as_deref(), "cpu", "vcpu")?,
        memory_mib: amount(request.memory.as_deref(), "memory", "gb")?,
        requires_compatibilities: request.requires_compatibilities,
    })
}

fn unsupported(field: &str) -> Rejection {
    Rejection::client(format!("{field} is not supported yet; leave it out."))
}

/// Reads `512`, or a decimal number of whole units of 1024 such as `0.5 vCPU` or `1GB`.
fn amount(text: Option<&str>, field: &str, unit: &str) -> Result<Option<u32>, Rejection> {
    let Some(text) = text else { return Ok(None) };
    let lower = text.trim().to_ascii_lowercase();
    let number = match lower.strip_suffix(unit) {
        None => lower.parse().ok(),
        Some(number) => thousandths(number.trim())
            .map(|thousandths| thousandths * 1024 / 1000)
            .and_then(|units| u32::try_from(units).ok()),
    };
    let refuse = || {
        Rejection::client(format!(
            "Invalid '{field}' setting for task. '{text}' is not a number of units."
        ))
    };
    number.map(Some).ok_or_else(refuse)
}

/// Reads a decimal number with at most three digits behind the point, times a thousand.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.chars().all(|one| one.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(fraction)
}

fn container_from_proto(
    container: ecs::ContainerDefinition,
    network_mode: NetworkMode,
) -> Result<ContainerDefinition, Rejection> {
    for (given, field) in [
        (!container.mount_points.is_empty(), "mountPoints"),
        (!container.volumes_from.is_empty(), "volumesFrom"),
        (!container.system_controls.is_empty(), "systemControls"),
    ] {
        if given {
            return Err(unsupported(field));
        }
    }
    let mappings: Result<Vec<_>, Rejection> = container
        .port_mappings
        .into_iter()
        .map(|mapping| port_mapping_from_proto(mapping, network_mode))
        .collect();
    let pair = |pair: ecs::KeyValuePair| {
        (
            pair.name.unwrap_or_default(),
            pair.value.unwrap_or_default(),
        )
    };
    Ok(ContainerDefinition {
        name: container.name.unwrap_or_default(),
        image: container.image.unwrap_or_default(),
        cpu_units: unsigned(container.cpu, "cpu")?.unwrap_or(0),
        memory_mib: unsigned(container.memory, "memory")?,
        memory_reservation_mib: unsigned(container.memory_reservation, "memoryReservation")?,
        essential: container.essential.unwrap_or(true),
        port_mappings: mappings?,
        environment: container.environment.into_iter().map(pair).collect(),
        command: container.command,
        entry_point: container.entry_point,
        user: container.user,
        health_check: container
            .health_check
            .map(health_check_from_proto)
            .transpose()?,
        stop_timeout: unsigned(container.stop_timeout, "stopTimeout")?,
    })
}

fn port_mapping_from_proto(
    mapping: ecs::PortMapping,
    network_mode: NetworkMode,
) -> Result<PortMapping, Rejection> {
    let container_port = port(mapping.container_port, "containerPort", false)?;
    let host_port = match (network_mode, port(mapping.host_port, "hostPort", true)?) {
        (NetworkMode::Host, 0) => container_port,
        (NetworkMode::Host | NetworkMode::Bridge, host_port) => host_port,
    };
    let protocol = match mapping.protocol.as_deref() {
        None | Some("tcp") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some(other) => {
            return Err(Rejection::client(format!(
                "protocol '{other}' is not supported; use tcp or udp."
            )));
        }
    };
    Ok(PortMapping {
        container_port,
        host_port,
        protocol,
        name: mapping.name,
    })
}

/// ECS's defaults: every 30 s, 5 s to answer, 3 failures in a row.
fn health_check_from_proto(check: ecs::HealthCheck) -> Result<ContainerHealthCheck, Rejection> {
    Ok(ContainerHealthCheck {
        command: check.command,
        interval: unsigned(check.interval, "healthCheck.interval")?.unwrap_or(30),
        timeout: unsigned(check.timeout, "healthCheck.timeout")?.unwrap_or(5),
        retries: unsigned(check.retries, "healthCheck.retries")?.unwrap_or(3),
        start_period: unsigned(check.start_period, "healthCheck.startPeriod")?,
    })
}

/// Describes a definition so that it can be registered again.
pub(crate) fn to_proto(arns: &Arns, definition: &TaskDefinition) -> ecs::TaskDefinition {
    let content = &definition.content;
    ecs::TaskDefinition {
        task_definition_arn: Some(arns.task_definition(&definition.id)),
        container_definitions: content.containers.iter().map(container_to_proto).collect(),
        family: Some(definition.id.family.to_string()),
        network_mode: Some(network_mode(content.network_mode).to_owned()),
        revision: Some(count(definition.id.revision.get())),
        volumes: Vec::new(),
        status: Some(
            if definition.active() {
                "ACTIVE"
            } else {
                "INACTIVE"
            }
            .to_owned(),
        ),
        requires_attributes: Vec::new(),
        placement_constraints: Vec::new(),
        compatibilities: vec!["EXTERNAL".to_owned(), "EC2".to_owned()],
        requires_compatibilities: content.requires_compatibilities.clone(),
        cpu: content.cpu_units.map(|units| units.to_string()),
        memory: content.memory_mib.map(|mib| mib.to_string()),
        registered_at: Some(seconds(definition.registered_at)),
        deregistered_at: definition.deregistered_at.map(seconds),
    }
}

fn network_mode(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::Host => "host",
    }
}

/// Describes one container.
pub(crate) fn container_to_proto(container: &ContainerDefinition) -> ecs::ContainerDefinition {
    let mapping = |mapping: &PortMapping| ecs::PortMapping {
        container_port: Some(i32::from(mapping.container_port)),
        host_port: Some(i32::from(mapping.host_port)),
        protocol: Some(mapping.protocol.name().to_owned()),
        name: mapping.name.clone(),
    };
    let pair = |(name, value): &(String, String)| ecs::KeyValuePair {
        name: Some(name.clone()),
        value: Some(value.clone()),
    };
    let check = |check: &ContainerHealthCheck| ecs::HealthCheck {
        command: check.command.clone(),
        interval: Some(count(check.interval)),
        timeout: Some(count(check.timeout)),
        retries: Some(count(check.retries)),
        start_period: check.start_period.map(count),
    };
    ecs::ContainerDefinition {
        name: Some(container.name.clone()),
        image: Some(container.image.clone()),
        cpu: Some(count(container.cpu_units)),
        memory: container.memory_mib.map(count),
        memory_reservation: container.memory_reservation_mib.map(count),
        essential: Some(container.essential),
        port_mappings: container.port_mappings.iter().map(mapping).collect(),
        environment: container.environment.iter().map(pair).collect(),
        command: container.command.clone(),
        entry_point: container.entry_point.clone(),
        user: container.user.clone(),
        health_check: container.health_check.as_ref().map(check),
        stop_timeout: container.stop_timeout.map(count),
        mount_points: Vec::new(),
        volumes_from: Vec::new(),
        system_controls: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_amounts_are_read_as_ecs_reads_them() {
        assert_eq!(amount(Some("512"), "cpu", "vcpu").unwrap(), Some(512));
        assert_eq!(amount(Some("1 vCPU"), "cpu", "vcpu").unwrap(), Some(1024));
        assert_eq!(amount(Some("0.5 vcpu"), "cpu", "vcpu").unwrap(), Some(512));
        assert_eq!(amount(Some("2 GB"), "memory", "gb").unwrap(), Some(2048));
        assert!(
            amount(Some("much"), "cpu", "vcpu")
                .unwrap_err()
                .message
                .contains("'cpu'")
        );
    }
}
