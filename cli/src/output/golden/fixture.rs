//! Fixed messages, as a control plane would send them.

pub(super) mod elb;

use roadstead_client::proto::console::{
    ControlPlaneMember, DescribeControlPlaneResponse, LoadBalancerNode,
};
use roadstead_client::proto::ecs::{
    Attribute, Cluster, Container, ContainerDefinition, ContainerInstance, Deployment,
    DeploymentConfiguration, LoadBalancer, NetworkBinding, PortMapping, Resource, Service,
    ServiceEvent, Task, TaskDefinition, VersionInfo,
};

const ECS: &str = "arn:aws:ecs:local:000000000000";
/// 2023-11-14T22:13:20Z
const THEN: f64 = 1_700_000_000.0;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn ecs(resource: &str) -> Option<String> {
    Some(format!("{ECS}:{resource}"))
}

pub(super) fn cluster() -> Cluster {
    Cluster {
        cluster_arn: ecs("cluster/default"),
        cluster_name: text("default"),
        status: text("ACTIVE"),
        registered_container_instances_count: Some(1),
        running_tasks_count: Some(4),
        pending_tasks_count: Some(0),
        active_services_count: Some(1),
    }
}

pub(super) fn task_definition() -> TaskDefinition {
    let app = ContainerDefinition {
        name: text("app"),
        image: text("sample:v1"),
        cpu: Some(0),
        memory: Some(64),
        essential: Some(true),
        port_mappings: vec![PortMapping {
            container_port: Some(8080),
            host_port: Some(0),
            protocol: text("tcp"),
            name: None,
        }],
        ..ContainerDefinition::default()
    };
    TaskDefinition {
        task_definition_arn: ecs("task-definition/web:1"),
        container_definitions: vec![app],
        family: text("web"),
        network_mode: text("bridge"),
        revision: Some(1),
        status: text("ACTIVE"),
        registered_at: Some(THEN),
        ..TaskDefinition::default()
    }
}

fn deployment(number: u32, status: &str, counts: [i32; 3], rollout_state: &str) -> Deployment {
    let [desired, pending, running] = counts;
    Deployment {
        id: Some(format!("ecs-svc/{number}")),
        status: text(status),
        task_definition: Some(format!("{ECS}:task-definition/web:{number}")),
        desired_count: Some(desired),
        pending_count: Some(pending),
        running_count: Some(running),
        failed_tasks: Some(0),
        rollout_state: text(rollout_state),
        ..Deployment::default()
    }
}

pub(super) fn service() -> Service {
    Service {
        service_arn: ecs("service/default/web"),
        service_name: text("web"),
        cluster_arn: ecs("cluster/default"),
        load_balancers: vec![LoadBalancer {
            target_group_arn: elb::arn("targetgroup/web/0123456789abcdef"),
            container_name: text("app"),
            container_port: Some(8080),
        }],
        status: text("ACTIVE"),
        desired_count: Some(4),
        running_count: Some(5),
        pending_count: Some(1),
        task_definition: ecs("task-definition/web:2"),
        deployment_configuration: Some(DeploymentConfiguration {
            maximum_percent: Some(200),
            minimum_healthy_percent: Some(100),
        }),
        deployments: vec![
            deployment(2, "PRIMARY", [4, 1, 1], "IN_PROGRESS"),
            deployment(1, "ACTIVE", [4, 0, 4], "COMPLETED"),
        ],
        events: vec![ServiceEvent {
            id: text("5f0c0b52-0000-4000-8000-000000000001"),
            created_at: Some(THEN),
            message: text("(service web) has started 1 tasks: (task 0af1)."),
        }],
        created_at: Some(THEN),
        ..Service::default()
    }
}

