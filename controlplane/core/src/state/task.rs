//! Tasks. A task runs once; its replacement is a new task.
//!
//! One writer for each field: a loop or the user owns `desired_status` and the placement, the agent
//! owns what it observes. `last_status` only grows, so a late report is harmless.
//!
//!     PENDING ─► RUNNING ─► DEACTIVATING ─► STOPPING ─► STOPPED
//!        │          │     (load balancers let go)          ▲
//!        └──────────┴──────────────────────────────────────┘

mod start;
mod status;
mod stop;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::{
    ClusterName, ContainerInstanceId, DeploymentId, ServiceId, ServiceName, TargetGroupName,
    TaskDefinitionId, TaskId,
};
use crate::resources::{Protocol, Resources};

pub use status::TaskStateChange;

/// What shall become of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DesiredStatus {
    Running,
    Stopped,
}

/// How far a task has come. The order is the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LastStatus {
    Pending,
    Running,
    Deactivating,
    Stopping,
    Stopped,
}

/// Whether the container health checks pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthStatus {
    Unknown,
    Healthy,
    Unhealthy,
}

/// Who or what ended a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    UserInitiated,
    ServiceSchedulerInitiated,
}

/// What all load balancers together say of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetHealth {
    /// Not every load balancer has seen it answer yet.
    Initial {
        reason: String,
        description: String,
    },
    Healthy,
    Unhealthy {
        reason: String,
        description: String,
    },
}

/// The service that a task belongs to, and the deployment that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskService {
    pub name: ServiceName,
    pub deployment: DeploymentId,
}

/// What `run task` changes in one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerOverride {
    pub name: String,
    /// Replaces the command unless empty.
    pub command: Vec<String>,
    /// Added to the environment; the same name wins over the definition's.
    pub environment: Vec<(String, String)>,
}

/// A port of a container as the agent has opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: Protocol,
}

/// A container as the agent observed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: String,
    pub last_status: LastStatus,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub health: HealthStatus,
    pub port_bindings: Vec<PortBinding>,
}

/// When the agent saw a step of the task's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskTimes {
    pub pull_started: Option<Timestamp>,
    pub pull_stopped: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub execution_stopped: Option<Timestamp>,
    pub stopped: Option<Timestamp>,
}

/// A task to be started, already placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTask {
    pub id: TaskId,
    pub cluster: ClusterName,
    pub task_definition: TaskDefinitionId,
    pub container_instance: ContainerInstanceId,
    pub service: Option<TaskService>,
    /// For standalone tasks; `family:F` when absent.
    pub group: Option<String>,
    pub started_by: Option<String>,
    pub overrides: Vec<ContainerOverride>,
}

/// A task, from its placement to some time after its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub cluster: ClusterName,
    pub task_definition: TaskDefinitionId,
    pub container_instance: ContainerInstanceId,
    pub service: Option<TaskService>,
    pub group: String,
    pub started_by: Option<String>,
    pub overrides: Vec<ContainerOverride>,
    pub reserved: Resources,
    pub desired_status: DesiredStatus,
    pub last_status: LastStatus,
    pub health: HealthStatus,
    pub containers: Vec<Container>,
    pub created_at: Timestamp,
    pub times: TaskTimes,
    pub stopping_at: Option<Timestamp>,
    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    pub target_health: BTreeMap<TargetGroupName, TargetHealth>,
    /// Set while load balancers may still have requests there: the agent is told to stop the task
    /// only when this is gone. Holds the end of the deregistration delay.
    pub draining_until: Option<Timestamp>,
    /// When the control plane heard that it is RUNNING; what its health is measured from.
    pub running_since: Option<Timestamp>,
    pub version: u64,
}

impl Task {
    /// Returns whether the task is over and its resources are free.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.last_status == LastStatus::Stopped
    }

    /// Returns the service that the task belongs to.
    #[must_use]
    pub fn service_id(&self) -> Option<ServiceId> {
        let service = self.service.as_ref()?;
        Some(ServiceId {
            cluster: self.cluster.clone(),
            service: service.name.clone(),
        })
    }

    /// Returns what the agent is told: a task stops only after the load balancers have let go.
    #[must_use]
    pub fn instruction(&self) -> DesiredStatus {
        match self.draining_until {
            Some(_) => DesiredStatus::Running,
            None => self.desired_status,
        }
    }

    /// Returns the host port behind which `container` serves TCP on `container_port`.
    #[must_use]
    pub fn host_port(&self, container: &str, container_port: u16) -> Option<u16> {
        let container = self.containers.iter().find(|one| one.name == container)?;
        let bound = container
            .port_bindings
            .iter()
            .filter(|one| one.protocol == Protocol::Tcp);
        bound
            .clone()
            .find(|one| one.container_port == container_port)
            .map(|one| one.host_port)
    }
}

impl Task {
    fn placed(new: NewTask, reserved: Resources, at: Timestamp, version: u64) -> Self {
        let group = match (&new.service, new.group) {
            (Some(service), _) => format!("service:{}", service.name),
            (None, Some(group)) => group,
            (None, None) => format!("family:{}", new.task_definition.family),
        };
        Self {
            id: new.id,
            cluster: new.cluster,
            task_definition: new.task_definition,
            container_instance: new.container_instance,
            service: new.service,
            group,
            started_by: new.started_by,
            overrides: new.overrides,
            reserved,
            desired_status: DesiredStatus::Running,
            last_status: LastStatus::Pending,
            health: HealthStatus::Unknown,
            containers: Vec::new(),
            created_at: at,
            times: TaskTimes::default(),
            stopping_at: None,
            stop_code: None,
            stopped_reason: None,
            target_health: BTreeMap::new(),
            draining_until: None,
            running_since: None,
            version,
        }
    }
}
