//! Services, their deployments and events.

use roadstead_core::deployment::{Fitness, fitness};
use roadstead_core::id::{DeploymentId, ServiceId, TaskDefinitionId};
use roadstead_core::scheduler::{BinpackField, SpreadField, Strategy, default_strategy};
use roadstead_core::state::service::{
    Counts, Deployment, DeploymentConfiguration, RolloutState, Service, ServiceEvent,
    ServiceLoadBalancer, ServiceSpec, ServiceStatus, ServiceUpdate,
};
use roadstead_core::state::task::{DesiredStatus, LastStatus, TargetHealth, Task};
use roadstead_core::{ClusterState, Rejection, Timestamp};
use roadstead_proto::{console, ecs};

use super::number::{port, unsigned};
use super::{count, name, seconds};

/// Reads a request to create; the task definition has been resolved.
pub(crate) fn spec_from_request(
    request: &ecs::CreateServiceRequest,
    task_definition: TaskDefinitionId,
) -> Result<ServiceSpec, Rejection> {
    launch_type(request.launch_type.as_deref())?;
    match request.scheduling_strategy.as_deref() {
        None | Some("REPLICA") => {}
        Some(other) => {
            return Err(Rejection::client(format!(
                "schedulingStrategy '{other}' is not supported; use REPLICA."
            )));
        }
    }
    if !request.placement_constraints.is_empty() {
        return Err(Rejection::client(
            "placementConstraints is not supported yet; leave it out.",
        ));
    }
    if request.client_token.is_some() {
        return Err(Rejection::client(
            "clientToken is not supported yet; leave it out.",
        ));
    }
    let desired_count = unsigned(request.desired_count, "desiredCount")?
        .ok_or_else(|| Rejection::invalid("desiredCount is required."))?;
    let balancers: Result<Vec<_>, Rejection> =
        request.load_balancers.iter().map(load_balancer).collect();
    let mut configuration = DeploymentConfiguration::default();
    if let Some(given) = &request.deployment_configuration {
        let (minimum, maximum) = percents(given)?;
        configuration.minimum_healthy_percent =
            minimum.unwrap_or(configuration.minimum_healthy_percent);
        configuration.maximum_percent = maximum.unwrap_or(configuration.maximum_percent);
    }
    let grace = unsigned(
        request.health_check_grace_period_seconds,
        "healthCheckGracePeriodSeconds",
    )?;
    Ok(ServiceSpec {
        task_definition,
        desired_count,
        load_balancers: balancers?,
        deployment_configuration: configuration,
        placement_strategy: strategies(&request.placement_strategy)?,
        health_check_grace_period_seconds: grace.unwrap_or(0),
    })
}

/// Reads a request to update; the task definition, if one is named, has been resolved.
pub(crate) fn update_from_request(
    request: &ecs::UpdateServiceRequest,
    task_definition: Option<TaskDefinitionId>,
) -> Result<ServiceUpdate, Rejection> {
    let configuration = request
        .deployment_configuration
        .as_ref()
        .map(percents)
        .transpose()?;
    let (minimum_healthy_percent, maximum_percent) = configuration.unwrap_or_default();
    Ok(ServiceUpdate {
        task_definition,
        desired_count: unsigned(request.desired_count, "desiredCount")?,
        minimum_healthy_percent,
        maximum_percent,
        health_check_grace_period_seconds: unsigned(
            request.health_check_grace_period_seconds,
            "healthCheckGracePeriodSeconds",
        )?,
        force_new_deployment: request.force_new_deployment.unwrap_or(false),
    })
}

/// Refuses any launch type but EC2.
pub(crate) fn launch_type(launch_type: Option<&str>) -> Result<(), Rejection> {
    match launch_type {
        None | Some("EC2") => Ok(()),
        Some(other) => Err(Rejection::invalid(format!(
            "launchType '{other}' is not supported; use EC2."
        ))),
    }
}

fn percents(
    configuration: &ecs::DeploymentConfiguration,
) -> Result<(Option<u32>, Option<u32>), Rejection> {
    let minimum = unsigned(
        configuration.minimum_healthy_percent,
        "minimumHealthyPercent",
    )?;
    Ok((
        minimum,
        unsigned(configuration.maximum_percent, "maximumPercent")?,
    ))
}

fn load_balancer(balancer: &ecs::LoadBalancer) -> Result<ServiceLoadBalancer, Rejection> {
    Ok(ServiceLoadBalancer {
        target_group: name::target_group(balancer.target_group_arn.as_deref())?,
        container_name: balancer.container_name.clone().unwrap_or_default(),
        container_port: port(balancer.container_port, "containerPort", false)?,
    })
}

