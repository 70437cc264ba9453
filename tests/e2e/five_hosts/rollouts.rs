//! A rollout over two agents, and what happens beside it.

use roadstead_tests::cluster::Role;

use crate::story::{AGENT, begin, complete, roll_out, spread, under_load};

#[tokio::test]
async fn ten_rollouts_over_two_agents_lose_no_request_and_spread_the_tasks() -> anyhow::Result<()> {
    let (hosts, client, load) = under_load().await?;
    for image in ["sample:v2", "sample:v1"].repeat(5) {
        roll_out(&client, image).await?;
        let spread = spread(&client).await?;
        assert_eq!(spread.values().collect::<Vec<_>>(), [&5, &5], "{spread:?}");
    }
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.finish().await
}

#[tokio::test]
async fn a_rollout_survives_the_death_of_each_part() -> anyhow::Result<()> {
    let (mut hosts, client, load) = under_load().await?;

    let leader = hosts.leader().await?;
    let follower = (leader + 1) % 3;
    for (host, role, image) in [
        (leader, Role::Server, "sample:v2"),
        (follower, Role::Server, "sample:v1"),
        (AGENT, Role::Agent, "sample:v2"),
    ] {
        let revision = begin(&client, image).await?;
        hosts.host(host).role(role)?.kill()?;
        if role == Role::Agent {
            hosts.host(host).role(role)?.start_again()?;
        }
        complete(&client, &revision).await?;
        if role == Role::Server {
            hosts.host(host).role(role)?.start_again()?;
        }
    }
    let revision = begin(&client, "sample:v1").await?;
    hosts.host(AGENT).kill_containerd()?;
    complete(&client, &revision).await?;

    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.finish().await
}
