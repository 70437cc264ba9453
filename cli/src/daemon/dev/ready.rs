//! What `ctl dev` waits for before it says that it is up: conditions, each with a deadline.

use std::time::Duration;

use roadstead_client::Backoff;
use roadstead_client::proto::console::{DescribeControlPlaneRequest, DescribeControlPlaneResponse};
use roadstead_client::proto::ecs::{
    CreateClusterRequest, DescribeContainerInstancesRequest, ListContainerInstancesRequest,
};

use super::PATIENCE;
use crate::connection::Connection;
use crate::error::Error;

/// The container instance that this host has become.
pub(super) struct Instance {
    /// 32 hex digits.
    pub(super) id: String,
}

/// Waits until the server has elected itself.
///
/// # Errors
/// Fails when that takes too long.
pub(super) async fn leader(connection: &Connection) -> Result<(), Error> {
    until("the server", async || {
        let status = status(connection).await?;
        Ok(status
            .members
            .iter()
            .any(|member| member.leader == Some(true))
            .then_some(()))
    })
    .await
}

/// Creates a cluster; one that is there already stays as it is (ECS: idempotent by name).
///
/// # Errors
/// Fails when the control plane refuses or does not answer.
pub(super) async fn cluster(connection: &Connection, name: &str) -> Result<(), Error> {
    let request = CreateClusterRequest {
        cluster_name: Some(name.to_owned()),
    };
    connection
        .ecs(async |mut ecs| ecs.create_cluster(request.clone()).await)
        .await?;
    Ok(())
}

/// Waits until this host's agent is connected.
///
/// # Errors
/// Fails when that takes too long.
pub(super) async fn instance(connection: &Connection) -> Result<Instance, Error> {
    until("the agent", async || connected_instance(connection).await).await
}

/// Waits until the load balancer is connected.
///
/// # Errors
/// Fails when that takes too long.
pub(super) async fn load_balancer(connection: &Connection) -> Result<(), Error> {
    until("the load balancer", async || {
        let status = status(connection).await?;
        Ok((!status.load_balancer_nodes.is_empty()).then_some(()))
    })
    .await
}

async fn status(connection: &Connection) -> Result<DescribeControlPlaneResponse, Error> {
    connection
        .console(async |mut console| {
            console
                .describe_control_plane(DescribeControlPlaneRequest {})
                .await
        })
        .await
}

async fn connected_instance(connection: &Connection) -> Result<Option<Instance>, Error> {
    let cluster = connection.cluster.clone();
    let request = ListContainerInstancesRequest {
        cluster,
        ..Default::default()
    };
    let listed = connection
        .ecs(async |mut ecs| ecs.list_container_instances(request.clone()).await)
        .await?;
    if listed.container_instance_arns.is_empty() {
        return Ok(None);
    }
    let request = DescribeContainerInstancesRequest {
        cluster: connection.cluster.clone(),
        container_instances: listed.container_instance_arns,
    };
    let described = connection
        .ecs(async |mut ecs| ecs.describe_container_instances(request.clone()).await)
        .await?;
    let connected = described
        .container_instances
        .into_iter()
        .find(|instance| instance.agent_connected == Some(true));
    let arn = connected.and_then(|instance| instance.container_instance_arn);
    Ok(arn.map(|arn| Instance {
        id: arn.rsplit('/').next().unwrap_or_default().to_owned(),
    }))
}

/// Asks until there is an answer. That the server cannot be reached yet is no failure here.
async fn until<T>(what: &str, ask: impl AsyncFn() -> Result<Option<T>, Error>) -> Result<T, Error> {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(250));
    let asking = async {
        loop {
            match ask().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) | Err(Error::Unreachable(_) | Error::NotReady(_)) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::NotReady(format!(
            "{what} is not up after {}",
            humantime::format_duration(PATIENCE)
        ))),
    }
}
