//! Fixed messages, as a control plane would send them.

use roadstead_client::proto::console::{ControlPlaneMember, DescribeControlPlaneResponse};
use roadstead_client::proto::ecs::{
    Attribute, Cluster, Container, ContainerDefinition, ContainerInstance, Deployment,
    DeploymentConfiguration, LoadBalancer, NetworkBinding, PortMapping, Resource, Service,
    ServiceEvent, Task, TaskDefinition, VersionInfo,
};
use roadstead_client::proto::elb;

const ECS: &str = "arn:aws:ecs:local:000000000000";
const ELB: &str = "arn:aws:elasticloadbalancing:local:000000000000";
/// 2023-11-14T22:13:20Z
const THEN: f64 = 1_700_000_000.0;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn ecs(resource: &str) -> Option<String> {
    Some(format!("{ECS}:{resource}"))
}

fn elb(resource: &str) -> Option<String> {
    Some(format!("{ELB}:{resource}"))
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
            target_group_arn: elb("targetgroup/web/0123456789abcdef"),
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

pub(super) fn load_balancer() -> elb::LoadBalancer {
    elb::LoadBalancer {
        load_balancer_arn: elb("loadbalancer/app/web/0123456789abcdef"),
        load_balancer_name: text("web"),
        created_time: Some(THEN),
        r#type: text("application"),
        state: Some(elb::LoadBalancerState {
            code: text("active"),
        }),
    }
}

fn forward() -> elb::Action {
    elb::Action {
        r#type: text("forward"),
        target_group_arn: elb("targetgroup/web/0123456789abcdef"),
        ..elb::Action::default()
    }
}

fn weighted() -> elb::Action {
    let tuple = |name: &str, weight| elb::TargetGroupTuple {
        target_group_arn: elb(&format!("targetgroup/{name}/0123456789abcdef")),
        weight: Some(weight),
    };
    elb::Action {
        r#type: text("forward"),
        forward_config: Some(elb::ForwardActionConfig {
            target_groups: vec![tuple("blue", 9), tuple("green", 1)],
            target_group_stickiness_config: None,
        }),
        ..elb::Action::default()
    }
}

pub(super) fn listener() -> elb::Listener {
    elb::Listener {
        listener_arn: elb("listener/app/web/0123456789abcdef/1"),
        load_balancer_arn: elb("loadbalancer/app/web/0123456789abcdef"),
        port: Some(8080),
        protocol: text("HTTP"),
        default_actions: vec![forward()],
        attributes: [
            ("roadstead.rate_limit.requests_per_second", "50"),
            ("roadstead.rate_limit.burst", "0"),
            ("roadstead.source_ips.allowed", ""),
            ("roadstead.source_ips.denied", "192.0.2.66/32"),
        ]
        .map(|(key, value)| elb::ListenerAttribute {
            key: text(key),
            value: text(value),
        })
        .into(),
        ..elb::Listener::default()
    }
}

pub(super) fn rule() -> elb::Rule {
    let condition = |field: &str, values: &[&str]| elb::RuleCondition {
        field: text(field),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        ..elb::RuleCondition::default()
    };
    elb::Rule {
        rule_arn: elb("listener-rule/app/web/0123456789abcdef/1/2"),
        priority: text("10"),
        conditions: vec![
            condition("host-header", &["a.example", "b.example"]),
            condition("path-pattern", &["/api/*"]),
        ],
        actions: vec![weighted()],
        is_default: Some(false),
    }
}

/// A rule with every condition that has no short form, and a redirect.
pub(super) fn redirecting_rule() -> elb::Rule {
    let condition = |field: &str| elb::RuleCondition {
        field: text(field),
        ..elb::RuleCondition::default()
    };
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let parameter = |key, value| elb::QueryStringKeyValuePair { key, value };
    let header = elb::RuleCondition {
        http_header_config: Some(elb::HttpHeaderConditionConfig {
            http_header_name: text("x-version"),
            values: values(&["1.*", "2.*"]),
        }),
        ..condition("http-header")
    };
    let method = elb::RuleCondition {
        http_request_method_config: Some(elb::HttpRequestMethodConditionConfig {
            values: values(&["GET", "HEAD"]),
        }),
        ..condition("http-request-method")
    };
    let query = elb::RuleCondition {
        query_string_config: Some(elb::QueryStringConditionConfig {
            values: vec![
                parameter(text("beta"), text("yes")),
                parameter(None, text("x")),
            ],
        }),
        ..condition("query-string")
    };
    let source = elb::RuleCondition {
        source_ip_config: Some(elb::SourceIpConditionConfig {
            values: values(&["10.0.0.0/8"]),
        }),
        ..condition("source-ip")
    };
    let redirect = elb::RedirectActionConfig {
        protocol: text("HTTPS"),
        port: text("443"),
        host: text("#{host}"),
        path: text("/#{path}"),
        query: text("#{query}"),
        status_code: text("HTTP_301"),
    };
    elb::Rule {
        rule_arn: elb("listener-rule/app/web/0123456789abcdef/1/3"),
        priority: text("20"),
        conditions: vec![header, method, query, source],
        actions: vec![elb::Action {
            r#type: text("redirect"),
            redirect_config: Some(redirect),
            ..elb::Action::default()
        }],
        is_default: Some(false),
    }
}

pub(super) fn target_group() -> elb::TargetGroup {
    elb::TargetGroup {
        target_group_arn: elb("targetgroup/web/0123456789abcdef"),
        target_group_name: text("web"),
        protocol: text("HTTP"),
        health_check_path: text("/health"),
        health_check_interval_seconds: Some(30),
        health_check_timeout_seconds: Some(5),
        healthy_threshold_count: Some(5),
        unhealthy_threshold_count: Some(2),
        matcher: Some(elb::Matcher {
            http_code: text("200-299"),
            grpc_code: None,
        }),
        protocol_version: text("HTTP1"),
        health_check_protocol: text("HTTP"),
        load_balancer_arns: Vec::new(),
        attributes: [
            ("deregistration_delay.timeout_seconds", "300"),
            ("load_balancing.algorithm.type", "round_robin"),
            ("stickiness.enabled", "true"),
            ("stickiness.type", "app_cookie"),
            ("stickiness.app_cookie.cookie_name", "SESSION"),
            ("stickiness.app_cookie.duration_seconds", "3600"),
            ("roadstead.capacity.requests_per_target", "8"),
            ("roadstead.capacity.waiting_seconds", "20"),
        ]
        .map(|(key, value)| elb::TargetGroupAttribute {
            key: text(key),
            value: text(value),
        })
        .into(),
    }
}

pub(super) fn target_health() -> elb::TargetHealthDescription {
    elb::TargetHealthDescription {
        target: Some(elb::TargetDescription {
            id: text("127.0.0.1"),
            port: Some(49153),
        }),
        target_health: Some(elb::TargetHealth {
            state: text("unhealthy"),
            reason: text("Target.ResponseCodeMismatch"),
            description: text("Health checks failed with these codes: [503]"),
        }),
        task_arn: None,
        last_probes: vec!["503 in 0.8 ms".to_owned()],
    }
}

/// Two of three servers are gone.
pub(super) fn control_plane_without_quorum() -> DescribeControlPlaneResponse {
    let mut status = control_plane();
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
        load_balancer_nodes: vec!["a1b2".to_owned()],
    }
}
