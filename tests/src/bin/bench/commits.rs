//! Writes through raft to the disk: CreateCluster, answered when the log entry is on the disk and applied. The time
//! includes gRPC over the Unix socket.

use std::time::{Duration, Instant};

use roadstead_tests::Client;
use roadstead_tests::proto::ecs::CreateClusterRequest;
use tokio::task::JoinSet;

use crate::samples::{Samples, millis};

pub(crate) async fn measure(client: &Client, seconds: u64) -> anyhow::Result<()> {
    println!("\n| writers | commits per second | median ms | p99 ms |\n|---|---|---|---|");
    for writers in [1, 64] {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut running = JoinSet::new();
        for writer in 0..writers {
            running.spawn(write(client.clone(), format!("{writers}-{writer}"), until));
        }
        let mut all = Samples::default();
        for written in running.join_all().await {
            all.extend(written?);
        }
        println!(
            "| {writers} | {:.0} | {:.2} | {:.2} |",
            all.len() as f64 / Duration::from_secs(seconds).as_secs_f64(),
            millis(all.median()),
            millis(all.quantile(0.99)),
        );
    }
    Ok(())
}

async fn write(client: Client, name: String, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut ecs = client.ecs().await?;
    let mut written = Vec::new();
    while Instant::now() < until {
        let request = CreateClusterRequest {
            cluster_name: Some(format!("{name}-{}", written.len())),
        };
        let begun = Instant::now();
        ecs.create_cluster(request).await?;
        written.push(begun.elapsed());
    }
    Ok(written)
}
