//! What a service tells its user, in ECS's words ("Service event messages" in the ECS guide).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::service::{Service, ServiceStatus};
use super::task::{DesiredStatus, LastStatus, StopCode, TargetHealth, Task, TaskService};
use crate::id::{ClusterName, DeploymentId, ServiceId, TargetGroupName, TaskId};
use crate::{Event, Rejection, Timestamp};

/// ECS keeps the newest hundred.
const MOST_EVENTS: usize = 100;
/// The first and the longest pause between tasks that fail to start.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// A task that ends by itself sooner than this counts as one that failed to start. ECS restarts
/// what has once been RUNNING without a pause; it is slow enough to afford that.
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// From this many failures in a row on, the service says that it cannot start tasks.
const FAILURES_WORTH_TELLING: u32 = 3;

/// One message of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: String,
    pub at: Timestamp,
    pub message: String,
}

impl ClusterState {
    pub(super) fn note_started(
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

    pub(super) fn note_stopped(&mut self, stopped: &[TaskId], at: Timestamp) {
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
    pub(super) fn note_running(&mut self, task: &Task, at: Timestamp) {
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
    pub(super) fn note_unhealthy(&mut self, task: &Task, at: Timestamp) {
        if let Some(id) = task.service_id() {
            self.tell(
                &id,
                &format!("(task {}) failed container health checks.", task.id),
                at,
            );
        }
    }

    /// A task has ended; a start that failed makes the next one wait.
    pub(super) fn note_ended(&mut self, task: &Task, before: LastStatus, at: Timestamp) {
        let Some(id) = task.service_id() else { return };
        let asked = matches!(
            task.stop_code,
            Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated)
        );
        // Both by the agent's clock.
        let lived = task
            .times
            .started
            .zip(task.times.stopped)
            .map(|(from, to)| to.since(from));
        let failed = !asked
            && (before < LastStatus::Running || lived.is_none_or(|lived| lived < SHORT_LIFE));
        let deployment = task.service.as_ref().map(|of| of.deployment);
        let mut failures = 0;
        self.with_service(&id, |service| {
            service.steady = false;
            if !failed {
                return;
            }
            // Tasks that were started together and fail together are one attempt.
            if service.retry_at.is_none_or(|retry_at| at >= retry_at) {
                service.failed_starts = service.failed_starts.saturating_add(1);
                service.retry_at = Some(at.after(pause_after(service.failed_starts)));
                failures = service.failed_starts;
            }
            let failing = service
                .deployments
                .iter_mut()
                .find(|one| Some(one.id) == deployment);
            if let Some(deployment) = failing {
                deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
            }
        });
        if failures == FAILURES_WORTH_TELLING {
            let message = "is unable to consistently start tasks successfully. For more information, \
                           see the Troubleshooting section of the Amazon ECS Developer Guide.";
            self.tell(&id, message, at);
        }
    }

    pub(super) fn note_target_health(
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
                service.failed_starts = 0;
                service.retry_at = None;
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

    pub(super) fn note_completed(
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

    pub(super) fn report_steady_state(
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
            service.failed_starts = 0;
            service.retry_at = None;
        });
        Ok(vec![Event::ServiceUpdated(id.clone())])
    }

    pub(super) fn report_problem(
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

    fn tell(&mut self, id: &ServiceId, message: &str, at: Timestamp) {
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

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(LONGEST_PAUSE)
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
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        assert_eq!(pause_after(1), Duration::from_secs(1));
        assert_eq!(pause_after(4), Duration::from_secs(8));
        assert_eq!(pause_after(40), LONGEST_PAUSE);
    }

    #[test]
    fn event_ids_differ_within_one_version() {
        assert_ne!(event_id(7, 0), event_id(7, 1));
        assert_eq!(event_id(7, 1), "00000000-0001-4000-8000-000000000007");
    }
}
