//! Between the core's types and those of the agent's session.

use std::collections::BTreeSet;

use roadstead_core::id::{ClusterName, ContainerInstanceId, TaskId};
use roadstead_core::resources::{Protocol, Resources};
use roadstead_core::state::container_instance::InstanceRegistration;
use roadstead_core::state::task::{
    Container, DesiredStatus, HealthStatus, LastStatus, PortBinding, StopCode, Task,
    TaskStateChange, TaskTimes,
};
use roadstead_core::state::task_definition::{NetworkMode, TaskDefinition};
use roadstead_core::{ClusterState, Timestamp};
use roadstead_proto::{agent, ecs};
use tonic::Status;

use crate::api::convert;

/// The longest text that an agent may report as a reason.
const LONGEST_REASON: usize = 1024;

/// Reads a registration.
pub(super) fn registration(register: agent::Register) -> Result<InstanceRegistration, Status> {
    let id = register.container_instance_id;
    if id.len() != 32 || !id.chars().all(|one| one.is_ascii_hexdigit()) {
        return Err(Status::invalid_argument(
            "container_instance_id must have 32 hex digits",
        ));
    }
    if register.address.parse::<std::net::IpAddr>().is_err() {
        return Err(Status::invalid_argument("address must be an IP address"));
    }
    let mut ports = BTreeSet::new();
    for reserved in register.reserved_ports {
        let port = port(reserved)?;
        ports.extend([(Protocol::Tcp, port), (Protocol::Udp, port)]);
    }
    Ok(InstanceRegistration {
        id: ContainerInstanceId::new(id),
        cluster: ClusterName::new(register.cluster),
        host_name: register.host_name,
        address: register.address,
        agent_version: register.agent_version,
        registered: Resources {
            cpu_units: register.cpu_units,
            memory_mib: register.memory_mib,
            ports,
        },
        attributes: register.attributes,
    })
}

/// Builds the complete set of tasks that an instance shall have.
pub(super) fn desired_tasks(
    state: &ClusterState,
    id: &ContainerInstanceId,
    servers: Vec<String>,
) -> agent::DesiredTasks {
    let revision = state
        .container_instances
        .get(id)
        .map_or(0, |instance| instance.desired_version);
    let tasks = state.live_tasks_on(id).filter_map(|task| {
        let definition = state.task_definitions.get(&task.task_definition)?;
        Some(desired_task(state, task, definition))
    });
    agent::DesiredTasks {
        revision,
        control_plane_id: state.identity.control_plane_id.clone(),
        tasks: tasks.collect(),
        servers,
    }
}

fn desired_task(
    state: &ClusterState,
    task: &Task,
    definition: &TaskDefinition,
) -> agent::DesiredTask {
    let content = &definition.content;
    let containers = content.containers.iter().map(|container| {
        let mut container = convert::task_definition::container_to_proto(container);
        let changes = task
            .overrides
            .iter()
            .find(|one| container.name.as_ref() == Some(&one.name));
        if let Some(changes) = changes {
            merge(&mut container, &changes.command, &changes.environment);
        }
        container
    });
    agent::DesiredTask {
        task_id: task.id.to_string(),
        task_arn: state.arns().task(&task.cluster, &task.id),
        cluster: task.cluster.to_string(),
        family: definition.id.family.to_string(),
        revision: definition.id.revision.get(),
        desired_status: match task.instruction() {
            DesiredStatus::Running => "RUNNING".to_owned(),
            DesiredStatus::Stopped => "STOPPED".to_owned(),
        },
        known_status: convert::task::last_status(task.last_status).to_owned(),
        network_mode: match content.network_mode {
            NetworkMode::Bridge => "bridge".to_owned(),
            NetworkMode::Host => "host".to_owned(),
        },
        cpu_units: content.cpu_units.unwrap_or(0),
        memory_mib: content.memory_mib.unwrap_or(0),
        containers: containers.collect(),
        group: task.group.clone(),
    }
}

