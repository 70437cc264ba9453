//! Task definitions, for people.

use roadstead_client::proto::ecs::{ContainerDefinition, TaskDefinition};

use super::grid::{fields, grid, joined, number, short, text, time};

/// Returns one row for each ARN of a revision.
pub(crate) fn revisions(arns: &[String]) -> String {
    grid(
        ["TASK DEFINITION", "ARN"],
        arns.iter().map(|arn| [short(Some(arn)), arn.clone()]),
    )
}

/// Returns one row for each family.
pub(crate) fn families(families: &[String]) -> String {
    grid(["FAMILY"], families.iter().map(|family| [family.clone()]))
}

/// Returns one task definition with its containers.
pub(crate) fn task_definition(definition: &TaskDefinition) -> String {
    let head = fields([
        (
            "Task definition",
            short(definition.task_definition_arn.as_ref()),
        ),
        ("Status", text(definition.status.as_ref())),
        ("Network mode", text(definition.network_mode.as_ref())),
        ("CPU units", text(definition.cpu.as_ref())),
        ("Memory (MiB)", text(definition.memory.as_ref())),
        ("Registered", time(definition.registered_at)),
    ]);
    let rows = definition.container_definitions.iter().map(|container| {
        [
            text(container.name.as_ref()),
            text(container.image.as_ref()),
            number(container.cpu),
            number(container.memory.or(container.memory_reservation)),
            joined(&ports(container)),
            if container.essential.unwrap_or(true) {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
        ]
    });
    let containers = grid(
        ["CONTAINER", "IMAGE", "CPU", "MEMORY", "PORTS", "ESSENTIAL"],
        rows,
    );
    format!("{head}\n\n{containers}")
}

/// A host port of 0 is chosen when the task starts.
fn ports(container: &ContainerDefinition) -> Vec<String> {
    let mappings = container.port_mappings.iter().map(|mapping| {
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
        let container_port = mapping.container_port.unwrap_or(0);
        match mapping.host_port {
            None | Some(0) => format!("{container_port}/{protocol}"),
            Some(host_port) => format!("{host_port}:{container_port}/{protocol}"),
        }
    });
    mappings.collect()
}
