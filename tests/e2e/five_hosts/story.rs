//! What the stories have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::CreateClusterRequest;
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Hosts, eventually};

/// The host with the load balancer, and one of those with an agent.
pub(crate) const LOAD_BALANCER: usize = 0;
pub(crate) const AGENT: usize = 3;
pub(crate) const SERVERS: [usize; 3] = [0, 1, 2];
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Five hosts, and a service of ten tasks on them under constant load.
pub(crate) async fn under_load() -> anyhow::Result<(Hosts, Client, Load)> {
    let mut hosts = Hosts::five().await?;
    let client = hosts.client()?;
    let web = Web::start(&client, 10).await?;
    let load = Load::start(Options::new(
        web.url_at(hosts.host(LOAD_BALANCER).address()),
    ))?;
    Ok((hosts, client, load))
}

pub(crate) async fn roll_out(client: &Client, image: &str) -> anyhow::Result<()> {
    let revision = begin(client, image).await?;
    complete(client, &revision).await
}

pub(crate) async fn begin(client: &Client, image: &str) -> anyhow::Result<String> {
    let definition = web::definition(&[web::container(image, &[])]);
    let revision = client.register(definition).await?;
    client.update_to(WEB, &revision).await?;
    Ok(revision)
}

pub(crate) async fn complete(client: &Client, revision: &str) -> anyhow::Result<()> {
    let receipt = client.wait_for_rollout(WEB, revision).await?;
    assert_eq!(receipt.failed, Some(0), "{receipt:?}");
    Ok(())
}

/// Returns how many tasks run on each container instance.
pub(crate) async fn spread(client: &Client) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut spread = BTreeMap::new();
    for task in client.tasks(WEB, "RUNNING").await? {
        *spread
            .entry(task.container_instance_arn.unwrap_or_default())
            .or_default() += 1;
    }
    Ok(spread)
}

/// Writes, and waits until it is acknowledged.
pub(crate) async fn write(client: &Client, name: &str) -> anyhow::Result<()> {
    eventually(DEADLINE, "a write", async || {
        let request = CreateClusterRequest {
            cluster_name: Some(name.to_owned()),
        };
        let created = client.ecs().await?.create_cluster(request).await;
        Ok(client.learned(created).map(|_| Some(()))?)
    })
    .await
}

/// Returns each running task with the time at which it started.
pub(crate) async fn running(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let tasks = client.tasks(WEB, "RUNNING").await?;
    let each = tasks.iter().map(|task| {
        let started = task.started_at.unwrap_or_default();
        format!("{} {started}", task.task_arn.as_deref().unwrap_or_default())
    });
    Ok(each.collect())
}

/// Waits until so many tasks of the service are RUNNING.
pub(crate) async fn until_running(client: &Client, count: i32) -> anyhow::Result<()> {
    let count = usize::try_from(count)?;
    eventually(2 * DEADLINE, "the tasks", async || {
        let tasks = client.tasks(WEB, "RUNNING").await?;
        let there = tasks
            .iter()
            .filter(|task| task.last_status.as_deref() == Some("RUNNING"));
        Ok((there.count() == count).then_some(()))
    })
    .await
}
