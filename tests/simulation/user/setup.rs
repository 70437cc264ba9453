//! What the user begins with.

use roadstead_core::id::{
    Family, ListenerId, ListenerRef, LoadBalancerName, TargetGroupName, TaskDefinitionId,
};
use roadstead_core::resources::Protocol;
use roadstead_core::scheduler::default_strategy;
use roadstead_core::state::load_balancer::{Action, ListenerProtocol};
use roadstead_core::state::service::{DeploymentConfiguration, ServiceLoadBalancer, ServiceSpec};
use roadstead_core::state::target_group::{
    Algorithm, Capacity, HealthCheckProtocol, ProtocolVersion, ProxyProtocol, Stickiness,
    TargetGroupSpec, TargetHealthCheck, TargetProtocol,
};
use roadstead_core::state::task_definition::{
    ContainerDefinition, ContainerHealthCheck, NetworkMode, NewTaskDefinition, PortMapping,
};
use roadstead_core::{Command, Timestamp};

use super::{BAD, GOOD, SERVICES, cluster};

/// Returns the cluster, the task definitions and the load balancer, in the order of their making.
pub(super) fn commands(at: Timestamp) -> Vec<Command> {
    let mut commands = vec![Command::CreateCluster { cluster: cluster() }];
    for family in SERVICES.into_iter().chain(["once"]) {
        for image in GOOD.into_iter().chain(BAD) {
            let definition = definition(family, image);
            commands.push(Command::RegisterTaskDefinition { definition, at });
        }
    }
    let balancer = LoadBalancerName::new("main");
    let name = balancer.clone();
    commands.push(Command::CreateLoadBalancer { name, at });
    for (port, group) in [(8080, "web"), (8081, "shop")] {
        let name = TargetGroupName::new(group);
        let spec = target_group();
        commands.push(Command::CreateTargetGroup {
            name: name.clone(),
            spec,
        });
        let id = ListenerRef {
            load_balancer: balancer.clone(),
            listener: ListenerId::new(group),
        };
        let default = Action::forward_to(name);
        commands.push(Command::CreateListener {
            id,
            port,
            protocol: ListenerProtocol::Http,
            attributes: Vec::new(),
            default,
        });
    }
    commands
}

fn target_group() -> TargetGroupSpec {
    TargetGroupSpec {
        protocol: TargetProtocol::Http,
        proxy_protocol: ProxyProtocol::Off,
        protocol_version: ProtocolVersion::Http1,
        health_check: TargetHealthCheck {
            protocol: HealthCheckProtocol::Http,
            path: "/".to_owned(),
            interval: 5,
            timeout: 2,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            success_codes: vec![(200, 200)],
        },
        deregistration_delay: 5,
        algorithm: Algorithm::RoundRobin,
        slow_start: 0,
        stickiness: Stickiness::default(),
        capacity: Capacity::default(),
        prefers_own_zone: false,
    }
}

/// A worker is checked in its container, the others by the load balancers.
fn definition(family: &str, image: &str) -> NewTaskDefinition {
    let health_check = (family == "worker").then(|| ContainerHealthCheck {
        command: vec!["CMD".to_owned(), "true".to_owned()],
        interval: 5,
        timeout: 2,
        retries: 2,
        start_period: None,
    });
    let port = PortMapping {
        container_port: 80,
        host_port: if family == "once" { 9000 } else { 0 },
        protocol: Protocol::Tcp,
        name: None,
    };
    let container = ContainerDefinition {
        name: "app".to_owned(),
        image: image.to_owned(),
        cpu_units: 250,
        memory_mib: Some(200),
        memory_reservation_mib: None,
        essential: true,
        port_mappings: vec![port],
        environment: Vec::new(),
        command: Vec::new(),
        entry_point: Vec::new(),
        user: None,
        health_check,
        stop_timeout: None,
    };
    NewTaskDefinition {
        family: Family::new(family),
        network_mode: NetworkMode::Bridge,
        containers: vec![container],
        cpu_units: None,
        memory_mib: None,
        requires_compatibilities: Vec::new(),
    }
}

/// Returns the service of that name as the user first wants it.
pub(super) fn spec(name: &str, task_definition: TaskDefinitionId) -> ServiceSpec {
    let (minimum_healthy_percent, maximum_percent) = match name {
        "web" => (100, 200),
        "shop" => (50, 150),
        _ => (50, 200),
    };
    let balancer = ServiceLoadBalancer {
        target_group: TargetGroupName::new(name),
        container_name: "app".to_owned(),
        container_port: 80,
    };
    ServiceSpec {
        task_definition,
        desired_count: 3,
        load_balancers: if name == "worker" {
            Vec::new()
        } else {
            vec![balancer]
        },
        deployment_configuration: DeploymentConfiguration {
            minimum_healthy_percent,
            maximum_percent,
        },
        placement_strategy: default_strategy(),
        health_check_grace_period_seconds: 0,
    }
}
