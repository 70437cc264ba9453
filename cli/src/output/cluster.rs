//! Clusters, for people.

use roadstead_client::proto::ecs::Cluster;

use super::grid::{grid, number, text};

/// Returns one row for each cluster.
pub(crate) fn clusters(clusters: &[Cluster]) -> String {
    let rows = clusters.iter().map(|cluster| {
        [
            text(cluster.cluster_name.as_ref()),
            text(cluster.status.as_ref()),
            number(cluster.registered_container_instances_count),
            number(cluster.active_services_count),
            number(cluster.running_tasks_count),
            number(cluster.pending_tasks_count),
        ]
    });
    grid(
        [
            "NAME",
            "STATUS",
            "INSTANCES",
            "SERVICES",
            "RUNNING",
            "PENDING",
        ],
        rows,
    )
}
