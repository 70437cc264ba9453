//! Handovers of a load balancer that a control plane tells what to do.

use std::fs;

use roadstead_tests::Cluster;
use roadstead_tests::cluster::Role;
use roadstead_tests::web::{self, WEB, Web};

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
