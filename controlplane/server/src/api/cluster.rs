//! Operations on clusters.

use roadstead_core::id::ClusterName;
use roadstead_core::state::cluster::Cluster;
use roadstead_core::{ClusterState, Command};
use roadstead_proto::ecs::{
    self, CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse,
    DescribeClustersRequest, DescribeClustersResponse, ListClustersRequest, ListClustersResponse,
};

use super::convert::{count, name};
use super::page::{Wanted, page};
use super::status::Refusal;
use super::{Api, missing, within};

pub(super) async fn create(
    api: &Api,
    request: CreateClusterRequest,
) -> Result<CreateClusterResponse, Refusal> {
    let name = name::cluster(request.cluster_name.as_deref());
    let state = api
        .write(Command::CreateCluster {
            cluster: name.clone(),
        })
        .await?;
    Ok(CreateClusterResponse {
        cluster: found(&state, &name),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteClusterRequest,
) -> Result<DeleteClusterResponse, Refusal> {
    let name = name::cluster(request.cluster.as_deref());
    let state = api
        .write(Command::DeleteCluster {
            cluster: name.clone(),
        })
        .await?;
    Ok(DeleteClusterResponse {
        cluster: found(&state, &name),
    })
}

pub(super) async fn describe(
    api: &Api,
    mut request: DescribeClustersRequest,
) -> Result<DescribeClustersResponse, Refusal> {
    within(request.clusters.len(), 100, "clusters")?;
    let state = api.read().await?;
    if request.clusters.is_empty() {
        request.clusters.push("default".to_owned());
    }
    let mut response = DescribeClustersResponse::default();
    for reference in request.clusters {
        let name = name::cluster(Some(&reference));
        match found(&state, &name) {
            Some(cluster) => response.clusters.push(cluster),
            None => response.failures.push(missing(state.arns().cluster(&name))),
        }
    }
    Ok(response)
}

pub(super) async fn list(
    api: &Api,
    request: ListClustersRequest,
) -> Result<ListClustersResponse, Refusal> {
    let state = api.read().await?;
    let arns = state.arns();
    let active = state.clusters.values().filter(|cluster| cluster.active);
    let all = active.map(|cluster| arns.cluster(&cluster.name));
    let (cluster_arns, next_token) = page(
        all,
        &Wanted::hundred(request.next_token.as_deref(), request.max_results),
    )?;
    Ok(ListClustersResponse {
        cluster_arns,
        next_token,
    })
}

fn found(state: &ClusterState, name: &ClusterName) -> Option<ecs::Cluster> {
    state
        .clusters
        .get(name)
        .map(|cluster| to_proto(state, cluster))
}

fn to_proto(state: &ClusterState, cluster: &Cluster) -> ecs::Cluster {
    let counts = state.cluster_counts(&cluster.name);
    ecs::Cluster {
        cluster_arn: Some(state.arns().cluster(&cluster.name)),
        cluster_name: Some(cluster.name.to_string()),
        status: Some(if cluster.active { "ACTIVE" } else { "INACTIVE" }.to_owned()),
        registered_container_instances_count: Some(count(counts.container_instances)),
        running_tasks_count: Some(count(counts.running_tasks)),
        pending_tasks_count: Some(count(counts.pending_tasks)),
        active_services_count: Some(count(counts.active_services)),
    }
}
