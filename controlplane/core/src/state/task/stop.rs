//! Stopping tasks.

use std::sync::Arc;

use super::{DesiredStatus, LastStatus, StopCode, Task};
use crate::id::{ContainerInstanceId, TaskId};
use crate::state::ClusterState;
use crate::{Event, Rejection, Timestamp};

impl ClusterState {
    pub(in crate::state) fn stop_tasks(
        &mut self,
        tasks: &[TaskId],
        code: StopCode,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if let Some(unknown) = tasks.iter().find(|id| !self.tasks.contains_key(*id)) {
            return Err(match code {
                // It was decided on an older state.
                StopCode::ServiceSchedulerInitiated => {
                    Rejection::stale(format!("task {unknown} is gone"))
                }
                StopCode::UserInitiated
                | StopCode::TaskFailedToStart
                | StopCode::EssentialContainerExited => Rejection::invalid(format!(
                    "The referenced task was not found. Task: {unknown}"
                )),
            });
        }
        if code == StopCode::ServiceSchedulerInitiated {
            crate::deployment::check_floor(self, tasks, at)?;
        }
        let mut stopped = Vec::new();
        for id in tasks {
            if self.request_stop(id, code, reason, at) {
                stopped.push(id.clone());
            }
        }
        if code == StopCode::ServiceSchedulerInitiated {
            self.note_stopped(&stopped, at);
        }
        Ok(stopped.into_iter().map(Event::TaskStopRequested).collect())
    }

    /// Returns whether the task was still wanted.
    fn request_stop(&mut self, id: &TaskId, code: StopCode, reason: &str, at: Timestamp) -> bool {
        let drain_until = self.drain_deadline(id, at);
        let Some(task) = self.tasks.get_mut(id).map(Arc::make_mut) else {
            return false;
        };
        if task.desired_status == DesiredStatus::Stopped || task.last_status == LastStatus::Stopped
        {
            return false;
        }
        task.desired_status = DesiredStatus::Stopped;
        task.stopping_at = Some(at);
        task.stop_code = Some(code);
        task.stopped_reason = Some(reason.to_owned());
        task.version += 1;
        if drain_until.is_some() {
            // Deregister before stopping: a target must leave the table while it can still answer.
            task.draining_until = drain_until;
            task.last_status = task.last_status.max(LastStatus::Deactivating);
            self.routing_version = self.version;
        }
        let instance = task.container_instance.clone();
        self.touch_instance(&instance);
        true
    }

    /// Returns whether the end of a task that is asked to stop will be heard of: its agent is there.
    pub(crate) fn will_tell(&self, task: &Task) -> bool {
        let instance = self.container_instances.get(&task.container_instance);
        task.instruction() == DesiredStatus::Running
            || instance.is_some_and(|instance| instance.agent_connected)
    }

    /// Marks that what the instance's agent shall do has changed.
    pub(in crate::state) fn touch_instance(&mut self, id: &ContainerInstanceId) {
        let version = self.version;
        if let Some(instance) = self.container_instances.get_mut(id) {
            Arc::make_mut(instance).desired_version = version;
        }
    }
}
