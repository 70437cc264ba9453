//! The server is killed in mid-rollout: the load balancer and the tasks serve on, and after its restart the rollout
//! completes.

use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Cluster, eventually};

const DEADLINE: Duration = Duration::from_secs(30);
const TASKS: i32 = 10;

#[tokio::test]
async fn a_rollout_completes_after_its_server_was_killed_and_restarted() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let client = cluster.client.clone();
    let web = Web::start(&client, TASKS).await?;
    let load = Load::start(Options::new(web.url))?;
    let definition = web::definition(&[web::container("sample:v2", &[])]);
    let revision = client.register(definition).await?;
    client.update_to(WEB, &revision).await?;
    let half_way = eventually(DEADLINE, "the middle of the rollout", async || {
        Ok(is_half_way(&client).await?.then_some(()))
    });
    half_way.await?;

    cluster.role(Role::Server)?.kill()?;
    load.wait_for_answers(600).await?;
    assert!(
        client.service_view(WEB).await.is_err(),
        "nobody can have answered"
    );
    cluster.role(Role::Server)?.start_again()?;

    client.wait_for_rollout(WEB, &revision).await?;
    load.wait_for_answers(300).await?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    cluster.finish().await
}

/// True while tasks of both revisions run.
async fn is_half_way(client: &Client) -> anyhow::Result<bool> {
    let service = client.service_view(WEB).await?.service.unwrap_or_default();
    let [new, old] = service.deployments.as_slice() else {
        return Ok(false);
    };
    Ok(new.running_count > Some(0)
        && new.running_count < Some(TASKS)
        && old.running_count > Some(0))
}
