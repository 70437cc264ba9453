//! Small tasks for tests.

use std::time::Instant;

use roadstead_client::proto::agent::DesiredTask;
use roadstead_client::proto::ecs::ContainerDefinition;

use super::{Now, Task};

pub(crate) fn now() -> Now {
    Now {
        wall: 1_000,
        monotonic: Instant::now(),
    }
}

/// A desired task with a container for each name; each image is called like its container.
pub(crate) fn desired(id: &str, containers: &[&str]) -> DesiredTask {
    let containers = containers.iter().map(|name| ContainerDefinition {
        name: Some((*name).to_owned()),
        image: Some((*name).to_owned()),
        ..ContainerDefinition::default()
    });
    DesiredTask {
        task_id: id.to_owned(),
        desired_status: "RUNNING".to_owned(),
        known_status: "PENDING".to_owned(),
        network_mode: "host".to_owned(),
        containers: containers.collect(),
        ..DesiredTask::default()
    }
}

pub(crate) fn task(id: &str, containers: &[&str]) -> Task {
    Task::admit(&desired(id, containers), now()).unwrap()
}
