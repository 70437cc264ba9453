//! Chooses a container instance for each task that shall start.
//!
//! Reads a snapshot and a scratch copy of what is reserved, so that the choices of one pass count
//! each other. It does not reserve: capacity is taken by `apply`, which rejects what came too late.
//! When nothing fits, it says for each instance why.

mod filter;
mod places;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{ClusterName, ContainerInstanceId, DeploymentId, ServiceId};
use crate::resources::Resources;
use crate::state::ClusterState;
use crate::state::container_instance::ContainerInstance;
use crate::state::task::{DesiredStatus, Task};

pub use filter::Unfit;
pub use places::Places;

/// How instances that fit are put in order: "Amazon ECS task placement strategies".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Evenly over the values of a field.
    Spread(SpreadField),
    /// Where the least of it is left.
    Binpack(BinpackField),
}

/// What `spread` counts by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpreadField {
    Instance,
    Attribute(String),
}

/// What `binpack` fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BinpackField {
    Cpu,
    Memory,
}

/// Returns ECS's default: evenly over the zones, then over the instances.
#[must_use]
pub fn default_strategy() -> Vec<Strategy> {
    vec![
        Strategy::Spread(SpreadField::Attribute("ecs.availability-zone".to_owned())),
        Strategy::Spread(SpreadField::Instance),
    ]
}

/// The tasks that a task is spread against.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// Those of one deployment of a service: those of older ones are about to go, and a rollout that counted them would
    /// end as uneven as it was on its way.
    Deployment(&'a ServiceId, DeploymentId),
    /// Standalone tasks of a group.
    Group(&'a str),
}

impl Kind<'_> {
    /// Counts the tasks that shall run on each instance.
    fn counts<'s>(
        self,
        state: &'s ClusterState,
        cluster: &ClusterName,
    ) -> BTreeMap<&'s ContainerInstanceId, usize> {
        let mut counts = BTreeMap::new();
        let mut count = |task: &'s Task| {
            if task.desired_status == DesiredStatus::Running {
                *counts.entry(&task.container_instance).or_default() += 1;
            }
        };
        match self {
            Self::Deployment(service, deployment) => {
                let tasks = state.live_tasks_of(service);
                let of = |task: &Task| task.service.as_ref().map(|of| of.deployment);
                tasks
                    .filter(|task| of(task) == Some(deployment))
                    .for_each(|task| count(task));
            }
            Self::Group(group) => {
                state
                    .live_tasks_in_group(cluster, group)
                    .for_each(|task| count(task));
            }
        }
        counts
    }
}

/// What a task needs, and whom it is spread against.
#[derive(Debug, Clone)]
pub struct Demand<'a> {
    pub cluster: &'a ClusterName,
    pub kind: Kind<'a>,
    pub needed: Resources,
    pub strategy: &'a [Strategy],
}

/// Nothing fits: each instance of the cluster with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nowhere(pub Vec<(ContainerInstanceId, Unfit)>);

impl fmt::Display for Nowhere {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "was unable to place a task because no container instance met all of its requirements.",
        )?;
        match self.0.iter().max_by_key(|(_, unfit)| *unfit) {
            None => {
                formatter.write_str(" Reason: No Container Instances were found in your cluster.")
            }
            Some((instance, unfit)) => {
                write!(
                    formatter,
                    " The closest matching (container-instance {instance}) {unfit}."
                )?;
                formatter.write_str(
                    " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
                )
            }
        }
    }
}

/// The capacity as one pass sees it: the snapshot's, less what the pass has given away.
#[derive(Debug)]
pub struct Scratch<'a> {
    state: &'a ClusterState,
    taken: BTreeMap<&'a ContainerInstanceId, Resources>,
}

impl<'a> Scratch<'a> {
    /// Begins a pass over `state`.
    #[must_use]
    pub fn new(state: &'a ClusterState) -> Self {
        Self {
            state,
            taken: BTreeMap::new(),
        }
    }

    /// Returns the places for tasks that need and are the same, to be taken one after the other.
    pub fn places<'p>(&'p mut self, demand: &'p Demand<'p>) -> Places<'p, 'a> {
        Places::new(self, demand)
    }

    fn reserved<'s>(&'s self, instance: &'s ContainerInstance) -> &'s Resources {
        self.taken.get(&instance.id).unwrap_or(&instance.reserved)
    }

    fn take(&mut self, instance: &'a ContainerInstance, needed: &Resources) {
        let reserved = self.taken.entry(&instance.id);
        reserved
            .or_insert_with(|| instance.reserved.clone())
            .reserve(needed);
    }
}

#[cfg(test)]
mod tests;
