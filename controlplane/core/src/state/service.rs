//! Services: a number of tasks of one definition, kept running and rolled from one to the next.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::task::{DesiredStatus, Task};
use super::task_definition::validate::is_name;
use crate::id::{DeploymentId, ServiceId, TargetGroupName, TaskDefinitionId};
use crate::scheduler::Strategy;
use crate::{Event, Exception, Rejection, Timestamp};

pub use super::service_events::ServiceEvent;

/// 5000 tasks per service is ECS's quota.
const MOST_TASKS: u32 = 5000;
/// The current revision and the one that a rollback goes to, with one to spare.
const COMPLETED_TO_KEEP: usize = 3;
const MOST_TARGET_GROUPS: usize = 5;
/// The longest grace period that the ECS API takes, in seconds.
const LONGEST_GRACE: u32 = i32::MAX.unsigned_abs();

/// Whether a service keeps tasks running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceStatus {
    Active,
    /// Deleted; its tasks are being stopped.
    Draining,
    /// Deleted; kept to be described.
    Inactive,
}

/// Registers the service's tasks: which port of which container, in which target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLoadBalancer {
    pub target_group: TargetGroupName,
    pub container_name: String,
    pub container_port: u16,
}

/// How far a rollout may go below and above the desired count, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfiguration {
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
}

impl Default for DeploymentConfiguration {
    /// ECS's defaults for a replica service.
    fn default() -> Self {
        Self {
            minimum_healthy_percent: 100,
            maximum_percent: 200,
        }
    }
}

/// What the user says of a service when creating it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub task_definition: TaskDefinitionId,
    pub desired_count: u32,
    pub load_balancers: Vec<ServiceLoadBalancer>,
    pub deployment_configuration: DeploymentConfiguration,
    pub placement_strategy: Vec<Strategy>,
    pub health_check_grace_period_seconds: u32,
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceUpdate {
    pub task_definition: Option<TaskDefinitionId>,
    pub desired_count: Option<u32>,
    pub minimum_healthy_percent: Option<u32>,
    pub maximum_percent: Option<u32>,
    pub health_check_grace_period_seconds: Option<u32>,
    pub force_new_deployment: bool,
}

/// How far a deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutState {
    InProgress,
    Completed,
}

/// What the load balancers counted while a deployment was the primary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub served: u64,
    pub retried: u64,
    pub failed: u64,
    pub cut: u64,
}

/// One rollout of one task definition. The first in the list is PRIMARY, the others are ACTIVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub task_definition: TaskDefinitionId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub rollout_state: RolloutState,
    /// Tasks that stopped without ever having been RUNNING, or soon after.
    pub failed_tasks: u32,
    /// What the rollout cost; set when it has completed.
    pub receipt: Option<Counts>,
}

/// A service. A deleted one stays describable as INACTIVE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub id: ServiceId,
    pub spec: ServiceSpec,
    pub status: ServiceStatus,
    pub created_at: Timestamp,
    pub deployments: VecDeque<Deployment>,
    /// Newest first.
    pub events: Vector<Arc<ServiceEvent>>,
    /// False from the first task that is started or stopped until nothing is left to do.
    pub steady: bool,
    /// The trouble that was reported last; not reported again until it is solved.
    pub problem: Option<String>,
    /// Tasks in a row that failed to start.
    pub failed_starts: u32,
    /// No task is started before this.
    pub retry_at: Option<Timestamp>,
    /// The revisions whose rollouts completed last, newest first, each once.
    pub completed: Vec<TaskDefinitionId>,
}

impl Service {
    /// Returns the newest deployment.
    ///
    /// # Panics
    /// Never: a service is created with one, and the newest is never removed.
    #[must_use]
    pub fn primary(&self) -> &Deployment {
        self.deployments
            .front()
            .expect("a service has a primary deployment")
    }

    /// Returns where a rollback goes: the revision that completed last before the one wanted now.
    #[must_use]
    pub fn rollback_target(&self) -> Option<&TaskDefinitionId> {
        self.completed
            .iter()
            .find(|one| **one != self.spec.task_definition)
    }
}

impl ClusterState {
    /// Returns the service.
    ///
    /// # Errors
    /// `ClusterNotFoundException`, `ServiceNotFoundException`.
    pub fn service(&self, id: &ServiceId) -> Result<&Arc<Service>, Rejection> {
        self.active_cluster(&id.cluster)?;
        let missing = || Rejection::new(Exception::ServiceNotFoundException, "Service not found.");
        self.services.get(id).ok_or_else(missing)
    }