fn merge(
    container: &mut ecs::ContainerDefinition,
    command: &[String],
    environment: &[(String, String)],
) {
    if !command.is_empty() {
        container.command = command.to_vec();
    }
    for (name, value) in environment {
        container
            .environment
            .retain(|pair| pair.name.as_ref() != Some(name));
        container.environment.push(ecs::KeyValuePair {
            name: Some(name.clone()),
            value: Some(value.clone()),
        });
    }
}

/// Reads what an agent observed of one task.
pub(super) fn task_state_change(
    instance: &ContainerInstanceId,
    observed: agent::ObservedTask,
) -> Result<TaskStateChange, Status> {
    let containers: Result<Vec<Container>, Status> =
        observed.containers.into_iter().map(container).collect();
    Ok(TaskStateChange {
        task: TaskId::new(observed.task_id),
        container_instance: instance.clone(),
        last_status: last_status(&observed.last_status)?,
        containers: containers?,
        health: health(&observed.health_status)?,
        times: TaskTimes {
            pull_started: time(observed.pull_started_at),
            pull_stopped: time(observed.pull_stopped_at),
            started: time(observed.started_at),
            execution_stopped: time(observed.execution_stopped_at),
            stopped: time(observed.stopped_at),
        },
        stop_code: stop_code(&observed.stop_code)?,
        stopped_reason: text(&observed.stopped_reason),
    })
}

fn container(observed: agent::ObservedContainer) -> Result<Container, Status> {
    let bindings: Result<Vec<PortBinding>, Status> =
        observed.port_bindings.iter().map(port_binding).collect();
    Ok(Container {
        name: observed.name,
        last_status: last_status(&observed.last_status)?,
        exit_code: observed.exit_code,
        reason: text(&observed.reason),
        runtime_id: text(&observed.runtime_id),
        image_digest: text(&observed.image_digest),
        health: health(&observed.health_status)?,
        port_bindings: bindings?,
    })
}

fn port_binding(binding: &agent::PortBinding) -> Result<PortBinding, Status> {
    let protocol = match binding.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(unknown("protocol", other)),
    };
    let (container_port, host_port) = (port(binding.container_port)?, port(binding.host_port)?);
    Ok(PortBinding {
        container_port,
        host_port,
        protocol,
    })
}

fn port(number: u32) -> Result<u16, Status> {
    u16::try_from(number).map_err(|_| Status::invalid_argument(format!("{number} is not a port")))
}

fn last_status(text: &str) -> Result<LastStatus, Status> {
    match text {
        "PENDING" => Ok(LastStatus::Pending),
        "RUNNING" => Ok(LastStatus::Running),
        "STOPPING" => Ok(LastStatus::Stopping),
        "STOPPED" => Ok(LastStatus::Stopped),
        other => Err(unknown("last_status", other)),
    }
}

fn health(text: &str) -> Result<HealthStatus, Status> {
    match text {
        "HEALTHY" => Ok(HealthStatus::Healthy),
        "UNHEALTHY" => Ok(HealthStatus::Unhealthy),
        "UNKNOWN" | "" => Ok(HealthStatus::Unknown),
        other => Err(unknown("health_status", other)),
    }
}

fn stop_code(text: &str) -> Result<Option<StopCode>, Status> {
    match text {
        "" => Ok(None),
        "TaskFailedToStart" => Ok(Some(StopCode::TaskFailedToStart)),
        "EssentialContainerExited" => Ok(Some(StopCode::EssentialContainerExited)),
        other => Err(unknown("stop_code", other)),
    }
}

fn unknown(field: &str, value: &str) -> Status {
    Status::invalid_argument(format!("unknown {field} {value:?}"))
}

fn time(milliseconds: i64) -> Option<Timestamp> {
    (milliseconds > 0).then_some(Timestamp(milliseconds))
}

fn text(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    Some(text.chars().take(LONGEST_REASON).collect())
}