pub(super) fn task() -> Task {
    Task {
        cluster_arn: ecs("cluster/default"),
        container_instance_arn: ecs("container-instance/default/11aa"),
        containers: vec![Container {
            name: text("app"),
            image: text("sample:v1"),
            last_status: text("STOPPED"),
            exit_code: Some(137),
            reason: text("OutOfMemoryError: Container killed due to memory usage"),
            network_bindings: vec![NetworkBinding {
                bind_ip: text("0.0.0.0"),
                container_port: Some(8080),
                host_port: Some(49153),
                protocol: text("tcp"),
            }],
            ..Container::default()
        }],
        created_at: Some(THEN),
        desired_status: text("STOPPED"),
        group: text("service:web"),
        last_status: text("STOPPED"),
        started_at: Some(THEN + 1.0),
        stop_code: text("EssentialContainerExited"),
        stopped_at: Some(THEN + 60.0),
        stopped_reason: text("Essential container in task exited"),
        task_arn: ecs("task/default/0af1"),
        task_definition_arn: ecs("task-definition/web:1"),
        ..Task::default()
    }
}

fn resource(name: &str, amount: i32) -> Resource {
    Resource {
        name: text(name),
        r#type: text("INTEGER"),
        integer_value: Some(amount),
        ..Resource::default()
    }
}

fn ports(used: &[&str]) -> Resource {
    Resource {
        name: text("PORTS"),
        r#type: text("STRINGSET"),
        string_set_value: used.iter().map(|&port| port.to_owned()).collect(),
        ..Resource::default()
    }
}

pub(super) fn instance() -> ContainerInstance {
    ContainerInstance {
        container_instance_arn: ecs("container-instance/default/11aa"),
        version_info: Some(VersionInfo {
            agent_version: text("0.1.0"),
        }),
        remaining_resources: vec![
            resource("CPU", 1024),
            resource("MEMORY", 3072),
            ports(&["22", "8080"]),
        ],
        registered_resources: vec![
            resource("CPU", 2048),
            resource("MEMORY", 4096),
            ports(&["22"]),
        ],
        status: text("ACTIVE"),
        agent_connected: Some(true),
        running_tasks_count: Some(4),
        pending_tasks_count: Some(0),
        attributes: vec![Attribute {
            name: text("ecs.os-type"),
            value: text("linux"),
        }],
        registered_at: Some(THEN),
        ..ContainerInstance::default()
    }
}

/// Two of three servers are gone.
pub(super) fn control_plane_without_quorum() -> DescribeControlPlaneResponse {
    let mut status = control_plane();
    // Only who leads hears them.
    status.load_balancers = Vec::new();
    for member in &mut status.members {
        member.leader = Some(false);
        if member.id != Some(3) {
            member.applied_index = None;
            member.trouble = text("it does not answer within 1 s");
        } else {
            member.applied_index = Some(42);
            member.trouble = None;
        }
    }
    status
}

fn load_balancer(id: &str, trouble: Option<&str>) -> LoadBalancerNode {
    LoadBalancerNode {
        id: Some(id.to_owned()),
        table_revision: Some(12),
        uptime_seconds: Some(93_784),
        trouble: trouble.map(str::to_owned),
    }
}

pub(super) fn control_plane() -> DescribeControlPlaneResponse {
    let member = |id, leader, trouble: Option<&str>| ControlPlaneMember {
        id: Some(id),
        endpoint: Some(format!("unix:/run/server-{id}.sock")),
        voter: Some(true),
        leader: Some(leader),
        applied_index: trouble.is_none().then_some(42),
        trouble: trouble.map(str::to_owned),
    };
    DescribeControlPlaneResponse {
        members: vec![
            member(1, true, None),
            member(2, false, None),
            member(3, false, Some("server 3 takes no part: the disk is full")),
        ],
        term: Some(3),
        load_balancer_nodes: vec!["a1b2".to_owned(), "c3d4".to_owned()],
        load_balancers: vec![
            load_balancer("a1b2", None),
            load_balancer(
                "c3d4",
                Some("port 80 is not open: cannot listen on 0.0.0.0:80: Address already in use"),
            ),
        ],
    }
}
