//! A revision that cannot run: its tasks say why in ECS's words, and the old revision serves on.

use std::time::Duration;

use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::{ContainerDefinition, Task};
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Cluster, eventually};

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_image_that_cannot_be_pulled() -> anyhow::Result<()> {
    // Nobody listens on port 1 of this machine.
    let task = stopped_in_rollout_to(web::container("127.0.0.1:1/missing:v1", &[])).await?;
    assert_eq!(task.stop_code.as_deref(), Some("TaskFailedToStart"));
    let reason = task.stopped_reason.unwrap_or_default();
    assert!(reason.starts_with("CannotPullContainerError: "), "{reason}");
    assert_eq!(task.started_at, None);
    Ok(())
}

#[tokio::test]
async fn a_container_that_exits_at_once() -> anyhow::Result<()> {
    let exits = web::container("sample:v2", &[("AT_START", "/exit?code=3")]);
    let task = stopped_in_rollout_to(exits).await?;
    assert_eq!(task.stop_code.as_deref(), Some("EssentialContainerExited"));
    assert_eq!(
        task.stopped_reason.as_deref(),
        Some("Essential container in task exited")
    );
    assert_eq!(task.containers[0].exit_code, Some(3));
    Ok(())
}

#[tokio::test]
async fn a_container_that_is_killed_for_memory() -> anyhow::Result<()> {
    let eats = web::container("sample:v2", &[("AT_START", "/memory?mib=256")]);
    let task = stopped_in_rollout_to(eats).await?;
    assert_eq!(task.stop_code.as_deref(), Some("EssentialContainerExited"));
    assert_eq!(
        task.stopped_reason.as_deref(),
        Some("Essential container in task exited")
    );
    let container = &task.containers[0];
    assert_eq!(container.exit_code, Some(137));
    assert_eq!(
        container.reason.as_deref(),
        Some("OutOfMemoryError: Container killed due to memory usage")
    );
    Ok(())
}

/// Rolls a running service out to a bad revision and back again under load. Returns the first task of the bad
/// revision that stopped, after checking that only the good one ever answered and that no request was lost.
async fn stopped_in_rollout_to(bad: ContainerDefinition) -> anyhow::Result<Task> {
    let cluster = Cluster::start().await?;
    let client = &cluster.client;
    let web = Web::start(client, 2).await?;
    let load = Load::start(Options {
        expect: Some("v1 ".to_owned()),
        ..Options::new(web.url)
    })?;
    let revision = client.register(web::definition(&[bad])).await?;
    client.update_to(WEB, &revision).await?;
    let stopped = eventually(DEADLINE, "a stopped task", async || {
        let tasks = client.tasks(WEB, "STOPPED").await?;
        Ok(tasks.into_iter().find(|task| {
            task.task_definition_arn.as_deref() == Some(revision.as_str())
                && task.last_status.as_deref() == Some("STOPPED")
        }))
    })
    .await?;
    load.wait_for_answers(600).await?;
    client.update_to(WEB, &web.revision).await?;
    client.wait_for_rollout(WEB, &web.revision).await?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    cluster.finish().await?;
    Ok(stopped)
}
