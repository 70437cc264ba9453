//! Handovers of a load balancer that a control plane tells what to do.

use std::fs;

use anyhow::{Context as _, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use roadstead_tests::cluster::Role;
use roadstead_tests::proto::ecs::Task;
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Cluster, eventually};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::alone::{DEADLINE, TAKEN_OVER};
use crate::loads::{answered, loads, without_loss};

#[tokio::test]
async fn five_handovers_in_a_row_and_a_rollout_after_them() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let client = cluster.client.clone();
    let web = Web::start(&client, 3).await?;
    let loads = loads(&web.url)?;
    for _ in 0..5 {
        let balancer = cluster.role(Role::LoadBalancer)?;
        let before = balancer.pid()?;
        balancer.hand_over().await?;
        let after = balancer.pid()?;
        assert_ne!(before, after);
        let owner = fs::read_to_string(cluster.directory().join("lb/ctl.pid"))?;
        assert_eq!(owner.trim(), after.to_string());
        answered(&loads).await?;
    }
    // The last of them speaks for the node: a rollout needs its word on what is healthy, and what has drained.
    let revision = client
        .register(web::definition(&[web::container("sample:v2", &[])]))
        .await?;
    client.update_to(WEB, &revision).await?;
    client.wait_for_rollout(WEB, &revision).await?;
    without_loss(loads).await?;
    cluster.finish().await
}

/// Waits until that many tasks have stopped, of those that shall.
async fn have_stopped(client: &Client, number: usize) -> anyhow::Result<()> {
    eventually(DEADLINE, "tasks that have stopped", async || {
        let tasks = client.tasks(WEB, "STOPPED").await?;
        let stopped = |task: &&Task| task.last_status.as_deref() == Some("STOPPED");
        Ok((tasks.iter().filter(stopped).count() == number).then_some(()))
    })
    .await
}

#[tokio::test]
async fn only_the_task_with_a_tunnel_in_the_predecessor_waits_for_its_end() -> anyhow::Result<()> {
    // Later than that the predecessor says where it still has something.
    let mut cluster = Cluster::start_with(&["--stop-timeout", "1s"]).await?;
    let client = cluster.client.clone();
    let web = Web::start(&client, 2).await?;
    // Nothing is to be stopped because its time is over.
    let longer = [
        "target-group",
        "modify",
        WEB,
        "--deregistration-delay",
        "3600",
    ];
    ensure!(cluster.ctl(&longer)?.status.success());
    let stream = TcpStream::connect(web.url.authority()).await?;
    let chat = format!("ws://{}/chat", web.url.authority());
    let (mut tunnel, _) = client_async(chat, stream).await?;
    let balancer = cluster.role(Role::LoadBalancer)?;
    balancer.begin_handover()?;
    eventually(DEADLINE, TAKEN_OVER, async || {
        let log = fs::read_to_string(balancer.log())?;
        Ok(log.contains(TAKEN_OVER).then_some(()))
    })
    .await?;

    client.scale(WEB, 0).await?;
    have_stopped(&client, 1).await?;
    tunnel.send(Message::text("still there?")).await?;
    let said = tunnel.next().await.context("the tunnel has ended")??;
    assert_eq!(said.into_text()?, "still there?");
    have_stopped(&client, 1).await?;
    tunnel.close(None).await?;
    drop(tunnel);
    have_stopped(&client, 2).await?;
    balancer.end_handover().await?;
    cluster.finish().await
}
