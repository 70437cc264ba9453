//! Task definitions: what a task is made of. A revision never changes and its number is never
//! used again.

pub(crate) mod validate;

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::id::{Family, TaskDefinitionId};
use crate::resources::{Protocol, Resources};
use crate::{Event, Rejection, Timestamp};

/// The network of a task's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// A network namespace for each container, ports mapped to the host.
    Bridge,
    /// The host's own network.
    Host,
}

/// A port of a container. `host_port` 0 lets the agent choose (bridge only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: Protocol,
    pub name: Option<String>,
}

/// A command that tells whether a container works. Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHealthCheck {
    pub command: Vec<String>,
    pub interval: u32,
    pub timeout: u32,
    pub retries: u32,
    pub start_period: Option<u32>,
}

/// One container of a task definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    pub name: String,
    pub image: String,
    pub cpu_units: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
    pub essential: bool,
    pub port_mappings: Vec<PortMapping>,
    pub environment: Vec<(String, String)>,
    pub command: Vec<String>,
    pub entry_point: Vec<String>,
    pub user: Option<String>,
    pub health_check: Option<ContainerHealthCheck>,
    /// Seconds between the stop signal and SIGKILL; the agent's default when absent.
    pub stop_timeout: Option<u32>,
}

/// What a request to register carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTaskDefinition {
    pub family: Family,
    pub network_mode: NetworkMode,
    pub containers: Vec<ContainerDefinition>,
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    pub requires_compatibilities: Vec<String>,
}

/// A registered revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub id: TaskDefinitionId,
    pub content: NewTaskDefinition,
    pub registered_at: Timestamp,
    /// Set when it is INACTIVE: running tasks go on, new ones are refused.
    pub deregistered_at: Option<Timestamp>,
}

impl TaskDefinition {
    /// Returns what a task of this definition reserves on its instance.
    ///
    /// Task memory if set; else each container's memoryReservation, or else its memory. Task CPU if
    /// set; else the containers' sum. Host ports that are not dynamic.
    #[must_use]
    pub fn reservation(&self) -> Resources {
        let content = &self.content;
        let memory: fn(&ContainerDefinition) -> u32 =
            |one| one.memory_reservation_mib.or(one.memory_mib).unwrap_or(0);
        let sum = |amount: fn(&ContainerDefinition) -> u32| {
            content
                .containers
                .iter()
                .map(amount)
                .fold(0, u32::saturating_add)
        };
        let ports = content.containers.iter().flat_map(|one| &one.port_mappings);
        Resources {
            cpu_units: content
                .cpu_units
                .unwrap_or_else(|| sum(|one| one.cpu_units)),
            memory_mib: content.memory_mib.unwrap_or_else(|| sum(memory)),
            ports: ports
                .filter(|mapping| mapping.host_port != 0)
                .map(|mapping| (mapping.protocol, mapping.host_port))
                .collect(),
        }
    }

    /// Returns the container of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerDefinition> {
        self.content
            .containers
            .iter()
            .find(|container| container.name == name)
    }

    /// Returns whether new tasks may use it.
    #[must_use]
    pub fn active(&self) -> bool {
        self.deregistered_at.is_none()
    }
}

impl ClusterState {
    /// Finds the definition that new tasks of `family` use: the revision, or the newest active one.
    ///
    /// # Errors
    /// `ClientException` when there is none or it is inactive.
    pub fn usable_task_definition(
        &self,
        family: &Family,
        revision: Option<NonZeroU32>,
    ) -> Result<&Arc<TaskDefinition>, Rejection> {
        let Some(revision) = revision else {
            return self
                .revisions(family)
                .rev()
                .find(|definition| definition.active())
                .ok_or_else(|| Rejection::client("TaskDefinition not found."));
        };
        let id = TaskDefinitionId {
            family: family.clone(),
            revision,
        };
        match self.task_definitions.get(&id) {
            Some(definition) if definition.active() => Ok(definition),
            Some(_) => Err(Rejection::client("TaskDefinition is inactive")),
            None => Err(Rejection::client("TaskDefinition not found.")),
        }
    }

    /// Returns the revisions of `family`, oldest first.
    pub fn revisions(
        &self,
        family: &Family,
    ) -> impl DoubleEndedIterator<Item = &Arc<TaskDefinition>> {
        let id = |revision| TaskDefinitionId {
            family: family.clone(),
            revision,
        };
        self.task_definitions
            .range(id(NonZeroU32::MIN)..=id(NonZeroU32::MAX))
            .map(|(_, definition)| definition)
    }

    pub(super) fn register_task_definition(
        &mut self,
        content: NewTaskDefinition,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        content.check()?;
        let next = self
            .families
            .get(&content.family)
            .copied()
            .unwrap_or(0)
            .checked_add(1);
        let Some(revision) = next.and_then(NonZeroU32::new) else {
            return Err(Rejection::client(format!(
                "family {} has no revision left",
                content.family
            )));
        };
        let id = TaskDefinitionId {
            family: content.family.clone(),
            revision,
        };
        let definition = TaskDefinition {
            id: id.clone(),
            content,
            registered_at: at,
            deregistered_at: None,
        };
        self.families.insert(id.family.clone(), revision.get());
        self.task_definitions
            .insert(id.clone(), Arc::new(definition));
        Ok(vec![Event::TaskDefinitionRegistered(id)])
    }

    pub(super) fn deregister_task_definition(
        &mut self,
        id: &TaskDefinitionId,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let Some(definition) = self.task_definitions.get_mut(id) else {
            return Err(Rejection::client("Unable to describe task definition."));
        };
        if !definition.active() {
            return Ok(Vec::new());
        }
        Arc::make_mut(definition).deregistered_at = Some(at);
        Ok(vec![Event::TaskDefinitionDeregistered(id.clone())])
    }
}
