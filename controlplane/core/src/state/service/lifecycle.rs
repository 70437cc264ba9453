//! How a service comes, changes and goes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use imbl::Vector;

use super::{
    Counts, Deployment, DeploymentConfiguration, RolloutState, Service, ServiceSpec, ServiceStatus,
    ServiceUpdate, validate,
};
use crate::id::{DeploymentId, ServiceId};
use crate::state::ClusterState;
use crate::state::task::{DesiredStatus, Task};
use crate::state::task_definition::validate::is_name;
use crate::{Event, Exception, Rejection, Timestamp};

/// The current revision and the one that a rollback goes to, with one to spare.
const COMPLETED_TO_KEEP: usize = 3;

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

    /// Returns the service, if it is not on its way out.
    ///
    /// # Errors
    /// Those of [`ClusterState::service`], and `ServiceNotActiveException`.
    pub(super) fn active_service(&self, id: &ServiceId) -> Result<&Arc<Service>, Rejection> {
        let service = self.service(id)?;
        if service.status == ServiceStatus::Active {
            return Ok(service);
        }
        Err(Rejection::new(
            Exception::ServiceNotActiveException,
            "Service was not ACTIVE.",
        ))
    }

    pub(in crate::state) fn create_service(
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
            paused_until: None,
        };
        self.services.insert(id.clone(), Arc::new(service));
        self.routing_version = self.version;
        Ok(vec![
            Event::ServiceCreated(id.clone()),
            Event::DeploymentStarted(id, deployment),
        ])
    }

    pub(in crate::state) fn update_service(
        &mut self,
        id: &ServiceId,
        update: ServiceUpdate,
        deployment: DeploymentId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let service = self.active_service(id)?;
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
            validate::check_numbers(&spec)?;
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
        // The user has changed something: it may work now.
        service.problem = None;
        service.forgive();
        if rolls {
            let definition = service.spec.task_definition.clone();
            service
                .deployments
                .retain(|one| with_tasks.contains(&one.id));
            service
                .deployments
                .push_front(Deployment::new(deployment, definition, at));
            self.routing_version = self.version;
            events.push(Event::DeploymentStarted(id.clone(), deployment));
        }
        Ok(events)
    }

    pub(in crate::state) fn delete_service(
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

    pub(in crate::state) fn finish_service_deletion(
        &mut self,
        id: &ServiceId,
        at: Timestamp,
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
                service.deployments[0].updated_at = at;
                self.routing_version = self.version;
                Ok(vec![Event::ServiceDeleted(id.clone())])
            }
            Some(_) | None => Err(Rejection::stale(format!(
                "service {id} cannot be made inactive now"
            ))),
        }
    }

    pub(in crate::state) fn complete_deployment(
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
}
