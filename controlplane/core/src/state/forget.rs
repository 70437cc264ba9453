//! What has ended can be described for a while; then it is forgotten.

use super::ClusterState;
use super::container_instance::InstanceStatus;
use super::service::ServiceStatus;
use crate::Event;
use crate::id::{ContainerInstanceId, ServiceId, TaskId};

impl ClusterState {
    /// Drops each of these that has ended; what has come back meanwhile stays.
    pub(super) fn forget(
        &mut self,
        tasks: &[TaskId],
        services: &[ServiceId],
        container_instances: &[ContainerInstanceId],
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for id in tasks {
            if self.tasks.get(id).is_some_and(|task| task.stopped()) {
                self.tasks.remove(id);
                events.push(Event::TaskForgotten(id.clone()));
            }
        }
        for id in services {
            let ended = |status| status == ServiceStatus::Inactive;
            if self.services.get(id).is_some_and(|one| ended(one.status)) {
                self.services.remove(id);
                events.push(Event::ServiceForgotten(id.clone()));
            }
        }
        for id in container_instances {
            let ended = |status| status == InstanceStatus::Inactive;
            let instance = self.container_instances.get(id);
            if instance.is_some_and(|one| ended(one.status)) {
                self.container_instances.remove(id);
                events.push(Event::ContainerInstanceForgotten(id.clone()));
            }
        }
        events
    }
}
