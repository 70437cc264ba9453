//! Tells the control plane about tasks, in its own words.

use std::collections::BTreeMap;

use roadstead_client::proto::agent::{ObservedContainer, ObservedTask, PortBinding, TaskReport};

use crate::health;
use crate::task::{Container, Phase, StopCode, Task, TaskId};

/// Returns the complete report: every task, stopped ones too, but for those that only their log is
/// kept of.
#[must_use]
pub(crate) fn of(tasks: &BTreeMap<TaskId, Task>) -> TaskReport {
    let reported = tasks.values().filter(|task| !task.is_only_kept());
    TaskReport {
        tasks: reported.map(observed_task).collect(),
    }
}

/// Returns ECS's word for how far a task has come.
#[must_use]
pub(crate) fn last_status(task: &Task) -> &'static str {
    if task.has_stopped() {
        "STOPPED"
    } else if task.is_ending() {
        "STOPPING"
    } else if task.times.started_at != 0 {
        "RUNNING"
    } else {
        "PENDING"
    }
}

fn observed_task(task: &Task) -> ObservedTask {
    let last_status = last_status(task);
    let cause = task.cause.as_ref().filter(|_| last_status == "STOPPED");
    let checked = task.containers.iter().filter_map(|container| {
        let health = container.health.as_ref()?;
        Some((container.essential(), health.status))
    });
    ObservedTask {
        task_id: task.definition.id.to_string(),
        last_status: last_status.to_owned(),
        containers: (0..task.containers.len())
            .map(|index| observed_container(task, index))
            .collect(),
        stop_code: cause.map_or(String::new(), |cause| {
            match cause.code {
                StopCode::TaskFailedToStart => "TaskFailedToStart",
                StopCode::EssentialContainerExited => "EssentialContainerExited",
            }
            .to_owned()
        }),
        stopped_reason: cause.map_or(String::new(), |cause| cause.reason.clone()),
        health_status: health::of_task(checked).name().to_owned(),
        pull_started_at: task.times.pull_started_at,
        pull_stopped_at: task.times.pull_stopped_at,
        started_at: task.times.started_at,
        execution_stopped_at: task.times.execution_stopped_at,
        stopped_at: task.times.stopped_at,
    }
}

fn observed_container(task: &Task, index: usize) -> ObservedContainer {
    let container = &task.containers[index];
    let last_status = match container.phase {
        Phase::Pending | Phase::Launching => "PENDING",
        Phase::Running => "RUNNING",
        Phase::Stopped | Phase::Released => "STOPPED",
    };
    let health = container.health.as_ref();
    let health = health.map_or(health::Status::Unknown, |health| health.status);
    let image = container.image.as_ref();
    ObservedContainer {
        name: container.name().to_owned(),
        last_status: last_status.to_owned(),
        exit_code: container.exit_code,
        reason: container.reason.clone(),
        runtime_id: if container.started_at == 0 {
            String::new()
        } else {
            task.container_id(index).to_string()
        },
        image_digest: image.map_or(String::new(), |image| image.digest.clone()),
        health_status: health.name().to_owned(),
        port_bindings: bindings(container),
    }
}

/// A binding is told only once traffic can use it.
fn bindings(container: &Container) -> Vec<PortBinding> {
    let network = container.network.as_ref();
    let bindings = network.map_or(&[][..], |network| network.bindings.as_slice());
    bindings
        .iter()
        .filter(|_| container.started_at != 0)
        .map(|binding| PortBinding {
            container_port: binding.container_port.into(),
            host_port: binding.host_port.into(),
            protocol: binding.protocol.name().to_owned(),
        })
        .collect()
}