    pub(super) fn create_service(
        &mut self,
        id: ServiceId,
        spec: ServiceSpec,
        deployment: DeploymentId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.active_cluster(&id.cluster)?;
        if !is_name(id.service.as_str()) {
            return Err(Rejection::invalid(
                "serviceName must have 1 to 255 letters, digits, hyphens or underscores.",
            ));
        }
        match self
            .services
            .get(&id)
            .map(|known| (known.status, known.spec == spec))
        {
            Some((ServiceStatus::Active, true)) => return Ok(Vec::new()),
            Some((ServiceStatus::Active, false)) => {
                return Err(Rejection::invalid(
                    "Creation of service was not idempotent.",
                ));
            }
            Some((ServiceStatus::Draining, _)) => {
                return Err(Rejection::invalid(
                    "Unable to Start a service that is still Draining.",
                ));
            }
            Some((ServiceStatus::Inactive, _)) | None => {}
        }
        self.check_spec(&spec)?;
        let deployments = VecDeque::from([Deployment::new(
            deployment,
            spec.task_definition.clone(),
            at,
        )]);
        let service = Service {
            id: id.clone(),
            spec,
            status: ServiceStatus::Active,
            created_at: at,
            deployments,
            events: Vector::new(),
            steady: false,
            problem: None,
            failed_starts: 0,
            retry_at: None,
            completed: Vec::new(),
        };
        self.services.insert(id.clone(), Arc::new(service));
        self.routing_version = self.version;
        Ok(vec![
            Event::ServiceCreated(id.clone()),
            Event::DeploymentStarted(id, deployment),
        ])
    }

    pub(super) fn update_service(
        &mut self,
        id: &ServiceId,
        update: ServiceUpdate,
        deployment: DeploymentId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let service = self.service(id)?;
        if service.status != ServiceStatus::Active {
            return Err(Rejection::new(
                Exception::ServiceNotActiveException,
                "Service was not ACTIVE.",
            ));
        }
        let before = &service.spec;
        let configuration = before.deployment_configuration;
        let spec = ServiceSpec {
            task_definition: update
                .task_definition
                .unwrap_or_else(|| before.task_definition.clone()),
            desired_count: update.desired_count.unwrap_or(before.desired_count),
            deployment_configuration: DeploymentConfiguration {
                minimum_healthy_percent: update
                    .minimum_healthy_percent
                    .unwrap_or(configuration.minimum_healthy_percent),
                maximum_percent: update
                    .maximum_percent
                    .unwrap_or(configuration.maximum_percent),
            },
            health_check_grace_period_seconds: update
                .health_check_grace_period_seconds
                .unwrap_or(before.health_check_grace_period_seconds),
            load_balancers: before.load_balancers.clone(),
            placement_strategy: before.placement_strategy.clone(),
        };
        let rolls = update.force_new_deployment || spec.task_definition != before.task_definition;
        if spec == *before && !rolls {
            return Ok(Vec::new());
        }
        // A service may go on with a revision that was deregistered, but not begin a rollout of it.
        if rolls {
            self.check_spec(&spec)?;
        } else {
            check_numbers(&spec)?;
        }
        let mut events = vec![Event::ServiceUpdated(id.clone())];
        let of = |task: &Arc<Task>| task.service.as_ref().map(|of| of.deployment);
        let with_tasks: BTreeSet<_> = self.live_tasks_of(id).filter_map(of).collect();
        let service = self
            .services
            .get_mut(id)
            .map(Arc::make_mut)
            .expect("the service was found above");
        service.spec = spec;
        service.steady = false;
        if rolls {
            let definition = service.spec.task_definition.clone();
            service
                .deployments
                .retain(|one| with_tasks.contains(&one.id));
            service
                .deployments
                .push_front(Deployment::new(deployment, definition, at));
            service.failed_starts = 0;
            service.retry_at = None;
            service.problem = None;
            self.routing_version = self.version;
            events.push(Event::DeploymentStarted(id.clone(), deployment));
        }
        Ok(events)
    }

    pub(super) fn delete_service(
        &mut self,
        id: &ServiceId,
        force: bool,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let service = self.service(id)?;
        if service.status == ServiceStatus::Inactive {
            return Err(Rejection::new(
                Exception::ServiceNotFoundException,
                "Service not found.",
            ));
        }
        if service.spec.desired_count > 0 && !force {
            return Err(Rejection::invalid(
                "The service cannot be stopped while it is scaled above 0.",
            ));
        }
        if service.status == ServiceStatus::Draining {
            return Ok(Vec::new());
        }
        let service = self
            .services
            .get_mut(id)
            .map(Arc::make_mut)
            .expect("the service was found above");
        service.status = ServiceStatus::Draining;
        service.spec.desired_count = 0;
        service.deployments[0].updated_at = at;
        Ok(vec![Event::ServiceDeleted(id.clone())])
    }

