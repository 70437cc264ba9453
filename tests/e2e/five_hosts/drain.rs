//! A host is taken out of service, as before an upgrade of its kernel.

use roadstead_tests::proto::ecs::{Task, UpdateContainerInstancesStateRequest};
use roadstead_tests::web::WEB;
use roadstead_tests::{Client, eventually};

use crate::story::{AGENT, DEADLINE, spread, under_load};

const TASKS: usize = 10;

async fn set_state(client: &Client, instance: &str, status: &str) -> anyhow::Result<()> {
    let request = UpdateContainerInstancesStateRequest {
        container_instances: vec![instance.to_owned()],
        status: Some(status.to_owned()),
        ..UpdateContainerInstancesStateRequest::default()
    };
    let mut ecs = client.ecs().await?;
    let answer = ecs.update_container_instances_state(request).await?;
    assert_eq!(answer.into_inner().failures, []);
    Ok(())
}

/// Returns how many tasks have reached RUNNING and are not told to stop, on all hosts and on the one.
async fn serving(client: &Client, instance: &str) -> anyhow::Result<(usize, usize)> {
    let tasks = client.tasks(WEB, "RUNNING").await?;
    let up = |task: &&Task| task.last_status.as_deref() == Some("RUNNING");
    let up: Vec<_> = tasks.iter().filter(up).collect();
    let there = up.iter().filter(|task| {
        let on = task.container_instance_arn.as_deref().unwrap_or_default();
        on.ends_with(instance)
    });
    Ok((up.len(), there.count()))
}

#[tokio::test]
async fn a_drained_host_gives_its_tasks_away_and_no_request_is_lost() -> anyhow::Result<()> {
    let (mut hosts, client, load) = under_load().await?;
    let drained = hosts.host(AGENT).container_instance_id()?;
    let mut fewest = TASKS;
    set_state(&client, &drained, "DRAINING").await?;
    eventually(3 * DEADLINE, "the tasks on the other host", async || {
        let (all, there) = serving(&client, &drained).await?;
        fewest = fewest.min(all);
        Ok((there == 0 && all == TASKS).then_some(()))
    })
    .await?;
    assert_eq!(fewest, TASKS, "the floor of 100 % was not kept");

    set_state(&client, &drained, "ACTIVE").await?;
    client.scale(WEB, 12).await?;
    eventually(DEADLINE, "new tasks on the host that is back", async || {
        Ok((spread(&client).await?.len() == 2).then_some(()))
    })
    .await?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.finish().await
}
