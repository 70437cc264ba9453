//! What a service tells its user, in ECS's words ("Service event messages" in the ECS guide).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Service, ServiceStatus, retry};
use crate::id::{ClusterName, DeploymentId, ServiceId, TargetGroupName, TaskId};
use crate::state::ClusterState;
use crate::state::task::{DesiredStatus, LastStatus, StopCode, TargetHealth, Task, TaskService};
use crate::{Event, Rejection, Timestamp};

/// ECS keeps the newest hundred.
const MOST_EVENTS: usize = 100;

/// One message of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: String,
    pub at: Timestamp,
    pub message: String,
}

impl ClusterState {
    pub(in crate::state) fn note_started(
        &mut self,
        cluster: &ClusterName,
        started: &[(Option<TaskService>, TaskId)],
        at: Timestamp,
    ) {
        let Some((Some(of), _)) = started.first() else {
            return;
        };
        let id = ServiceId {
            cluster: cluster.clone(),
            service: of.name.clone(),
        };
        let tasks: Vec<TaskId> = started.iter().map(|(_, task)| task.clone()).collect();
        let message = format!("has started {} tasks: {}.", tasks.len(), listed(&tasks));
        self.tell(&id, &message, at);
        self.with_service(&id, |service| {
            service.steady = false;
            service.problem = None;
        });
    }

    pub(in crate::state) fn note_stopped(&mut self, stopped: &[TaskId], at: Timestamp) {
        let first = stopped.first().and_then(|id| self.tasks.get(id));
        let Some(id) = first.and_then(|task| task.service_id()) else {
            return;
        };
        let message = format!(
            "has stopped {} running tasks: {}.",
            stopped.len(),
            listed(stopped)
        );
        self.tell(&id, &message, at);
        let draining = stopped
            .iter()
            .filter(|task| {
                self.tasks
                    .get(*task)
                    .is_some_and(|task| task.draining_until.is_some())
            })
            .count();
        if draining > 0 {
            for group in self.groups_of(&id) {
                let arn = self.arns().target_group(&group);
                self.tell(
                    &id,
                    &format!("deregistered {draining} targets in (target-group {arn})"),
                    at,
                );
            }
            self.tell_of_drain(&id, draining, at);
        }
        self.with_service(&id, |service| service.steady = false);
    }

    /// A task has become RUNNING: it is now a target, and starting works again.
    pub(in crate::state) fn note_running(&mut self, task: &Task, at: Timestamp) {
        let wanted = task.desired_status == DesiredStatus::Running;
        let Some(id) = task.service_id().filter(|_| wanted) else {
            return;
        };
        for group in self.groups_of(&id) {
            let arn = self.arns().target_group(&group);
            self.tell(
                &id,
                &format!("registered 1 targets in (target-group {arn})"),
                at,
            );
        }
    }

    /// The container health checks of a task have failed: it will be replaced.
    pub(in crate::state) fn note_unhealthy(&mut self, task: &Task, at: Timestamp) {
        if let Some(id) = task.service_id() {
            self.tell(
                &id,
                &format!("(task {}) failed container health checks.", task.id),
                at,
            );
        }
    }

