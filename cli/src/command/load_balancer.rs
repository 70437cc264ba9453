//! `ctl load-balancer`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateLoadBalancerRequest, DeleteLoadBalancerRequest, DescribeLoadBalancersRequest,
    DescribeLoadBalancersResponse,
};

use super::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a load balancer; every `ctl lb` process serves its listeners.
    Create {
        /// Name of the new load balancer.
        name: String,
    },
    /// List the load balancers.
    #[command(visible_alias = "describe")]
    List {
        /// Only these; all of them when none is named.
        names: Vec<String>,
    },
    /// Delete a load balancer with its listeners.
    Delete {
        /// Name or ARN of the load balancer.
        #[arg(value_name = "LOAD_BALANCER")]
        load_balancer: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create { name } => {
            let request = CreateLoadBalancerRequest {
                name: Some(name),
                r#type: None,
            };
            let response = connection
                .elb(async |mut elb| elb.create_load_balancer(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::load_balancers(&response.load_balancers)
            })
        }
        Command::List { names } => {
            let response = list(connection, names).await?;
            connection.show(&response, |response| {
                output::elb::load_balancers(&response.load_balancers)
            })
        }
        Command::Delete { load_balancer } => {
            let load_balancer_arn = name::load_balancer(connection, &load_balancer).await?;
            let request = DeleteLoadBalancerRequest {
                load_balancer_arn: Some(load_balancer_arn),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_load_balancer(request.clone()).await)
                .await?;
            connection.show(&response, |_| {
                format!("load balancer {load_balancer} is deleted")
            })
        }
    }
}

/// Returns the load balancers of these names or ARNs, or all of them.
pub(super) async fn list(
    connection: &Connection,
    named: Vec<String>,
) -> Result<DescribeLoadBalancersResponse, Error> {
    let (load_balancer_arns, names) = named.into_iter().partition(|text| text.starts_with("arn:"));
    let request = DescribeLoadBalancersRequest {
        load_balancer_arns,
        names,
    };
    connection
        .elb(async |mut elb| elb.describe_load_balancers(request.clone()).await)
        .await
}
