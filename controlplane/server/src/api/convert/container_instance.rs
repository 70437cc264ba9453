//! Container instances and their resources.

use roadstead_core::ClusterState;
use roadstead_core::resources::{Protocol, Resources};
use roadstead_core::state::container_instance::{ContainerInstance, InstanceStatus};
use roadstead_core::state::task::LastStatus;
use roadstead_proto::ecs;

use super::{count, seconds};

pub(crate) fn status(status: InstanceStatus) -> &'static str {
    match status {
        InstanceStatus::Active => "ACTIVE",
        InstanceStatus::Draining => "DRAINING",
        InstanceStatus::Inactive => "INACTIVE",
    }
}

/// Describes an instance.
pub(crate) fn to_proto(
    state: &ClusterState,
    instance: &ContainerInstance,
) -> ecs::ContainerInstance {
    let total = &instance.registered;
    // ECS lists under remaining PORTS the ports that are taken.
    let mut taken = instance.reserved.ports.clone();
    taken.extend(&total.ports);
    let remaining = Resources {
        cpu_units: total.cpu_units.saturating_sub(instance.reserved.cpu_units),
        memory_mib: total
            .memory_mib
            .saturating_sub(instance.reserved.memory_mib),
        ports: taken,
    };
    let tasks = |status| {
        state
            .live_tasks_on(&instance.id)
            .filter(|task| task.last_status == status)
            .count()
    };
    let attribute = |(name, value): (&String, &String)| ecs::Attribute {
        name: Some(name.clone()),
        value: Some(value.clone()),
    };
    ecs::ContainerInstance {
        container_instance_arn: Some(
            state
                .arns()
                .container_instance(&instance.cluster, &instance.id),
        ),
        ec2_instance_id: Some(instance.host_name.clone()),
        version: i64::try_from(instance.desired_version).ok(),
        version_info: Some(ecs::VersionInfo {
            agent_version: Some(instance.agent_version.clone()),
        }),
        remaining_resources: resources(&remaining),
        registered_resources: resources(total),
        status: Some(status(instance.status).to_owned()),
        agent_connected: Some(instance.agent_connected),
        running_tasks_count: Some(count(tasks(LastStatus::Running))),
        pending_tasks_count: Some(count(tasks(LastStatus::Pending))),
        attributes: instance.attributes.iter().map(attribute).collect(),
        registered_at: Some(seconds(instance.registered_at)),
        attachments: Vec::new(),
        tags: Vec::new(),
    }
}

fn resources(resources: &Resources) -> Vec<ecs::Resource> {
    let ports = |protocol: Protocol| {
        let of = resources.ports.iter().filter(|(one, _)| *one == protocol);
        of.map(|(_, port)| port.to_string()).collect()
    };
    vec![
        integer("CPU", resources.cpu_units),
        integer("MEMORY", resources.memory_mib),
        string_set("PORTS", ports(Protocol::Tcp)),
        string_set("PORTS_UDP", ports(Protocol::Udp)),
    ]
}

fn integer(name: &str, value: u32) -> ecs::Resource {
    resource(name, "INTEGER", count(value), Vec::new())
}

fn string_set(name: &str, values: Vec<String>) -> ecs::Resource {
    resource(name, "STRINGSET", 0, values)
}

fn resource(name: &str, kind: &str, integer: i32, strings: Vec<String>) -> ecs::Resource {
    ecs::Resource {
        name: Some(name.to_owned()),
        r#type: Some(kind.to_owned()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(integer),
        string_set_value: strings,
    }
}
