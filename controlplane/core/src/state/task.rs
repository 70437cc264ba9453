//! Tasks. A task runs once; its replacement is a new task.
//!
//! One writer for each field: a loop or the user owns `desired_status` and the placement, the agent
//! owns what it observes. `last_status` only grows, so a late report is harmless.
//!
//!     PENDING ─► RUNNING ─► DEACTIVATING ─► STOPPING ─► STOPPED
//!        │          │     (load balancers let go)          ▲
//!        └──────────┴──────────────────────────────────────┘

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::container_instance::InstanceStatus;
use super::task_definition::TaskDefinition;
use crate::id::{
    ClusterName, ContainerInstanceId, DeploymentId, ServiceId, ServiceName, TargetGroupName,
    TaskDefinitionId, TaskId,
};
use crate::resources::{Lack, Protocol, Resources};
use crate::{Event, Rejection, Timestamp};

pub use super::task_status::TaskStateChange;

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

impl ClusterState {
    pub(super) fn start_tasks(
        &mut self,
        tasks: Vec<NewTask>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let definitions = self.check_start(&tasks)?;
        crate::deployment::check_ceiling(self, &tasks)?;
        let mut events = Vec::new();
        let started: Vec<_> = tasks
            .iter()
            .map(|task| (task.service.clone(), task.id.clone()))
            .collect();
        let cluster = tasks.first().map(|task| task.cluster.clone());
        for (new, definition) in tasks.into_iter().zip(definitions) {
            let reserved = definition.reservation();
            let instance = self
                .container_instances
                .get_mut(&new.container_instance)
                .map(Arc::make_mut)
                .expect("check_start has found the instance");
            instance.reserved.reserve(&reserved);
            instance.desired_version = self.version;
            events.push(Event::TaskStarted(
                new.id.clone(),
                new.container_instance.clone(),
            ));
            let task = Task::placed(new, reserved, at, self.version);
            self.index_task(&task);
            self.tasks.insert(task.id.clone(), Arc::new(task));
        }
        if let Some(cluster) = cluster {
            self.note_started(&cluster, &started, at);
        }
        Ok(events)
    }

    /// Checks every placement against what is free now, each counting the ones before it.
    fn check_start(&self, tasks: &[NewTask]) -> Result<Vec<Arc<TaskDefinition>>, Rejection> {
        let mut scratch: BTreeMap<&ContainerInstanceId, Resources> = BTreeMap::new();
        let mut definitions = Vec::with_capacity(tasks.len());
        for (index, new) in tasks.iter().enumerate() {
            let known = self.tasks.contains_key(&new.id);
            if known || tasks[..index].iter().any(|earlier| earlier.id == new.id) {
                return Err(Rejection::stale(format!("task {} exists already", new.id)));
            }
            let Some(definition) = self.task_definitions.get(&new.task_definition) else {
                return Err(Rejection::client("TaskDefinition not found."));
            };
            self.check_start_of_service(new)?;
            let instance = self
                .container_instances
                .get(&new.container_instance)
                .filter(|instance| instance.cluster == new.cluster)
                .filter(|instance| {
                    instance.status == InstanceStatus::Active && instance.agent_connected
                })
                .ok_or_else(|| {
                    Rejection::stale(format!(
                        "container instance {} takes no tasks",
                        new.container_instance
                    ))
                })?;
            let needed = definition.reservation();
            let reserved = scratch
                .entry(&instance.id)
                .or_insert_with(|| instance.reserved.clone());
            if let Some(lack) = reserved.lack(&instance.registered, &needed) {
                let resource = match lack {
                    Lack::Cpu => "CPU",
                    Lack::Memory => "MEMORY",
                    Lack::Ports => "PORTS",
                };
                return Err(Rejection::stale(format!(
                    "container instance {} lacks {resource}",
                    instance.id
                )));
            }
            reserved.reserve(&needed);
            definitions.push(Arc::clone(definition));
        }
        Ok(definitions)
    }

    fn check_start_of_service(&self, new: &NewTask) -> Result<(), Rejection> {
        let Some(of) = &new.service else {
            return self.active_cluster(&new.cluster).map(|_| ());
        };
        let id = ServiceId {
            cluster: new.cluster.clone(),
            service: of.name.clone(),
        };
        let deployment = self
            .services
            .get(&id)
            .and_then(|service| service.deployments.front());
        match deployment {
            Some(primary) if primary.id == of.deployment => Ok(()),
            Some(_) | None => Err(Rejection::stale(format!(
                "{} is no longer the primary deployment",
                of.deployment
            ))),
        }
    }

    pub(super) fn stop_tasks(
        &mut self,
        tasks: &[TaskId],
        code: StopCode,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if let Some(unknown) = tasks.iter().find(|id| !self.tasks.contains_key(*id)) {
            return Err(Rejection::invalid(format!(
                "The referenced task was not found. Task: {unknown}"
            )));
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

    pub(super) fn forget_tasks(&mut self, tasks: &[TaskId]) -> Vec<Event> {
        let mut events = Vec::new();
        for id in tasks {
            if self.tasks.get(id).is_some_and(|task| task.stopped()) {
                self.tasks.remove(id);
                events.push(Event::TaskForgotten(id.clone()));
            }
        }
        events
    }

    /// Returns whether the end of a task that is asked to stop will be heard of: its agent is there.
    pub(crate) fn will_tell(&self, task: &Task) -> bool {
        let instance = self.container_instances.get(&task.container_instance);
        task.instruction() == DesiredStatus::Running
            || instance.is_some_and(|instance| instance.agent_connected)
    }

    /// Marks that what the instance's agent shall do has changed.
    pub(super) fn touch_instance(&mut self, id: &ContainerInstanceId) {
        let version = self.version;
        if let Some(instance) = self.container_instances.get_mut(id) {
            Arc::make_mut(instance).desired_version = version;
        }
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
