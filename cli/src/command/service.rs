//! `ctl service`

mod create;
mod revision;
mod update;

use clap::Subcommand;
use roadstead_client::proto::console::{PauseServiceRequest, ResumeServiceRequest};
use roadstead_client::proto::ecs::{
    DeleteServiceRequest, DescribeServicesRequest, DescribeServicesResponse, ListServicesRequest,
    ListServicesResponse, Service,
};

use super::show_found;
use crate::config;
use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::output::{self, Format};

/// DescribeServices takes at most so many (ECS).
const AT_ONCE: usize = 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a service.
    Create(Box<create::Create>),
    /// Change a service, and follow the rollout when that starts one.
    Update(Box<update::Update>),
    /// Go back to the task definition whose rollout completed last before the current one, and follow.
    Rollback(update::Rollback),
    /// List the services.
    List,
    /// Describe services with their deployments and newest events.
    Describe {
        /// Names or ARNs of services.
        #[arg(required = true)]
        services: Vec<String>,
    },
    /// Hold the requests to a service at the load balancers; they go on by themselves when the time is over.
    Pause {
        /// Name or ARN of the service.
        service: String,
        /// 1s to 10m.
        #[arg(long = "for", value_name = "DURATION", default_value = "60s")]
        pause: String,
    },
    /// Let the requests to a paused service go on now.
    Resume {
        /// Name or ARN of the service.
        service: String,
    },
    /// Delete a service.
    Delete {
        /// Name or ARN of the service.
        service: String,
        /// Also when its desired count is above 0.
        #[arg(long)]
        force: bool,
    },
    /// List the events of a service, newest first.
    Events {
        /// Name or ARN of the service.
        service: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create(create) => create::run(connection, *create).await,
        Command::Update(update) => update::run(connection, *update).await,
        Command::Rollback(rollback) => update::roll_back(connection, rollback).await,
        Command::List => list(connection).await,
        Command::Describe { services } => {
            let response = describe(connection, &services).await?;
            let found = (response.services.len(), response.failures.as_slice());
            show_found(connection, &response, found, |response| {
                let views = response.services.iter().map(output::service::service);
                views.collect::<Vec<_>>().join("\n\n")
            })
        }
        Command::Delete { service, force } => {
            let cluster = connection.cluster.clone();
            let request = DeleteServiceRequest {
                cluster,
                service: Some(service),
                force: Some(force),
            };
            let response = connection
                .ecs(async |mut ecs| ecs.delete_service(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::service::services(response.service.as_slice())
            })
        }
        Command::Pause { service, pause } => {
            let request = PauseServiceRequest {
                cluster: connection.cluster.clone(),
                service: Some(service.clone()),
                seconds: Some(config::whole_seconds("for", &pause)?),
            };
            let response = connection
                .console(async |mut console| console.pause_service(request.clone()).await)
                .await?;
            connection.show(&response, |_| {
                format!("requests to {service} wait for {pause}, or until `ctl service resume {service}`")
            })
        }
        Command::Resume { service } => {
            let request = ResumeServiceRequest {
                cluster: connection.cluster.clone(),
                service: Some(service.clone()),
            };
            let response = connection
                .console(async |mut console| console.resume_service(request.clone()).await)
                .await?;
            connection.show(&response, |_| format!("requests to {service} go on"))
        }
        Command::Events { service } => {
            let service = find(connection, &service).await?;
            connection.show(&service.events, |events| output::service::events(events))
        }
    }
}

async fn list(connection: &Connection) -> Result<(), Error> {
    let service_arns = every_page(async |next_token| {
        let cluster = connection.cluster.clone();
        let request = ListServicesRequest {
            cluster,
            next_token,
            max_results: None,
        };
        let page = connection
            .ecs(async |mut ecs| ecs.list_services(request.clone()).await)
            .await?;
        Ok((page.service_arns, page.next_token))
    })
    .await?;
    if connection.format == Format::Json {
        let all = ListServicesResponse {
            service_arns,
            next_token: None,
        };
        return output::write_line(&output::json(&all)?);
    }
    let services = describe(connection, &service_arns).await?.services;
    output::write_line(&output::service::services(&services))
}

async fn describe(
    connection: &Connection,
    services: &[String],
) -> Result<DescribeServicesResponse, Error> {
    let mut all = DescribeServicesResponse::default();
    for some in services.chunks(AT_ONCE) {
        let cluster = connection.cluster.clone();
        let request = DescribeServicesRequest {
            cluster,
            services: some.to_vec(),
        };
        let response = connection
            .ecs(async |mut ecs| ecs.describe_services(request.clone()).await)
            .await?;
        all.services.extend(response.services);
        all.failures.extend(response.failures);
    }
    Ok(all)
}

/// Returns one service. A description lists what is missing; here that is the refusal it would be elsewhere.
async fn find(connection: &Connection, service: &str) -> Result<Service, Error> {
    let response = describe(connection, &[service.to_owned()]).await?;
    response
        .services
        .into_iter()
        .next()
        .ok_or_else(|| Error::Refused {
            message: format!("service not found: {service}"),
            exception: "ServiceNotFoundException".to_owned(),
        })
}
