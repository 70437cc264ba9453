//! Container instances: the hosts, as their agents register them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::task::StopCode;
use crate::id::{ClusterName, ContainerInstanceId, TaskId};
use crate::resources::Resources;
use crate::{Event, Rejection, Timestamp};

/// Whether an instance takes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceStatus {
    Active,
    /// Takes no new task; the tasks of services move away.
    Draining,
    /// Deregistered; kept for a while to be described.
    Inactive,
}

/// What an agent says of its host when it registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRegistration {
    pub id: ContainerInstanceId,
    pub cluster: ClusterName,
    pub host_name: String,
    /// Where the host ports of its tasks are reached.
    pub address: String,
    pub agent_version: String,
    /// What the host has; `ports` are those that tasks may not use.
    pub registered: Resources,
    pub attributes: BTreeMap<String, String>,
}

/// A host and what is reserved on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInstance {
    pub id: ContainerInstanceId,
    pub cluster: ClusterName,
    pub host_name: String,
    pub address: String,
    pub agent_version: String,
    pub registered: Resources,
    pub attributes: BTreeMap<String, String>,
    pub status: InstanceStatus,
    pub agent_connected: bool,
    pub registered_at: Timestamp,
    pub connection_changed_at: Timestamp,
    /// Invariant: the sum over the tasks placed here that have not stopped.
    pub reserved: Resources,
    /// The state's version at which the tasks that the agent shall have last changed.
    pub desired_version: u64,
}

impl ContainerInstance {
    /// Returns the value of a custom or built-in attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

impl ClusterState {
    pub(super) fn register_container_instance(
        &mut self,
        registration: InstanceRegistration,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.active_cluster(&registration.cluster)?;
        let id = registration.id.clone();
        let known = self.container_instances.get(&id);
        if known.is_some_and(|known| known.cluster != registration.cluster) {
            return Err(Rejection::client(format!(
                "Container instance {id} is registered in another cluster. Deregister it there first."
            )));
        }
        if known.is_some_and(|known| known.status == InstanceStatus::Inactive) {
            return Err(Rejection::client(format!(
                "Container instance {id} was deregistered. To bring the host back, run `ctl agent remove` there and start \
                 its agent again: it registers as a new instance."
            )));
        }
        // The same host again keeps its status and its tasks.
        let kept = known;
        let instance = ContainerInstance {
            status: kept.map_or(InstanceStatus::Active, |known| known.status),
            registered_at: kept.map_or(at, |known| known.registered_at),
            reserved: kept.map(|known| known.reserved.clone()).unwrap_or_default(),
            agent_connected: true,
            connection_changed_at: at,
            desired_version: self.version,
            id: registration.id,
            cluster: registration.cluster,
            host_name: registration.host_name,
            address: registration.address,
            agent_version: registration.agent_version,
            registered: registration.registered,
            attributes: registration.attributes,
        };
        self.container_instances
            .insert(id.clone(), Arc::new(instance));
        self.routing_version = self.version;
        Ok(vec![Event::ContainerInstanceRegistered(id)])
    }

    pub(super) fn set_agent_connected(
        &mut self,
        id: &ContainerInstanceId,
        connected: bool,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let instance = self.usable_instance(id)?;
        if instance.agent_connected == connected {
            return Ok(Vec::new());
        }
        instance.agent_connected = connected;
        instance.connection_changed_at = at;
        // Its targets are looked at more closely, or no longer.
        self.routing_version = self.version;
        Ok(vec![Event::ContainerInstanceChanged(id.clone())])
    }

    pub(super) fn set_container_instance_status(
        &mut self,
        id: &ContainerInstanceId,
        status: InstanceStatus,
    ) -> Result<Vec<Event>, Rejection> {
        if status == InstanceStatus::Inactive {
            return Err(Rejection::invalid(
                "Container instance status should be one of [ACTIVE,DRAINING]",
            ));
        }
        let instance = self.usable_instance(id)?;
        if instance.status == status {
            return Ok(Vec::new());
        }
        instance.status = status;
        Ok(vec![Event::ContainerInstanceChanged(id.clone())])
    }

    pub(super) fn deregister_container_instance(
        &mut self,
        id: &ContainerInstanceId,
        force: bool,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.usable_instance(id)?;
        let orphans: Vec<TaskId> = self.live_tasks_on(id).map(|task| task.id.clone()).collect();
        if !orphans.is_empty() && !force {
            return Err(Rejection::invalid(
                "Found running tasks on the instance. Stop them, or deregister with force.",
            ));
        }
        let mut events = vec![Event::ContainerInstanceDeregistered(id.clone())];
        for task in orphans {
            let reason = "Container instance deregistration forced by user";
            events.extend(self.end_task(&task, StopCode::UserInitiated, reason, at));
        }
        let instance = self.usable_instance(id)?;
        instance.status = InstanceStatus::Inactive;
        instance.agent_connected = false;
        instance.connection_changed_at = at;
        Ok(events)
    }

    /// Returns the instance, unless it is unknown or deregistered.
    fn usable_instance(
        &mut self,
        id: &ContainerInstanceId,
    ) -> Result<&mut ContainerInstance, Rejection> {
        self.container_instances
            .get_mut(id)
            .filter(|instance| instance.status != InstanceStatus::Inactive)
            .map(Arc::make_mut)
            .ok_or_else(|| Rejection::client("The referenced container instance was not found."))
    }
}
