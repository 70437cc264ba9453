//! `ctl listener`

use clap::Subcommand;
use roadstead_client::proto::elb::{
    AddListenerCertificatesRequest, CreateListenerRequest, DeleteListenerRequest,
    DescribeListenerCertificatesRequest, DescribeListenersResponse, ModifyListenerRequest,
    RemoveListenerCertificatesRequest,
};

use super::{action, limits, load_balancer, name, protocol};
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
        /// Port that it listens on.
        #[arg(long)]
        port: i32,
        #[command(flatten)]
        protocol: protocol::Args,
        #[command(flatten)]
        limits: limits::Args,
        /// What happens to requests that no rule takes.
        #[command(flatten)]
        action: action::Args,
    },
    /// Change what a listener speaks, what it lets through, or what happens to requests that no rule takes.
    Modify {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
        #[command(flatten)]
        protocol: protocol::Args,
        #[command(flatten)]
        limits: limits::Args,
        #[command(flatten)]
        action: action::Args,
    },
    /// Add a certificate for clients that ask for its names.
    AddCertificate {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
        /// ARN or domain name.
        certificate: String,
    },
    /// Remove a certificate that is not the default one.
    RemoveCertificate {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
        /// ARN or domain name.
        certificate: String,
    },
    /// List the certificates of a listener.
    Certificates {
        /// ARN of the listener, or LOAD_BALANCER:PORT.
        listener: String,
    },
    /// List the listeners of every load balancer, or of one.
    #[command(visible_alias = "describe")]
    List {
        /// Name or ARN of a load balancer; all of them when none is named.
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
            protocol,
            limits,
            action,
        } => {
            let load_balancer_arn = name::load_balancer(connection, &load_balancer).await?;
            let request = CreateListenerRequest {
                load_balancer_arn: Some(load_balancer_arn),
                protocol: Some(protocol.name().unwrap_or("HTTP").to_owned()),
                port: Some(port),
                default_actions: vec![action.build_one(connection).await?],
                certificates: protocol.certificates(connection).await?,
                mutual_authentication: protocol.mutual_authentication()?,
                attributes: limits.attributes(),
            };
            let response = connection
                .elb(async |mut elb| elb.create_listener(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::listeners(&response.listeners)
            })
        }
        Command::Modify {
            listener,
            protocol,
            limits,
            action,
        } => {
            let request = ModifyListenerRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                default_actions: action.build(connection).await?.into_iter().collect(),
                protocol: protocol.name().map(str::to_owned),
                certificates: protocol.certificates(connection).await?,
                mutual_authentication: protocol.mutual_authentication()?,
                attributes: limits.attributes(),
            };
            let nothing = request.default_actions.is_empty() && request.attributes.is_empty();
            if nothing && protocol.is_empty() {
                return Err(Error::Unfit(
                    "give what is to change: an action, --certificate, --plain, --tcp, --client-authority, --rate-limit, --burst, --allow, --deny or --proxy-protocol"
                        .to_owned(),
                ));
            }
            let response = connection
                .elb(async |mut elb| elb.modify_listener(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::listeners(&response.listeners)
            })
        }
        Command::AddCertificate {
            listener,
            certificate,
        } => {
            let request = AddListenerCertificatesRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                certificates: vec![protocol::certificate(connection, &certificate).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.add_listener_certificates(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::certificates(&response.certificates)
            })
        }
        Command::RemoveCertificate {
            listener,
            certificate,
        } => {
            let request = RemoveListenerCertificatesRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
                certificates: vec![protocol::certificate(connection, &certificate).await?],
            };
            let response = connection
                .elb(async |mut elb| elb.remove_listener_certificates(request.clone()).await)
                .await?;
            connection.show(&response, |_| {
                format!("listener {listener} does without certificate {certificate}")
            })
        }
        Command::Certificates { listener } => {
            let request = DescribeListenerCertificatesRequest {
                listener_arn: Some(name::listener(connection, &listener).await?),
            };
            let response = connection
                .elb(async |mut elb| elb.describe_listener_certificates(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::elb::certificates(&response.certificates)
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
