//! Services: a number of tasks of one definition, kept running and rolled from one to the next.

mod events;
mod lifecycle;
mod pause;
mod retry;
mod validate;

use std::collections::VecDeque;
use std::sync::Arc;

use imbl::Vector;
use serde::{Deserialize, Serialize};

use super::task::Task;
use crate::Timestamp;
use crate::id::{DeploymentId, ServiceId, TargetGroupName, TaskDefinitionId};
use crate::scheduler::Strategy;

pub use events::ServiceEvent;

/// Whether a service keeps tasks running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceStatus {
    Active,
    /// Deleted; its tasks are being stopped.
    Draining,
    /// Deleted; kept to be described.
    Inactive,
}

/// Registers the service's tasks: which port of which container, in which target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLoadBalancer {
    pub target_group: TargetGroupName,
    pub container_name: String,
    pub container_port: u16,
}

/// How far a rollout may go below and above the desired count, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentConfiguration {
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
}

impl Default for DeploymentConfiguration {
    /// ECS's defaults for a replica service.
    fn default() -> Self {
        Self {
            minimum_healthy_percent: 100,
            maximum_percent: 200,
        }
    }
}

/// What the user says of a service when creating it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    pub task_definition: TaskDefinitionId,
    pub desired_count: u32,
    pub load_balancers: Vec<ServiceLoadBalancer>,
    pub deployment_configuration: DeploymentConfiguration,
    pub placement_strategy: Vec<Strategy>,
    pub health_check_grace_period_seconds: u32,
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceUpdate {
    pub task_definition: Option<TaskDefinitionId>,
    pub desired_count: Option<u32>,
    pub minimum_healthy_percent: Option<u32>,
    pub maximum_percent: Option<u32>,
    pub health_check_grace_period_seconds: Option<u32>,
    pub force_new_deployment: bool,
}

/// How far a deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutState {
    InProgress,
    Completed,
}

/// What the load balancers counted while a deployment was the primary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub served: u64,
    pub retried: u64,
    pub failed: u64,
    pub cut: u64,
}

/// One rollout of one task definition. The first in the list is PRIMARY, the others are ACTIVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub task_definition: TaskDefinitionId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub rollout_state: RolloutState,
    /// Tasks that stopped without ever having been RUNNING, or soon after.
    pub failed_tasks: u32,
    /// What the rollout cost; set when it has completed.
    pub receipt: Option<Counts>,
}

/// A service. A deleted one stays describable as INACTIVE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub id: ServiceId,
    pub spec: ServiceSpec,
    pub status: ServiceStatus,
    pub created_at: Timestamp,
    pub deployments: VecDeque<Deployment>,
    /// Newest first.
    pub events: Vector<Arc<ServiceEvent>>,
    /// False from the first task that is started or stopped until nothing is left to do.
    pub steady: bool,
    /// The trouble that was reported last; not reported again until it is solved.
    pub problem: Option<String>,
    /// Tasks in a row that failed to start.
    pub failed_starts: u32,
    /// No task is started before this.
    pub retry_at: Option<Timestamp>,
    /// The revisions whose rollouts completed last, newest first, each once.
    pub completed: Vec<TaskDefinitionId>,
    /// Its requests wait at the load balancers until then.
    #[serde(default)]
    pub paused_until: Option<Timestamp>,
}

impl Service {
    /// Returns the newest deployment.
    ///
    /// # Panics
    /// Never: a service is created with one, and the newest is never removed.
    #[must_use]
    pub fn primary(&self) -> &Deployment {
        self.deployments
            .front()
            .expect("a service has a primary deployment")
    }

    /// Returns whether a task is of the newest deployment.
    fn is_primary(&self, task: &Task) -> bool {
        let of = task.service.as_ref();
        of.is_some_and(|of| of.deployment == self.primary().id)
    }

    /// Returns where a rollback goes: the revision that completed last before the one wanted now.
    #[must_use]
    pub fn rollback_target(&self) -> Option<&TaskDefinitionId> {
        self.completed
            .iter()
            .find(|one| **one != self.spec.task_definition)
    }
}

impl Deployment {
    fn new(id: DeploymentId, task_definition: TaskDefinitionId, at: Timestamp) -> Self {
        Self {
            id,
            task_definition,
            created_at: at,
            updated_at: at,
            rollout_state: RolloutState::InProgress,
            failed_tasks: 0,
            receipt: None,
        }
    }
}
