//! Container instances and what is left on them, for people.

use roadstead_client::proto::ecs::{ContainerInstance, Resource};

use super::grid::{fields, grid, number, short, text, time};

/// Returns one row for each container instance.
pub(crate) fn instances(instances: &[ContainerInstance]) -> String {
    let rows = instances.iter().map(|instance| {
        [
            short(instance.container_instance_arn.as_ref()),
            text(instance.status.as_ref()),
            connected(instance),
            number(instance.running_tasks_count),
            number(instance.pending_tasks_count),
            amount(&instance.remaining_resources, "CPU"),
            amount(&instance.remaining_resources, "MEMORY"),
        ]
    });
    grid(
        [
            "INSTANCE",
            "STATUS",
            "CONNECTED",
            "RUNNING",
            "PENDING",
            "CPU FREE",
            "MEMORY FREE",
        ],
        rows,
    )
}

/// Returns one container instance with its resources and attributes.
pub(crate) fn instance(instance: &ContainerInstance) -> String {
    let version = instance.version_info.as_ref();
    let head = fields([
        ("Instance", short(instance.container_instance_arn.as_ref())),
        ("Status", text(instance.status.as_ref())),
        ("Agent connected", connected(instance)),
        (
            "Agent version",
            text(version.and_then(|version| version.agent_version.as_ref())),
        ),
        ("Running tasks", number(instance.running_tasks_count)),
        ("Pending tasks", number(instance.pending_tasks_count)),
        ("Registered", time(instance.registered_at)),
    ]);
    let rows = instance.registered_resources.iter().map(|resource| {
        let name = text(resource.name.as_ref());
        let remaining = amount(&instance.remaining_resources, &name);
        [name, value(resource), remaining]
    });
    // ECS's words: for ports, what remains is the list of those that are used.
    let resources = grid(["RESOURCE", "REGISTERED", "REMAINING"], rows);
    let rows = instance.attributes.iter().map(|attribute| {
        [
            text(attribute.name.as_ref()),
            text(attribute.value.as_ref()),
        ]
    });
    let attributes = grid(["ATTRIBUTE", "VALUE"], rows);
    format!("{head}\n\n{resources}\n\n{attributes}")
}

fn connected(instance: &ContainerInstance) -> String {
    let connected = instance.agent_connected.unwrap_or(false);
    (if connected { "yes" } else { "no" }).to_owned()
}

fn amount(resources: &[Resource], name: &str) -> String {
    let named = resources
        .iter()
        .find(|resource| resource.name.as_deref() == Some(name));
    named.map_or_else(|| "-".to_owned(), value)
}

fn value(resource: &Resource) -> String {
    if resource.r#type.as_deref() == Some("STRINGSET") {
        return resource.string_set_value.join(",");
    }
    let integer = resource
        .integer_value
        .map(i64::from)
        .or(resource.long_value);
    match (integer, resource.double_value) {
        (Some(integer), _) => integer.to_string(),
        (None, double) => number(double),
    }
}