    pub(super) fn finish_service_deletion(
        &mut self,
        id: &ServiceId,
    ) -> Result<Vec<Event>, Rejection> {
        let stopping = |task: &Arc<Task>| task.instruction() == DesiredStatus::Stopped;
        let alive = !self.live_tasks_of(id).all(stopping);
        let draining = |service: &&mut Arc<Service>| service.status == ServiceStatus::Draining;
        match self
            .services
            .get_mut(id)
            .filter(draining)
            .map(Arc::make_mut)
        {
            Some(service) if !alive => {
                service.status = ServiceStatus::Inactive;
                self.routing_version = self.version;
                Ok(vec![Event::ServiceDeleted(id.clone())])
            }
            Some(_) | None => Err(Rejection::stale(format!(
                "service {id} cannot be made inactive now"
            ))),
        }
    }

    pub(super) fn complete_deployment(
        &mut self,
        id: &ServiceId,
        deployment: DeploymentId,
        counts: Counts,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let is_old = |task: &Task| {
            task.service
                .as_ref()
                .is_some_and(|of| of.deployment != deployment)
        };
        let older_lives = self
            .live_tasks_of(id)
            .any(|task| is_old(task) && self.will_tell(task));
        let Some(service) = self.services.get_mut(id).map(Arc::make_mut) else {
            return Err(Rejection::stale(format!("service {id} is gone")));
        };
        let primary = service.primary();
        if primary.id != deployment
            || primary.rollout_state == RolloutState::Completed
            || older_lives
        {
            return Err(Rejection::stale(format!(
                "deployment {deployment} cannot complete now"
            )));
        }
        service.deployments.truncate(1);
        let primary = &mut service.deployments[0];
        primary.rollout_state = RolloutState::Completed;
        primary.updated_at = at;
        primary.receipt = Some(counts);
        let definition = primary.task_definition.clone();
        service.completed.retain(|one| *one != definition);
        service.completed.insert(0, definition);
        service.completed.truncate(COMPLETED_TO_KEEP);
        self.note_completed(id, deployment, at);
        Ok(vec![Event::DeploymentCompleted(id.clone(), deployment)])
    }

    fn check_spec(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        check_numbers(spec)?;
        let id = &spec.task_definition;
        let definition = self.usable_task_definition(&id.family, Some(id.revision))?;
        let groups: BTreeSet<_> = spec
            .load_balancers
            .iter()
            .map(|one| &one.target_group)
            .collect();
        if groups.len() < spec.load_balancers.len() {
            return Err(Rejection::invalid(
                "loadBalancers names a target group twice.",
            ));
        }
        for balancer in &spec.load_balancers {
            let (container, port) = (&balancer.container_name, balancer.container_port);
            let Some(found) = definition.container(container) else {
                return Err(Rejection::invalid(format!(
                    "The container {container} does not exist in the task definition."
                )));
            };
            if !found
                .port_mappings
                .iter()
                .any(|mapping| mapping.container_port == port)
            {
                return Err(Rejection::invalid(format!(
                    "The container {container} did not have a container port {port} defined."
                )));
            }
            let group = &balancer.target_group;
            if !self.target_groups.contains_key(group) {
                return Err(Rejection::invalid(format!(
                    "Target group not found: {group}"
                )));
            }
            if !self.target_group_in_use(group) {
                return Err(Rejection::invalid(format!(
                    "The target group with targetGroupArn {} does not have an associated load balancer.",
                    self.arns().target_group(group)
                )));
            }
        }
        Ok(())
    }
}

fn check_numbers(spec: &ServiceSpec) -> Result<(), Rejection> {
    if spec.desired_count > MOST_TASKS {
        return Err(Rejection::invalid("desiredCount may be at most 5000."));
    }
    if spec.load_balancers.len() > MOST_TARGET_GROUPS {
        return Err(Rejection::invalid(
            "loadBalancers may have at most 5 entries.",
        ));
    }
    if spec.health_check_grace_period_seconds > LONGEST_GRACE {
        return Err(Rejection::invalid(
            "healthCheckGracePeriodSeconds is too large.",
        ));
    }
    let configuration = spec.deployment_configuration;
    if configuration.minimum_healthy_percent > 100 {
        return Err(Rejection::invalid(
            "minimumHealthyPercent must be 0 to 100.",
        ));
    }
    if !(100..=10_000).contains(&configuration.maximum_percent) {
        return Err(Rejection::invalid("maximumPercent must be 100 to 10000."));
    }
    Ok(())
}

impl Deployment {
    fn new(id: DeploymentId, task_definition: TaskDefinitionId, at: Timestamp) -> Self {
        Self {
            id,
            task_definition,
            created_at: at,
            updated_at: at,
            rollout_state: RolloutState::InProgress,
            failed_tasks: 0,
            receipt: None,
        }
    }
}