    /// A task has ended; a start that failed makes the next one wait.
    pub(in crate::state) fn note_ended(&mut self, task: &Task, before: LastStatus, at: Timestamp) {
        let Some(id) = task.service_id() else { return };
        let asked = matches!(
            task.stop_code,
            Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated)
        );
        let failed = !asked && retry::is_failed_start(task, before);
        let deployment = task.service.as_ref().map(|of| of.deployment);
        let mut worth_telling = false;
        self.with_service(&id, |service| {
            service.steady = false;
            if !failed {
                return;
            }
            // What an old revision does says nothing of the one that is started now.
            worth_telling = service.is_primary(task) && service.note_failed_start(at);
            let mut deployments = service.deployments.iter_mut();
            if let Some(failing) = deployments.find(|one| Some(one.id) == deployment) {
                failing.failed_tasks = failing.failed_tasks.saturating_add(1);
            }
        });
        if worth_telling {
            let message = "is unable to consistently start tasks successfully. For more information, \
                           see the Troubleshooting section of the Amazon ECS Developer Guide.";
            self.tell(&id, message, at);
        }
    }

    pub(in crate::state) fn note_target_health(
        &mut self,
        task: &Task,
        group: &TargetGroupName,
        health: &TargetHealth,
        at: Timestamp,
    ) {
        let Some(id) = task.service_id() else { return };
        match health {
            TargetHealth::Initial { .. } => {}
            TargetHealth::Healthy => self.with_service(&id, |service| {
                if service.is_primary(task) {
                    service.forgive();
                }
            }),
            TargetHealth::Unhealthy { description, .. } => {
                let arn = self.arns().target_group(group);
                let port = task
                    .containers
                    .iter()
                    .flat_map(|one| &one.port_bindings)
                    .next();
                let port = port.map_or(0, |binding| binding.host_port);
                let message = format!(
                    "(task {}) (instance {}) (port {port}) is unhealthy in (target-group {arn}) due to (reason {description})",
                    task.id, task.container_instance
                );
                self.tell(&id, &message, at);
            }
        }
    }

    pub(in crate::state) fn note_completed(
        &mut self,
        id: &ServiceId,
        deployment: DeploymentId,
        at: Timestamp,
    ) {
        self.tell(
            id,
            &format!("(deployment {deployment}) deployment completed."),
            at,
        );
    }

    pub(in crate::state) fn report_steady_state(
        &mut self,
        id: &ServiceId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let restless =
            |service: &&Arc<Service>| service.status == ServiceStatus::Active && !service.steady;
        if self.services.get(id).filter(restless).is_none() {
            return Err(Rejection::stale(format!("service {id} is steady already")));
        }
        self.tell(id, "has reached a steady state.", at);
        self.with_service(id, |service| {
            service.steady = true;
            service.problem = None;
            service.forgive();
        });
        Ok(vec![Event::ServiceUpdated(id.clone())])
    }

    pub(in crate::state) fn report_problem(
        &mut self,
        id: &ServiceId,
        message: &str,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let known = self
            .services
            .get(id)
            .map(|service| service.problem.as_deref() == Some(message));
        match known {
            None => Err(Rejection::stale(format!("service {id} is gone"))),
            Some(true) => Ok(Vec::new()),
            Some(false) => {
                self.tell(id, message, at);
                self.with_service(id, |service| service.problem = Some(message.to_owned()));
                Ok(vec![Event::ServiceUpdated(id.clone())])
            }
        }
    }

    /// Returns the target groups in which the service registers its tasks.
    fn groups_of(&self, id: &ServiceId) -> Vec<TargetGroupName> {
        let service = self.services.get(id);
        service
            .map(|service| {
                service
                    .spec
                    .load_balancers
                    .iter()
                    .map(|one| one.target_group.clone())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// ECS names the deployment inside the brackets here, as the task set that it is.
    fn tell_of_drain(&mut self, id: &ServiceId, count: usize, at: Timestamp) {
        let Some(primary) = self.services.get(id).map(|service| service.primary().id) else {
            return;
        };
        let subject = format!("(service {}, taskSet {primary})", id.service);
        self.tell_as(
            id,
            &subject,
            &format!("has begun draining connections on {count} tasks."),
            at,
        );
    }

    pub(super) fn tell(&mut self, id: &ServiceId, message: &str, at: Timestamp) {
        self.tell_as(id, &format!("(service {})", id.service), message, at);
    }

    fn tell_as(&mut self, id: &ServiceId, subject: &str, message: &str, at: Timestamp) {
        let version = self.version;
        self.with_service(id, |service| {
            let ordinal = service
                .events
                .front()
                .map_or(0, |event| ordinal_of(event) + 1);
            let event = ServiceEvent {
                id: event_id(version, ordinal),
                at,
                message: format!("{subject} {message}"),
            };
            service.events.push_front(Arc::new(event));
            service.events.truncate(MOST_EVENTS);
        });
    }

    fn with_service(&mut self, id: &ServiceId, change: impl FnOnce(&mut Service)) {
        if let Some(service) = self.services.get_mut(id) {
            change(Arc::make_mut(service));
        }
    }
}

fn listed(tasks: &[TaskId]) -> String {
    let each: Vec<String> = tasks.iter().map(|task| format!("(task {task})")).collect();
    each.join(" ")
}

/// Makes a UUID-shaped id that is the same on every replica: nothing here may be random.
fn event_id(version: u64, ordinal: u16) -> String {
    let low = version & 0xffff_ffff_ffff;
    format!("{:08x}-{ordinal:04x}-4000-8000-{low:012x}", version >> 48)
}

fn ordinal_of(event: &ServiceEvent) -> u16 {
    event
        .id
        .get(9..13)
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        .map_or(0, |ordinal| ordinal & 0x7fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_differ_within_one_version() {
        assert_ne!(event_id(7, 0), event_id(7, 1));
        assert_eq!(event_id(7, 1), "00000000-0001-4000-8000-000000000007");
    }
}
