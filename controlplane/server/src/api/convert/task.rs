//! Tasks and their containers.

use roadstead_core::ClusterState;
use roadstead_core::state::task::{
    Container, ContainerOverride, DesiredStatus, HealthStatus, LastStatus, StopCode, Task,
};
use roadstead_core::state::task_definition::{ContainerDefinition, TaskDefinition};
use roadstead_proto::ecs;

use super::seconds;

pub(crate) fn last_status(status: LastStatus) -> &'static str {
    match status {
        LastStatus::Pending => "PENDING",
        LastStatus::Running => "RUNNING",
        LastStatus::Deactivating => "DEACTIVATING",
        LastStatus::Stopping => "STOPPING",
        LastStatus::Stopped => "STOPPED",
    }
}

pub(crate) fn desired_status(status: DesiredStatus) -> &'static str {
    match status {
        DesiredStatus::Running => "RUNNING",
        DesiredStatus::Stopped => "STOPPED",
    }
}

fn health_status(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Unknown => "UNKNOWN",
        HealthStatus::Healthy => "HEALTHY",
        HealthStatus::Unhealthy => "UNHEALTHY",
    }
}

fn stop_code(code: StopCode) -> &'static str {
    match code {
        StopCode::TaskFailedToStart => "TaskFailedToStart",
        StopCode::EssentialContainerExited => "EssentialContainerExited",
        StopCode::UserInitiated => "UserInitiated",
        StopCode::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
    }
}

/// Describes a task.
pub(crate) fn to_proto(state: &ClusterState, task: &Task) -> ecs::Task {
    let arns = state.arns();
    let definition = state.task_definitions.get(&task.task_definition);
    let instance = state.container_instances.get(&task.container_instance);
    let connected = instance.is_some_and(|instance| instance.agent_connected);
    ecs::Task {
        attachments: Vec::new(),
        attributes: Vec::new(),
        availability_zone: instance
            .and_then(|instance| instance.attribute("ecs.availability-zone"))
            .map(str::to_owned),
        cluster_arn: Some(arns.cluster(&task.cluster)),
        connectivity: Some(
            if connected {
                "CONNECTED"
            } else {
                "DISCONNECTED"
            }
            .to_owned(),
        ),
        connectivity_at: instance
            .map(|instance| seconds(instance.connection_changed_at.max(task.created_at))),
        container_instance_arn: Some(
            arns.container_instance(&task.cluster, &task.container_instance),
        ),
        containers: definition
            .map(|definition| containers(state, task, definition))
            .unwrap_or_default(),
        cpu: Some(task.reserved.cpu_units.to_string()),
        created_at: Some(seconds(task.created_at)),
        desired_status: Some(desired_status(task.desired_status).to_owned()),
        execution_stopped_at: task.times.execution_stopped.map(seconds),
        group: Some(task.group.clone()),
        health_status: Some(health_status(task.health).to_owned()),
        last_status: Some(last_status(task.last_status).to_owned()),
        launch_type: Some("EC2".to_owned()),
        memory: Some(task.reserved.memory_mib.to_string()),
        overrides: Some(overrides(task)),
        pull_started_at: task.times.pull_started.map(seconds),
        pull_stopped_at: task.times.pull_stopped.map(seconds),
        started_at: task.times.started.map(seconds),
        started_by: task.started_by.clone(),
        // ECS tells the code only of a task that has stopped.
        stop_code: task
            .stop_code
            .filter(|_| task.stopped())
            .map(|code| stop_code(code).to_owned()),
        stopped_at: task.times.stopped.map(seconds),
        stopped_reason: task.stopped_reason.clone(),
        stopping_at: task.stopping_at.map(seconds),
        tags: Vec::new(),
        task_arn: Some(arns.task(&task.cluster, &task.id)),
        task_definition_arn: Some(arns.task_definition(&task.task_definition)),
        version: i64::try_from(task.version).ok(),
    }
}

/// The containers in the definition's order; one that the agent has not reported yet is PENDING.
fn containers(
    state: &ClusterState,
    task: &Task,
    definition: &TaskDefinition,
) -> Vec<ecs::Container> {
    let observed = |name: &str| task.containers.iter().find(|one| one.name == name);
    let each = definition.content.containers.iter();
    each.map(|container| self::container(state, task, container, observed(&container.name)))
        .collect()
}

fn container(
    state: &ClusterState,
    task: &Task,
    definition: &ContainerDefinition,
    observed: Option<&Container>,
) -> ecs::Container {
    let arns = state.arns();
    let bindings = observed
        .map(|one| one.port_bindings.as_slice())
        .unwrap_or_default();
    let binding = |one: &roadstead_core::state::task::PortBinding| ecs::NetworkBinding {
        bind_ip: Some("0.0.0.0".to_owned()),
        container_port: Some(i32::from(one.container_port)),
        host_port: Some(i32::from(one.host_port)),
        protocol: Some(one.protocol.name().to_owned()),
    };
    let status = observed.map_or(LastStatus::Pending, |one| one.last_status);
    ecs::Container {
        container_arn: Some(arns.container(&task.cluster, &task.id, &definition.name)),
        task_arn: Some(arns.task(&task.cluster, &task.id)),
        name: Some(definition.name.clone()),
        image: Some(definition.image.clone()),
        image_digest: observed.and_then(|one| one.image_digest.clone()),
        runtime_id: observed.and_then(|one| one.runtime_id.clone()),
        last_status: Some(last_status(status).to_owned()),
        exit_code: observed.and_then(|one| one.exit_code),
        reason: observed.and_then(|one| one.reason.clone()),
        network_bindings: bindings.iter().map(binding).collect(),
        health_status: Some(
            health_status(observed.map_or(HealthStatus::Unknown, |one| one.health)).to_owned(),
        ),
        cpu: Some(definition.cpu_units.to_string()),
        memory: definition.memory_mib.map(|mib| mib.to_string()),
        memory_reservation: definition.memory_reservation_mib.map(|mib| mib.to_string()),
    }
}

fn overrides(task: &Task) -> ecs::TaskOverride {
    let pair = |(name, value): &(String, String)| ecs::KeyValuePair {
        name: Some(name.clone()),
        value: Some(value.clone()),
    };
    let one = |one: &ContainerOverride| ecs::ContainerOverride {
        name: Some(one.name.clone()),
        command: one.command.clone(),
        environment: one.environment.iter().map(pair).collect(),
    };
    ecs::TaskOverride {
        container_overrides: task.overrides.iter().map(one).collect(),
    }
}

/// Reads what a request changes in one container.
pub(crate) fn override_from_proto(given: ecs::ContainerOverride) -> ContainerOverride {
    let pair = |pair: ecs::KeyValuePair| {
        (
            pair.name.unwrap_or_default(),
            pair.value.unwrap_or_default(),
        )
    };
    ContainerOverride {
        name: given.name.unwrap_or_default(),
        command: given.command,
        environment: given.environment.into_iter().map(pair).collect(),
    }
}
