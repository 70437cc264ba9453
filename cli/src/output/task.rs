//! Tasks and their containers, for people.

use roadstead_client::proto::ecs::{Container, Task};

use super::grid::{fields, grid, joined, number, short, text, time};

/// Returns one row for each task.
pub(crate) fn tasks(tasks: &[Task]) -> String {
    let rows = tasks.iter().map(|task| {
        [
            short(task.task_arn.as_ref()),
            short(task.task_definition_arn.as_ref()),
            text(task.last_status.as_ref()),
            text(task.desired_status.as_ref()),
            text(task.health_status.as_ref()),
            text(task.group.as_ref()),
            short(task.container_instance_arn.as_ref()),
        ]
    });
    grid(
        [
            "TASK",
            "TASK DEFINITION",
            "LAST STATUS",
            "DESIRED",
            "HEALTH",
            "GROUP",
            "INSTANCE",
        ],
        rows,
    )
}

/// Returns one task with its containers, and why it stopped if it did.
pub(crate) fn task(task: &Task) -> String {
    let head = fields([
        ("Task", short(task.task_arn.as_ref())),
        ("Task definition", short(task.task_definition_arn.as_ref())),
        ("Group", text(task.group.as_ref())),
        ("Last status", text(task.last_status.as_ref())),
        ("Desired status", text(task.desired_status.as_ref())),
        ("Health", text(task.health_status.as_ref())),
        ("Instance", short(task.container_instance_arn.as_ref())),
        ("Created", time(task.created_at)),
        ("Started", time(task.started_at)),
        ("Stopped", time(task.stopped_at)),
        ("Stop code", text(task.stop_code.as_ref())),
        ("Stopped reason", text(task.stopped_reason.as_ref())),
    ]);
    let rows = task.containers.iter().map(|container| {
        [
            text(container.name.as_ref()),
            text(container.image.as_ref()),
            text(container.last_status.as_ref()),
            text(container.health_status.as_ref()),
            number(container.exit_code),
            joined(&ports(container)),
            text(container.reason.as_ref()),
        ]
    });
    let containers = grid(
        [
            "CONTAINER",
            "IMAGE",
            "LAST STATUS",
            "HEALTH",
            "EXIT CODE",
            "PORTS",
            "REASON",
        ],
        rows,
    );
    format!("{head}\n\n{containers}")
}

fn ports(container: &Container) -> Vec<String> {
    let bindings = container.network_bindings.iter().map(|binding| {
        format!(
            "{}:{}->{}/{}",
            text(binding.bind_ip.as_ref()),
            number(binding.host_port),
            number(binding.container_port),
            text(binding.protocol.as_ref()),
        )
    });
    bindings.collect()
}
