//! Services, their deployments and their events, for people.

use roadstead_client::proto::ecs::{Service, ServiceEvent};

use super::arn::target_group_name;
use super::grid::{fields, grid, joined, number, short, text, time};

/// How many events a description shows; `ctl service events` shows them all.
const NEWEST: usize = 10;

/// Returns one row for each service.
pub(crate) fn services(services: &[Service]) -> String {
    let rows = services.iter().map(|service| {
        [
            text(service.service_name.as_ref()),
            text(service.status.as_ref()),
            short(service.task_definition.as_ref()),
            number(service.desired_count),
            number(service.running_count),
            number(service.pending_count),
            number(Some(service.deployments.len())),
        ]
    });
    grid(
        [
            "NAME",
            "STATUS",
            "TASK DEFINITION",
            "DESIRED",
            "RUNNING",
            "PENDING",
            "DEPLOYMENTS",
        ],
        rows,
    )
}

/// Returns one service with its deployments and its newest events.
pub(crate) fn service(service: &Service) -> String {
    let configuration = service.deployment_configuration.unwrap_or_default();
    let head = fields([
        ("Service", text(service.service_name.as_ref())),
        ("Cluster", short(service.cluster_arn.as_ref())),
        ("Status", text(service.status.as_ref())),
        ("Task definition", short(service.task_definition.as_ref())),
        ("Desired", number(service.desired_count)),
        ("Running", number(service.running_count)),
        ("Pending", number(service.pending_count)),
        (
            "Healthy percent",
            percent_range(
                configuration.minimum_healthy_percent,
                configuration.maximum_percent,
            ),
        ),
        ("Load balancers", joined(&load_balancers(service))),
        ("Created", time(service.created_at)),
    ]);
    let deployments = deployments(service);
    let newest = &service.events[..service.events.len().min(NEWEST)];
    format!("{head}\n\n{deployments}\n\n{}", events(newest))
}

fn percent_range(minimum: Option<i32>, maximum: Option<i32>) -> String {
    format!("{} to {}", number(minimum), number(maximum))
}

fn load_balancers(service: &Service) -> Vec<String> {
    let parts = service.load_balancers.iter().map(|load_balancer| {
        format!(
            "{}:{}:{}",
            target_group_name(load_balancer.target_group_arn.as_deref().unwrap_or("-")),
            text(load_balancer.container_name.as_ref()),
            number(load_balancer.container_port),
        )
    });
    parts.collect()
}

fn deployments(service: &Service) -> String {
    let rows = service.deployments.iter().map(|deployment| {
        [
            text(deployment.id.as_ref()),
            text(deployment.status.as_ref()),
            short(deployment.task_definition.as_ref()),
            number(deployment.desired_count),
            number(deployment.running_count),
            number(deployment.pending_count),
            number(deployment.failed_tasks),
            text(deployment.rollout_state.as_ref()),
        ]
    });
    let headings = [
        "DEPLOYMENT",
        "STATUS",
        "TASK DEFINITION",
        "DESIRED",
        "RUNNING",
        "PENDING",
        "FAILED",
        "ROLLOUT",
    ];
    grid(headings, rows)
}

/// Returns one row for each event, in the order given.
pub(crate) fn events(events: &[ServiceEvent]) -> String {
    let rows = events
        .iter()
        .map(|event| [time(event.created_at), text(event.message.as_ref())]);
    grid(["TIME", "EVENT"], rows)
}
