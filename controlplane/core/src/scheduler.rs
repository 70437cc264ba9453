//! Chooses a container instance for each task that shall start.
//!
//! Reads a snapshot and a scratch copy of what is reserved, so that the choices of one pass count
//! each other. It does not reserve: capacity is taken by `apply`, which rejects what came too late.
//! When nothing fits, it says for each instance why.

mod filter;
mod rank;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ClusterName, ContainerInstanceId, DeploymentId};
use crate::resources::Resources;
use crate::state::ClusterState;
use crate::state::container_instance::ContainerInstance;
use crate::state::task::{DesiredStatus, Task};

pub use filter::Unfit;

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

/// What one task needs, and whom it is spread against.
#[derive(Debug, Clone)]
pub struct Demand<'a> {
    pub cluster: &'a ClusterName,
    /// `service:NAME` or the group of a standalone task: spread counts the tasks of the same group.
    pub group: &'a str,
    /// Of a service, spread counts the tasks of one deployment only: those of older ones are about to go, and a rollout
    /// that counted them would end as uneven as it was on its way.
    pub deployment: Option<DeploymentId>,
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

/// What spread counts together.
type Group = (ClusterName, String, Option<DeploymentId>);

/// The capacity as one pass sees it: the snapshot's, less what the pass has given away.
#[derive(Debug)]
pub struct Scratch<'a> {
    state: &'a ClusterState,
    taken: BTreeMap<ContainerInstanceId, Resources>,
    /// Tasks of a group on an instance, counted once and kept up to date.
    counts: BTreeMap<Group, BTreeMap<ContainerInstanceId, usize>>,
}

impl<'a> Scratch<'a> {
    /// Begins a pass over `state`.
    #[must_use]
    pub fn new(state: &'a ClusterState) -> Self {
        Self {
            state,
            taken: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Places one task and takes its resources out of the scratch capacity.
    ///
    /// # Errors
    /// Tells for each instance why it does not fit.
    pub fn place(&mut self, demand: &Demand<'_>) -> Result<ContainerInstanceId, Nowhere> {
        let mut unfit = Vec::new();
        let mut fits = Vec::new();
        let members = self
            .state
            .container_instances
            .values()
            .filter(|one| one.cluster == *demand.cluster);
        let members: Vec<&Arc<ContainerInstance>> = members.collect();
        for instance in members.iter().copied() {
            let reserved = self.taken.get(&instance.id).unwrap_or(&instance.reserved);
            match filter::unfit(instance, reserved, &demand.needed) {
                None => fits.push(instance),
                Some(Unfit::Inactive) => {}
                Some(reason) => unfit.push((instance.id.clone(), reason)),
            }
        }
        let group = (
            demand.cluster.clone(),
            demand.group.to_owned(),
            demand.deployment,
        );
        if !self.counts.contains_key(&group) {
            self.counts
                .insert(group.clone(), count_group(self.state, demand));
        }
        let counts = &self.counts[&group];
        let chosen = rank::best(&fits, &members, demand.strategy, counts, &self.taken)
            .ok_or(Nowhere(unfit))?;
        let id = chosen.id.clone();
        let reserved = self
            .taken
            .entry(id.clone())
            .or_insert_with(|| chosen.reserved.clone());
        reserved.reserve(&demand.needed);
        if let Some(counts) = self.counts.get_mut(&group) {
            *counts.entry(id.clone()).or_default() += 1;
        }
        Ok(id)
    }
}

/// Counts the tasks of the demand's group on each instance of its cluster.
fn count_group(state: &ClusterState, demand: &Demand<'_>) -> BTreeMap<ContainerInstanceId, usize> {
    let same = |task: &&Arc<Task>| {
        task.group == demand.group
            && task.service.as_ref().map(|of| of.deployment) == demand.deployment
            && task.desired_status == DesiredStatus::Running
    };
    let members = state
        .container_instances
        .values()
        .filter(|one| one.cluster == *demand.cluster);
    members
        .map(|one| {
            (
                one.id.clone(),
                state.live_tasks_on(&one.id).filter(same).count(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
