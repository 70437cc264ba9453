//! Containers live on when the agent or containerd is killed, are adopted, and serve all the while.

use std::time::Duration;

use anyhow::ensure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_tests::cluster::Role;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Cluster, eventually};

const TASKS: i32 = 4;
const DEADLINE: Duration = Duration::from_secs(30);

/// What tells one container from another that took its place.
#[derive(Debug, PartialEq)]
struct Running {
    task_arn: Option<String>,
    runtime_id: Option<String>,
    started_at: Option<f64>,
}

#[tokio::test]
async fn containers_live_on_without_their_agent_and_the_next_one_adopts_them() -> anyhow::Result<()>
{
    let mut cluster = Cluster::start().await?;
    let web = Web::start(&cluster.client, TASKS).await?;
    let load = Load::start(Options::new(web.url))?;
    let before = running(&cluster.client, 4).await?;

    cluster.role(Role::Agent)?.kill()?;
    load.wait_for_answers(600).await?;
    cluster.role(Role::Agent)?.start_again()?;

    still_in_hand(&cluster.client, &before).await?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    cluster.finish().await
}

#[tokio::test]
async fn containers_live_on_without_containerd_and_the_agent_finds_them_again() -> anyhow::Result<()>
{
    let mut cluster = Cluster::start().await?;
    let web = Web::start(&cluster.client, TASKS).await?;
    let load = Load::start(Options::new(web.url))?;
    let before = running(&cluster.client, 4).await?;

    let killed = cluster.containerd()?;
    ensure!(killed.len() == 1, "one containerd, not {killed:?}");
    kill(Pid::from_raw(killed[0]), Signal::SIGKILL)?;
    load.wait_for_answers(600).await?;
    eventually(DEADLINE, "a new containerd", async || {
        let found = cluster.containerd()?;
        Ok((found.len() == 1 && found != killed).then_some(()))
    })
    .await?;

    still_in_hand(&cluster.client, &before).await?;
    cluster.role(Role::Agent)?.check_running()?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    cluster.finish().await
}

/// Waits until exactly so many tasks run, and returns their containers in the order of the tasks' ARNs.
async fn running(client: &Client, count: usize) -> anyhow::Result<Vec<Running>> {
    let mut tasks = eventually(DEADLINE, "the tasks to run", async || {
        let tasks = client.tasks(WEB, "RUNNING").await?;
        let all = tasks
            .iter()
            .all(|task| task.last_status.as_deref() == Some("RUNNING"));
        Ok((all && tasks.len() == count).then_some(tasks))
    })
    .await?;
    tasks.sort_by(|one, other| one.task_arn.cmp(&other.task_arn));
    Ok(tasks
        .into_iter()
        .map(|task| Running {
            task_arn: task.task_arn,
            runtime_id: task
                .containers
                .into_iter()
                .find_map(|container| container.runtime_id),
            started_at: task.started_at,
        })
        .collect())
}

/// Shows that somebody is in charge: starts one more, still has the same containers, and can replace them.
async fn still_in_hand(client: &Client, before: &[Running]) -> anyhow::Result<()> {
    assert!(
        before
            .iter()
            .all(|container| container.runtime_id.is_some()),
        "{before:?}"
    );
    client.scale(WEB, TASKS + 1).await?;
    let after = running(client, before.len() + 1).await?;
    for container in before {
        assert!(
            after.contains(container),
            "{container:?} is not among {after:?}"
        );
    }
    let revision = client
        .register(web::definition(&[web::container("sample:v2", &[])]))
        .await?;
    client.update_to(WEB, &revision).await?;
    client.wait_for_rollout(WEB, &revision).await?;
    Ok(())
}
