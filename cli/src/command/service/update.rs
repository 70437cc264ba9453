//! `ctl service update` and `ctl service rollback`: change a service, then follow the rollout.

use roadstead_client::proto::console::WatchServiceRequest;
use roadstead_client::proto::ecs::{Service, UpdateServiceRequest, UpdateServiceResponse};

use super::create::Rollout;
use super::{find, revision};
use crate::command::task_definition;
use crate::connection::{Connection, PATIENCE};
use crate::error::Error;
use crate::{output, rollout};

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or ARN of the service.
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
    /// Name or ARN of the service.
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
    let Some(target) = rollback_target(connection, &rollback.service).await? else {
        let current = before.task_definition.as_deref().unwrap_or("-");
        return Err(Error::Unfit(format!(
            "service {} has nothing to roll back to: no rollout of another task definition than {} has completed",
            rollback.service,
            current.rsplit('/').next().unwrap_or(current)
        )));
    };
    let request = UpdateServiceRequest {
        cluster: connection.cluster.clone(),
        service: Some(rollback.service),
        task_definition: Some(target),
        ..UpdateServiceRequest::default()
    };
    send(connection, &before, request, rollback.no_wait).await
}

/// Asks the control plane where a rollback goes; only it knows which rollouts have completed.
async fn rollback_target(connection: &Connection, service: &str) -> Result<Option<String>, Error> {
    let request = WatchServiceRequest {
        cluster: connection.cluster.clone(),
        service: Some(service.to_owned()),
    };
    let mut views = connection
        .console(async |mut console| console.watch_service(request.clone()).await)
        .await?;
    match tokio::time::timeout(PATIENCE, views.message()).await {
        Ok(Ok(Some(view))) => Ok(view.rollback_task_definition),
        Ok(Ok(None)) => Err(Error::NotReady(format!(
            "the server ended the view of service {service}"
        ))),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(Error::Deadline(PATIENCE)),
    }
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

#[cfg(test)]
mod tests {
    use roadstead_client::proto::console::ServiceView;

    use super::*;
    use crate::connection::fake::{Script, Server};

    #[tokio::test]
    async fn a_rollback_goes_where_the_control_plane_says() {
        for expected in [Some("web:3".to_owned()), None] {
            let folder = tempfile::tempdir().unwrap();
            let view = ServiceView {
                rollback_task_definition: expected.clone(),
                ..ServiceView::default()
            };
            let script = Script {
                views: vec![Ok(view)],
                ..Script::default()
            };
            let (_server, connection) = Server::start(folder.path(), script);
            let target = rollback_target(&connection, "web").await.unwrap();
            assert_eq!(target, expected);
        }
    }
}
