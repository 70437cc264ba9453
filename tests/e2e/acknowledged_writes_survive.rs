//! What was acknowledged is there after kill -9, however often.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::proto::ecs::CreateClusterRequest;
use roadstead_tests::{Cluster, eventually};

const DEADLINE: Duration = Duration::from_secs(20);
const KILLS: usize = 5;
const WRITES: usize = 40;

#[tokio::test]
async fn every_acknowledged_write_is_there_after_kill_9() -> anyhow::Result<()> {
    let mut cluster = Cluster::control_plane_alone().await?;
    let mut acknowledged = BTreeSet::from(["default".to_owned()]);
    for round in 0..KILLS {
        let mut ecs = cluster.client.ecs().await?;
        for index in 0..WRITES {
            let name = format!("round-{round}-write-{index}");
            let request = CreateClusterRequest {
                cluster_name: Some(name.clone()),
            };
            ecs.create_cluster(request).await?;
            acknowledged.insert(name);
        }
        // In mid-write: this one may be there afterwards or not, and either is right.
        let in_flight = tokio::spawn(async move {
            let name = Some(format!("in-flight-{round}"));
            ecs.create_cluster(CreateClusterRequest { cluster_name: name })
                .await
        });
        cluster.role(Role::Server)?.kill()?;
        drop(in_flight.await?);
        cluster.role(Role::Server)?.start_again()?;
        eventually(DEADLINE, "the server", async || {
            Ok(cluster.client.clusters().await.ok().map(|_| ()))
        })
        .await?;
    }
    let found = cluster.client.clusters().await?;
    let missing: Vec<_> = acknowledged.difference(&found).collect();
    assert!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    cluster.finish().await
}
