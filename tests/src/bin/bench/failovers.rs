//! The leader of three servers, each on a host of its own, is killed with -9 again and again: the time until a client that knows
//! all three has its next write acknowledged.

use std::time::{Duration, Instant};

use roadstead_tests::cluster::Role;
use roadstead_tests::proto::ecs::CreateClusterRequest;
use roadstead_tests::{Client, Hosts, eventually};

use crate::samples::{Samples, millis};

const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(kills: usize) -> anyhow::Result<()> {
    let mut hosts = Hosts::new(3)?;
    hosts.start_control_plane(&[0, 1, 2]).await?;
    let client = hosts.client()?;
    let mut samples = Samples::default();
    for kill in 0..kills {
        let name = format!("after-{kill}");
        let leader = hosts.leader().await?;
        let killed = Instant::now();
        hosts.host(leader).role(Role::Server)?.kill()?;
        write(&client, &name).await?;
        samples.push(killed.elapsed());
        hosts.host(leader).role(Role::Server)?.start_again()?;
        caught_up(&hosts.client_of(leader)?, &name).await?;
    }
    hosts.finish().await?;
    println!(
        "\n| leader killed {kills} times, until the next acknowledged write | ms |\n|---|---|"
    );
    for (name, part) in [
        ("least", 0.0),
        ("median", 0.5),
        ("p99", 0.99),
        ("most", 1.0),
    ] {
        println!("| {name} | {:.0} |", millis(samples.quantile(part)));
    }
    Ok(())
}

async fn write(client: &Client, name: &str) -> anyhow::Result<()> {
    eventually(DEADLINE, "a write", async || {
        let request = CreateClusterRequest {
            cluster_name: Some(name.to_owned()),
        };
        let created = client.ecs().await?.create_cluster(request).await;
        client.learned(created)?;
        Ok(Some(()))
    })
    .await
}

/// Waits until one server by itself answers with what was written last.
async fn caught_up(server: &Client, name: &str) -> anyhow::Result<()> {
    eventually(DEADLINE, "the killed server", async || {
        Ok(server.clusters().await?.contains(name).then_some(()))
    })
    .await
}
