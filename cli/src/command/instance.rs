//! `ctl instance`

use clap::Subcommand;
use roadstead_client::proto::ecs::{
    DeregisterContainerInstanceRequest, DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse, ListContainerInstancesRequest,
    ListContainerInstancesResponse, UpdateContainerInstancesStateRequest,
};

use super::show_found;
use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::output::{self, Format};

/// DescribeContainerInstances takes at most so many (ECS).
const AT_ONCE: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the container instances.
    List {
        /// ACTIVE or DRAINING.
        #[arg(long)]
        status: Option<String>,
    },
    /// Describe container instances with their resources and attributes.
    Describe {
        /// Ids or ARNs of container instances.
        #[arg(required = true)]
        instances: Vec<String>,
    },
    /// Move the service tasks elsewhere, and place no new ones.
    Drain {
        /// Ids or ARNs of container instances.
        #[arg(required = true)]
        instances: Vec<String>,
    },
    /// Place tasks again after a drain.
    Activate {
        /// Ids or ARNs of container instances.
        #[arg(required = true)]
        instances: Vec<String>,
    },
    /// Forget a container instance.
    Deregister {
        /// Id or ARN of the container instance.
        instance: String,
        /// Also when tasks run on it; services replace them elsewhere.
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::List { status } => list(connection, status).await,
        Command::Describe { instances } => {
            let response = describe(connection, instances).await?;
            let found = (
                response.container_instances.len(),
                response.failures.as_slice(),
            );
            show_found(connection, &response, found, |response| {
                let views = response
                    .container_instances
                    .iter()
                    .map(output::instance::instance);
                views.collect::<Vec<_>>().join("\n\n")
            })
        }
        Command::Drain { instances } => set_status(connection, instances, "DRAINING").await,
        Command::Activate { instances } => set_status(connection, instances, "ACTIVE").await,
        Command::Deregister { instance, force } => {
            let request = DeregisterContainerInstanceRequest {
                cluster: connection.cluster.clone(),
                container_instance: Some(instance),
                force: Some(force),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.deregister_container_instance(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::instance::instances(response.container_instance.as_slice())
            })
        }
    }
}

async fn list(connection: &Connection, status: Option<String>) -> Result<(), Error> {
    let container_instance_arns = every_page(async |next_token| {
        let request = ListContainerInstancesRequest {
            cluster: connection.cluster.clone(),
            status: status.clone(),
            next_token,
            max_results: None,
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_container_instances(request.clone()).await)
            .await?;
        Ok((page.container_instance_arns, page.next_token))
    })
    .await?;
    if connection.format == Format::Json {
        let all = ListContainerInstancesResponse {
            container_instance_arns,
            next_token: None,
        };
        return output::write_line(&output::json(&all)?);
    }
    let mut instances = Vec::with_capacity(container_instance_arns.len());
    for some in container_instance_arns.chunks(AT_ONCE) {
        instances.extend(
            describe(connection, some.to_vec())
                .await?
                .container_instances,
        );
    }
    output::write_line(&output::instance::instances(&instances))
}

async fn describe(
    connection: &Connection,
    container_instances: Vec<String>,
) -> Result<DescribeContainerInstancesResponse, Error> {
    let request = DescribeContainerInstancesRequest {
        cluster: connection.cluster.clone(),
        container_instances,
    };
    connection
        .ecs(async |mut ecs| ecs.describe_container_instances(request.clone()).await)
        .await
}

async fn set_status(
    connection: &Connection,
    container_instances: Vec<String>,
    status: &str,
) -> Result<(), Error> {
    let request = UpdateContainerInstancesStateRequest {
        cluster: connection.cluster.clone(),
        container_instances,
        status: Some(status.to_owned()),
    };
    let response = connection
        .ecs(async |mut ecs| ecs.update_container_instances_state(request.clone()).await)
        .await?;
    let found = (
        response.container_instances.len(),
        response.failures.as_slice(),
    );
    show_found(connection, &response, found, |response| {
        output::instance::instances(&response.container_instances)
    })
}
