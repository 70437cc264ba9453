//! `ctl listener`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    CreateListenerRequest, DeleteListenerRequest, DescribeListenersResponse, ModifyListenerRequest,
};

use super::{action, load_balancer, name};
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a listener on a port of every load balancer process.
    Create {
        /// Name or ARN of the load balancer.
        #[arg(long)]
        load_balancer: String,
        #[arg(long)]
        port: i32,
        /// What happens to requests that no rule takes.
        #[command(flatten)]
        action: action::Args,
    },
    /// Change what happens to requests that no rule takes.
    Modify {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
        #[command(flatten)]
        action: action::Args,
    },
    /// List the listeners of every load balancer, or of one.
    #[command(visible_alias = "describe")]
    List {
        #[arg(value_name = "LOAD_BALANCER")]
        load_balancer: Option<String>,
    },
    /// Delete a listener with its rules.
    Delete {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create {
            load_balancer,
            port,
            action,
        } => {
            let load_balancer_arn = name::load_balancer(connection, &load_balancer).await?;
            let request = CreateListenerRequest {
                load_balancer_arn: Some(load_balancer_arn),
                protocol: Some("HTTP".to_owned()),
                port: Some(port),
                default_actions: vec![action.build_one(connection).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.create_listener(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::listeners(&response.listeners)
            })
        }
        Command::Modify { listener, action } => {
            let request = ModifyListenerRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                default_actions: vec![action.build_one(connection).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.modify_listener(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::listeners(&response.listeners)
            })
        }
        Command::List { load_balancer } => {
            let named = load_balancer.into_iter().collect();
            let owners = load_balancer::list(connection, named).await?.load_balancers;
            let mut all = DescribeListenersResponse::default();
            for arn in owners
                .into_iter()
                .filter_map(|owner| owner.load_balancer_arn)
            {
                all.listeners
                    .extend(name::listeners(connection, arn).await?.listeners);
            }
            connection.show(&all, |all| output::elb::listeners(&all.listeners))
        }
        Command::Delete { listener } => {
            let listener_arn = name::listener(connection, &listener).await?;
            let request = DeleteListenerRequest {
                listener_arn: Some(listener_arn),
            };
            let response = connection
                .elb(async |mut elb| elb.delete_listener(request.clone()).await)
                .await?;
            connection.show(&response, |_| format!("listener {listener} is deleted"))
        }
    }
}
