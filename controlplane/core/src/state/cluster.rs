//! Clusters: the name under which everything else lives.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ClusterState;
use super::container_instance::InstanceStatus;
use super::service::ServiceStatus;
use super::task::{DesiredStatus, LastStatus};
use super::task_definition::validate::is_name;
use crate::id::ClusterName;
use crate::{Event, Exception, Rejection};

/// A cluster. A deleted one stays describable as INACTIVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub name: ClusterName,
    pub active: bool,
}

/// What a cluster holds, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClusterCounts {
    pub container_instances: usize,
    pub running_tasks: usize,
    pub pending_tasks: usize,
    pub active_services: usize,
}

impl ClusterState {
    /// Returns a cluster that may be used.
    ///
    /// # Errors
    /// `ClusterNotFoundException` for an unknown or a deleted one.
    pub fn active_cluster(&self, name: &ClusterName) -> Result<&Arc<Cluster>, Rejection> {
        let refuse = |message: &str| Rejection::new(Exception::ClusterNotFoundException, message);
        match self.clusters.get(name) {
            Some(cluster) if cluster.active => Ok(cluster),
            Some(_) => Err(refuse("The referenced cluster was inactive.")),
            None => Err(refuse("Cluster not found.")),
        }
    }

    /// Counts what `cluster` holds.
    #[must_use]
    pub fn cluster_counts(&self, cluster: &ClusterName) -> ClusterCounts {
        let mut counts = ClusterCounts::default();
        let instances = self
            .container_instances
            .values()
            .filter(|one| one.cluster == *cluster);
        for instance in instances.filter(|one| one.status != InstanceStatus::Inactive) {
            counts.container_instances += 1;
            for task in self.live_tasks_on(&instance.id) {
                if task.last_status == LastStatus::Running {
                    counts.running_tasks += 1;
                } else if task.last_status < LastStatus::Running {
                    counts.pending_tasks += 1;
                }
            }
        }
        counts.active_services = self
            .services
            .values()
            .filter(|service| {
                service.id.cluster == *cluster && service.status == ServiceStatus::Active
            })
            .count();
        counts
    }

    pub(super) fn create_cluster(&mut self, name: ClusterName) -> Result<Vec<Event>, Rejection> {
        if !is_name(name.as_str()) {
            return Err(Rejection::invalid(
                "clusterName must have 1 to 255 letters, digits, hyphens or underscores.",
            ));
        }
        // Idempotent by name; an inactive cluster comes back under the same ARN.
        if self
            .clusters
            .get(&name)
            .is_some_and(|cluster| cluster.active)
        {
            return Ok(Vec::new());
        }
        self.clusters.insert(
            name.clone(),
            Arc::new(Cluster {
                name: name.clone(),
                active: true,
            }),
        );
        Ok(vec![Event::ClusterCreated(name)])
    }

    pub(super) fn delete_cluster(&mut self, name: &ClusterName) -> Result<Vec<Event>, Rejection> {
        self.active_cluster(name)?;
        let in_cluster = |of: &ClusterName| of == name;
        let has_services = self.services.values().any(|service| {
            in_cluster(&service.id.cluster) && service.status != ServiceStatus::Inactive
        });
        if has_services {
            return Err(Rejection::new(
                Exception::ClusterContainsServicesException,
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        let has_instances = self
            .container_instances
            .values()
            .any(|one| in_cluster(&one.cluster) && one.status != InstanceStatus::Inactive);
        if has_instances {
            return Err(Rejection::new(
                Exception::ClusterContainsContainerInstancesException,
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            ));
        }
        let has_tasks = self.tasks.values().any(|task| {
            in_cluster(&task.cluster)
                && task.desired_status == DesiredStatus::Running
                && !task.stopped()
        });
        if has_tasks {
            return Err(Rejection::new(
                Exception::ClusterContainsTasksException,
                "The Cluster cannot be deleted while Tasks are active.",
            ));
        }
        self.clusters.insert(
            name.clone(),
            Arc::new(Cluster {
                name: name.clone(),
                active: false,
            }),
        );
        Ok(vec![Event::ClusterDeleted(name.clone())])
    }
}
