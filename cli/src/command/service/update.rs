//! `ctl service update` and `ctl service rollback`: change a service, then follow the rollout.

use roadstead_client::proto::ecs::{Service, UpdateServiceRequest, UpdateServiceResponse};

use super::create::Rollout;
use super::{find, revision};
use crate::command::task_definition;
use crate::connection::Connection;
use crate::error::Error;
use crate::{output, rollout};

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    service: String,
    /// Family with or without a revision, or ARN.
    #[arg(long, value_name = "FAMILY[:REVISION]")]
    task_definition: Option<String>,
    /// Registers a new revision, copied from the current one, with this image.
    #[arg(long = "image", value_name = "[CONTAINER=]IMAGE")]
    images: Vec<String>,
    /// How many tasks to keep running.
    #[arg(long, value_name = "COUNT")]
    desired_count: Option<i32>,
    /// Replace the tasks although nothing else changed.
    #[arg(long)]
    force_new_deployment: bool,
    #[command(flatten)]
    rollout: Rollout,
    /// Do not follow the rollout.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    service: String,
    /// Do not follow the rollout.
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(connection: &Connection, update: Update) -> Result<(), Error> {
    let before = find(connection, &update.service).await?;
    let task_definition = if update.images.is_empty() {
        update.task_definition
    } else {
        let from = update
            .task_definition
            .or_else(|| before.task_definition.clone());
        Some(with_images(connection, &from.unwrap_or_default(), &update.images).await?)
    };
    let request = UpdateServiceRequest {
        cluster: connection.cluster.clone(),
        service: Some(update.service),
        desired_count: update.desired_count,
        task_definition,
        deployment_configuration: update.rollout.over(None),
        force_new_deployment: update.force_new_deployment.then_some(true),
        health_check_grace_period_seconds: update.rollout.health_check_grace_period,
    };
    send(connection, &before, request, update.no_wait).await
}

pub(super) async fn roll_back(connection: &Connection, rollback: Rollback) -> Result<(), Error> {
    let before = find(connection, &rollback.service).await?;
    let current = before.task_definition.clone().unwrap_or_default();
    let (family, number) = revision::parse(&current)?;
    let newest_first = task_definition::list(
        connection,
        Some(family.to_owned()),
        Some("ACTIVE".to_owned()),
        Some("DESC"),
    )
    .await?;
    let Some(previous) = revision::previous(&newest_first, number) else {
        return Err(Error::Unfit(format!(
            "service {} has nothing to roll back to: {family}:{number} is the oldest active revision",
            rollback.service
        )));
    };
    let request = UpdateServiceRequest {
        cluster: connection.cluster.clone(),
        service: Some(rollback.service),
        task_definition: Some(previous.to_owned()),
        ..UpdateServiceRequest::default()
    };
    send(connection, &before, request, rollback.no_wait).await
}

/// Registers a copy of a revision with other images, and returns its ARN.
async fn with_images(
    connection: &Connection,
    from: &str,
    images: &[String],
) -> Result<String, Error> {
    let current = task_definition::describe(connection, from).await?;
    let request = revision::with_images(current, images)?;
    let response = task_definition::register(connection, request).await?;
    let arn = response
        .task_definition
        .and_then(|registered| registered.task_definition_arn);
    arn.ok_or_else(|| Error::Unfit("the answer does not name the new revision".to_owned()))
}

async fn send(
    connection: &Connection,
    before: &Service,
    request: UpdateServiceRequest,
    no_wait: bool,
) -> Result<(), Error> {
    let response: UpdateServiceResponse = connection
        .ecs(async |mut ecs| ecs.update_service(request.clone()).await)
        .await?;
    match &response.service {
        Some(after) if !no_wait => rollout::follow(connection, before, after).await,
        _ => connection.show(&response, |response| {
            output::service::services(response.service.as_slice())
        }),
    }
}