/// Reads placement strategies; none means ECS's default.
pub(crate) fn strategies(given: &[ecs::PlacementStrategy]) -> Result<Vec<Strategy>, Rejection> {
    if given.is_empty() {
        return Ok(default_strategy());
    }
    if given.len() > 5 {
        return Err(Rejection::invalid(
            "placementStrategy may have at most 5 entries.",
        ));
    }
    given.iter().map(strategy).collect()
}

fn strategy(given: &ecs::PlacementStrategy) -> Result<Strategy, Rejection> {
    let field = given.field.as_deref().unwrap_or_default();
    match (given.r#type.as_deref(), field) {
        (Some("spread"), "instanceId" | "host") => Ok(Strategy::Spread(SpreadField::Instance)),
        (Some("spread"), _) if field.starts_with("attribute:") => Ok(Strategy::Spread(
            SpreadField::Attribute(field["attribute:".len()..].to_owned()),
        )),
        (Some("binpack"), _) if field.eq_ignore_ascii_case("cpu") => {
            Ok(Strategy::Binpack(BinpackField::Cpu))
        }
        (Some("binpack"), _) if field.eq_ignore_ascii_case("memory") => {
            Ok(Strategy::Binpack(BinpackField::Memory))
        }
        (kind, _) => Err(Rejection::invalid(format!(
            "placementStrategy type '{}' with field '{field}' is not supported; use spread by instanceId, host or \
             attribute:NAME, or binpack by cpu or memory.",
            kind.unwrap_or_default()
        ))),
    }
}

fn strategy_to_proto(strategy: &Strategy) -> ecs::PlacementStrategy {
    let (kind, field) = match strategy {
        Strategy::Spread(SpreadField::Instance) => ("spread", "instanceId".to_owned()),
        Strategy::Spread(SpreadField::Attribute(name)) => ("spread", format!("attribute:{name}")),
        Strategy::Binpack(BinpackField::Cpu) => ("binpack", "CPU".to_owned()),
        Strategy::Binpack(BinpackField::Memory) => ("binpack", "MEMORY".to_owned()),
    };
    ecs::PlacementStrategy {
        r#type: Some(kind.to_owned()),
        field: Some(field),
    }
}

/// Describes a service.
pub(crate) fn to_proto(state: &ClusterState, service: &Service) -> ecs::Service {
    let arns = state.arns();
    let spec = &service.spec;
    let balancer = |one: &ServiceLoadBalancer| ecs::LoadBalancer {
        target_group_arn: Some(arns.target_group(&one.target_group)),
        container_name: Some(one.container_name.clone()),
        container_port: Some(i32::from(one.container_port)),
    };
    let event = |event: &ServiceEvent| ecs::ServiceEvent {
        id: Some(event.id.clone()),
        created_at: Some(seconds(event.at)),
        message: Some(event.message.clone()),
    };
    let deployments = service.deployments.iter().enumerate();
    let (running, pending) = counts(state, service, None);
    ecs::Service {
        service_arn: Some(arns.service(&service.id)),
        service_name: Some(service.id.service.to_string()),
        cluster_arn: Some(arns.cluster(&service.id.cluster)),
        load_balancers: spec.load_balancers.iter().map(balancer).collect(),
        service_registries: Vec::new(),
        status: Some(status(service.status).to_owned()),
        desired_count: Some(count(spec.desired_count)),
        running_count: Some(running),
        pending_count: Some(pending),
        launch_type: Some("EC2".to_owned()),
        task_definition: Some(arns.task_definition(&spec.task_definition)),
        deployment_configuration: Some(ecs::DeploymentConfiguration {
            maximum_percent: Some(count(spec.deployment_configuration.maximum_percent)),
            minimum_healthy_percent: Some(count(
                spec.deployment_configuration.minimum_healthy_percent,
            )),
        }),
        deployments: deployments
            .map(|(index, one)| deployment(state, service, one, index))
            .collect(),
        events: service.events.iter().map(|one| event(one)).collect(),
        created_at: Some(seconds(service.created_at)),
        placement_constraints: Vec::new(),
        placement_strategy: spec
            .placement_strategy
            .iter()
            .map(strategy_to_proto)
            .collect(),
        health_check_grace_period_seconds: (!spec.load_balancers.is_empty())
            .then(|| count(spec.health_check_grace_period_seconds)),
        scheduling_strategy: Some("REPLICA".to_owned()),
    }
}

