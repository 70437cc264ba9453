//! What agents and load balancers report of tasks, and what follows from it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Container, DesiredStatus, HealthStatus, LastStatus, StopCode, TargetHealth, Task, TaskTimes,
};
use crate::id::{ContainerInstanceId, TargetGroupName, TaskId};
use crate::state::ClusterState;
use crate::{Event, Rejection, Timestamp};

/// One task as its agent observed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStateChange {
    pub task: TaskId,
    /// The reporter: a report from another instance than the task's own is refused.
    pub container_instance: ContainerInstanceId,
    pub last_status: LastStatus,
    pub containers: Vec<Container>,
    pub health: HealthStatus,
    pub times: TaskTimes,
    /// Why it stopped, unless it was asked to.
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
}

impl Task {
    /// Returns whether `change` would tell anything new; a status never moves backwards.
    #[must_use]
    pub fn changed_by(&self, change: &TaskStateChange) -> bool {
        !self.stopped()
            && (change.last_status > self.last_status
                || change.health != self.health
                || change.containers != self.containers
                || change.times != self.times)
    }

    fn observe(&mut self, change: TaskStateChange, at: Timestamp) {
        self.last_status = self.last_status.max(change.last_status);
        self.health = change.health;
        self.containers = change.containers;
        self.times = change.times;
        if self.last_status >= LastStatus::Running {
            self.running_since.get_or_insert(at);
        }
        self.version += 1;
        if self.last_status == LastStatus::Stopped {
            self.desired_status = DesiredStatus::Stopped;
            self.draining_until = None;
            self.stopping_at.get_or_insert(at);
            self.times.stopped.get_or_insert(at);
            // Who asked for the stop is the cause, whatever the containers did on the way down.
            self.stop_code = self.stop_code.or(change.stop_code);
            self.stopped_reason = self.stopped_reason.take().or(change.stopped_reason);
        }
    }
}

impl ClusterState {
    pub(in crate::state) fn task_state_changes(
        &mut self,
        changes: Vec<TaskStateChange>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let stranger = changes.iter().find(|change| {
            let task = self.tasks.get(&change.task);
            task.is_some_and(|task| task.container_instance != change.container_instance)
        });
        if let Some(change) = stranger {
            return Err(Rejection::client(format!(
                "task {} is not on container instance {}",
                change.task, change.container_instance
            )));
        }
        let mut events = Vec::new();
        for change in changes {
            events.extend(self.task_state_change(change, at));
        }
        Ok(events)
    }

    fn task_state_change(&mut self, change: TaskStateChange, at: Timestamp) -> Option<Event> {
        let id = change.task.clone();
        let task = self
            .tasks
            .get_mut(&id)
            .filter(|task| task.changed_by(&change))?;
        let (before, before_health) = (task.last_status, task.health);
        let instance = task.container_instance.clone();
        let task = Arc::make_mut(task);
        task.observe(change, at);
        let task = task.clone();
        if task.last_status != before {
            self.touch_instance(&instance);
            if self.is_target_of_any(&task) {
                self.routing_version = self.version;
            }
        }
        if before < LastStatus::Running && task.last_status == LastStatus::Running {
            self.note_running(&task, at);
        }
        if before_health != HealthStatus::Unhealthy && task.health == HealthStatus::Unhealthy {
            self.note_unhealthy(&task, at);
        }
        if task.stopped() {
            self.release(&task);
            self.note_ended(&task, before, at);
        }
        Some(Event::TaskStatusChanged(id, task.last_status))
    }

    /// Ends a task whose host is gone for good, without hearing from it.
    pub(in crate::state) fn end_task(
        &mut self,
        id: &TaskId,
        code: StopCode,
        reason: &str,
        at: Timestamp,
    ) -> Option<Event> {
        let task = self.tasks.get(id)?;
        let mut containers = task.containers.clone();
        for container in &mut containers {
            container.last_status = LastStatus::Stopped;
        }
        let change = TaskStateChange {
            task: id.clone(),
            container_instance: task.container_instance.clone(),
            last_status: LastStatus::Stopped,
            containers,
            health: HealthStatus::Unknown,
            times: TaskTimes {
                stopped: Some(at),
                ..task.times
            },
            stop_code: Some(code),
            stopped_reason: Some(reason.to_owned()),
        };
        self.task_state_change(change, at)
    }

    fn release(&mut self, task: &Task) {
        self.unindex_task(task);
        if let Some(instance) = self.container_instances.get_mut(&task.container_instance) {
            Arc::make_mut(instance).reserved.release(&task.reserved);
        }
    }

    pub(in crate::state) fn set_target_health(
        &mut self,
        id: &TaskId,
        target_group: &TargetGroupName,
        health: &TargetHealth,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let task = self.tasks.get_mut(id).filter(|task| !task.stopped());
        let Some(task) = task.map(Arc::make_mut) else {
            return Err(Rejection::stale(format!("task {id} has stopped")));
        };
        if task.target_health.get(target_group) == Some(health) {
            return Ok(Vec::new());
        }
        task.target_health
            .insert(target_group.clone(), health.clone());
        task.version += 1;
        let task = task.clone();
        self.note_target_health(&task, target_group, health, at);
        Ok(vec![Event::TargetHealthChanged(
            id.clone(),
            target_group.clone(),
        )])
    }

    pub(in crate::state) fn finish_drain(&mut self, id: &TaskId) -> Result<Vec<Event>, Rejection> {
        let task = self
            .tasks
            .get_mut(id)
            .filter(|task| task.draining_until.is_some());
        let Some(task) = task.map(Arc::make_mut) else {
            return Err(Rejection::stale(format!("task {id} is not draining")));
        };
        task.draining_until = None;
        task.version += 1;
        let instance = task.container_instance.clone();
        self.touch_instance(&instance);
        self.routing_version = self.version;
        Ok(vec![Event::TargetsDrained(id.clone())])
    }
}
