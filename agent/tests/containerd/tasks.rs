//! Small tasks.

use roadstead_client::proto::agent::DesiredTask;
use roadstead_client::proto::ecs::{ContainerDefinition, HealthCheck, PortMapping};

pub(crate) const IMAGE: &str = "box:v1";

/// Returns a task id of 32 hex digits.
pub(crate) fn id(number: u32) -> String {
    format!("{number:032x}")
}

/// Returns a container that runs a shell command.
pub(crate) fn container(name: &str, command: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: Some(name.into()),
        image: Some(IMAGE.into()),
        command: ["sh", "-c", command].map(str::to_owned).to_vec(),
        memory: Some(32),
        ..ContainerDefinition::default()
    }
}

/// Returns a container that serves its host's name on port 80, and obeys SIGTERM as the first process
/// of a container must: the kernel does not do it for it.
pub(crate) fn web() -> ContainerDefinition {
    ContainerDefinition {
        port_mappings: vec![port(80, 0)],
        ..container(
            "web",
            "hostname > /tmp/index.html; trap 'exit 143' TERM; httpd -f -p 80 -h /tmp & wait",
        )
    }
}

pub(crate) fn port(container_port: i32, host_port: i32) -> PortMapping {
    PortMapping {
        container_port: Some(container_port),
        host_port: Some(host_port),
        ..PortMapping::default()
    }
}

pub(crate) fn health_check(command: &str) -> HealthCheck {
    HealthCheck {
        command: vec!["CMD-SHELL".into(), command.into()],
        interval: Some(1),
        timeout: Some(5),
        retries: Some(2),
        start_period: None,
    }
}

pub(crate) fn task(number: u32, containers: Vec<ContainerDefinition>) -> DesiredTask {
    DesiredTask {
        task_id: id(number),
        desired_status: "RUNNING".into(),
        known_status: "PENDING".into(),
        network_mode: "bridge".into(),
        family: "box".into(),
        revision: 1,
        cluster: "default".into(),
        containers,
        ..DesiredTask::default()
    }
}

pub(crate) fn stopped(task: &DesiredTask) -> DesiredTask {
    DesiredTask {
        desired_status: "STOPPED".into(),
        ..task.clone()
    }
}
