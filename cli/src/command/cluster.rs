//! `ctl cluster`

use clap::Subcommand;
use roadstead_client::proto::ecs::{
    CreateClusterRequest, DeleteClusterRequest, DescribeClustersRequest, DescribeClustersResponse,
    ListClustersRequest, ListClustersResponse,
};

use super::show_found;
use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::output::{self, Format};

/// DescribeClusters takes at most so many (ECS).
const AT_ONCE: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a cluster.
    Create {
        /// Name of the new cluster.
        name: String,
    },
    /// List the clusters.
    List,
    /// Describe clusters; without a name, the one of the context.
    Describe {
        /// Names or ARNs of clusters.
        clusters: Vec<String>,
    },
    /// Delete a cluster that has no services, tasks and container instances any more.
    Delete {
        /// Name or ARN of the cluster.
        name: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create { name } => {
            let request = CreateClusterRequest {
                cluster_name: Some(name),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.create_cluster(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::cluster::clusters(response.cluster.as_slice())
            })
        }
        Command::List => list(connection).await,
        Command::Describe { clusters } => {
            let named = if clusters.is_empty() {
                connection.cluster.iter().cloned().collect()
            } else {
                clusters
            };
            let response = describe(connection, named).await?;
            let found = (response.clusters.len(), response.failures.as_slice());
            show_found(connection, &response, found, |response| {
                output::cluster::clusters(&response.clusters)
            })
        }
        Command::Delete { name } => {
            let request = DeleteClusterRequest {
                cluster: Some(name),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.delete_cluster(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::cluster::clusters(response.cluster.as_slice())
            })
        }
    }
}

async fn list(connection: &Connection) -> Result<(), Error> {
    let cluster_arns = every_page(async |next_token| {
        let request = ListClustersRequest {
            next_token,
            max_results: None,
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_clusters(request.clone()).await)
            .await?;
        Ok((page.cluster_arns, page.next_token))
    })
    .await?;
    if connection.format == Format::Json {
        let all = ListClustersResponse {
            cluster_arns,
            next_token: None,
        };
        return output::write_line(&output::json(&all)?);
    }
    let mut clusters = Vec::with_capacity(cluster_arns.len());
    for some in cluster_arns.chunks(AT_ONCE) {
        clusters.extend(describe(connection, some.to_vec()).await?.clusters);
    }
    output::write_line(&output::cluster::clusters(&clusters))
}

async fn describe(
    connection: &Connection,
    clusters: Vec<String>,
) -> Result<DescribeClustersResponse, Error> {
    let request = DescribeClustersRequest { clusters };
    connection
        .ecs(async |mut ecs| ecs.describe_clusters(request.clone()).await)
        .await
}