fn status(status: ServiceStatus) -> &'static str {
    match status {
        ServiceStatus::Active => "ACTIVE",
        ServiceStatus::Draining => "DRAINING",
        ServiceStatus::Inactive => "INACTIVE",
    }
}

/// Counts the running and the pending tasks of a service, or of one of its deployments.
fn counts(state: &ClusterState, service: &Service, of: Option<DeploymentId>) -> (i32, i32) {
    let (mut running, mut pending) = (0, 0);
    let counted = state.live_tasks_of(&service.id).filter(|task| {
        task.desired_status == DesiredStatus::Running
            && of.is_none_or(|of| {
                task.service
                    .as_ref()
                    .is_some_and(|one| one.deployment == of)
            })
    });
    for task in counted {
        match task.last_status {
            LastStatus::Pending => pending += 1,
            LastStatus::Running => running += 1,
            LastStatus::Deactivating | LastStatus::Stopping | LastStatus::Stopped => {}
        }
    }
    (running, pending)
}

fn deployment(
    state: &ClusterState,
    service: &Service,
    deployment: &Deployment,
    index: usize,
) -> ecs::Deployment {
    let primary = index == 0;
    let (running, pending) = counts(state, service, Some(deployment.id));
    let (rollout, reason) = match deployment.rollout_state {
        RolloutState::InProgress => ("IN_PROGRESS", "in progress"),
        RolloutState::Completed => ("COMPLETED", "completed"),
    };
    ecs::Deployment {
        id: Some(deployment.id.to_string()),
        status: Some(if primary { "PRIMARY" } else { "ACTIVE" }.to_owned()),
        task_definition: Some(state.arns().task_definition(&deployment.task_definition)),
        desired_count: Some(if primary {
            count(service.spec.desired_count)
        } else {
            running + pending
        }),
        pending_count: Some(pending),
        running_count: Some(running),
        failed_tasks: Some(count(deployment.failed_tasks)),
        created_at: Some(seconds(deployment.created_at)),
        updated_at: Some(seconds(deployment.updated_at)),
        launch_type: Some("EC2".to_owned()),
        rollout_state: Some(rollout.to_owned()),
        rollout_state_reason: Some(format!("ECS deployment {} {reason}.", deployment.id)),
    }
}

/// Describes a service as a live view shows it; `counted` gives what has been counted until now.
pub(crate) fn view(
    state: &ClusterState,
    id: &ServiceId,
    now: Timestamp,
    counted: impl Fn(DeploymentId) -> Counts,
) -> Result<console::ServiceView, Rejection> {
    let service = state.service(id)?;
    let receipt = |deployment: &Deployment| {
        let counts = deployment.receipt.unwrap_or_else(|| counted(deployment.id));
        let end = match deployment.rollout_state {
            RolloutState::Completed => deployment.updated_at,
            RolloutState::InProgress => now,
        };
        let number = |number: u64| Some(i64::try_from(number).unwrap_or(i64::MAX));
        console::Receipt {
            deployment: Some(deployment.id.to_string()),
            duration_ms: i64::try_from(end.since(deployment.created_at).as_millis()).ok(),
            served: number(counts.served),
            retried: number(counts.retried),
            failed: number(counts.failed),
            cut: number(counts.cut),
        }
    };
    Ok(console::ServiceView {
        service: Some(to_proto(state, service)),
        tasks: state
            .live_tasks_of(id)
            .map(|task| task_view(state, service, task, now))
            .collect(),
        receipts: service.deployments.iter().map(receipt).collect(),
        rollback_task_definition: service
            .rollback_target()
            .map(|id| state.arns().task_definition(id)),
    })
}

fn task_view(
    state: &ClusterState,
    service: &Service,
    task: &Task,
    now: Timestamp,
) -> console::TaskView {
    let target = if service.spec.load_balancers.is_empty() {
        None
    } else if task.draining_until.is_some() {
        Some("draining")
    } else if task.desired_status == DesiredStatus::Stopped {
        // It has left every target group.
        None
    } else if task
        .target_health
        .values()
        .any(|one| matches!(one, TargetHealth::Unhealthy { .. }))
    {
        Some("unhealthy")
    } else if fitness(state, service, task, now) == Fitness::Healthy {
        Some("healthy")
    } else {
        Some("initial")
    };
    console::TaskView {
        task_arn: Some(state.arns().task(&task.cluster, &task.id)),
        deployment: task.service.as_ref().map(|of| of.deployment.to_string()),
        last_status: Some(super::task::last_status(task.last_status).to_owned()),
        desired_status: Some(super::task::desired_status(task.desired_status).to_owned()),
        target_health: target.map(str::to_owned),
    }
}
