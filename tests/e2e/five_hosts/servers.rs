//! What befalls servers of the control plane.

use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::web::Web;
use roadstead_tests::{Client, Host, Hosts, eventually, http};
use tokio::time::Instant;

use crate::story::{AGENT, DEADLINE, SERVERS, roll_out, write};

type Fault = fn(&Host) -> anyhow::Result<()>;

/// Longer than many elections take.
const LONG: Duration = Duration::from_secs(5);

async fn three() -> anyhow::Result<(Hosts, Client)> {
    let mut hosts = Hosts::new(3)?;
    hosts.start_control_plane(&SERVERS).await?;
    let client = hosts.client()?;
    Ok((hosts, client))
}

#[tokio::test]
async fn a_server_that_is_cut_off_refuses_and_catches_up() -> anyhow::Result<()> {
    let (mut hosts, client) = three().await?;
    // A list is a linearizable read: it cannot be had without a majority. Nor can a write.
    for refused in [
        ["cluster", "list"].as_slice(),
        &["cluster", "create", "lost"],
    ] {
        let cut_off = hosts.leader().await?;
        hosts.host(cut_off).cut_off()?;
        let name = format!("written-without-{cut_off}-{}", refused.len());
        write(&client, &name).await?;
        let refused = hosts.host(cut_off).ctl(refused, "");
        let said = refused.expect_err("a minority decides nothing").to_string();
        assert!(said.contains("quorum"), "{said}");
        hosts.host(cut_off).heal()?;
        let host = hosts.host(cut_off);
        eventually(DEADLINE, "the server that was cut off", async || {
            let listed = host.ctl(&["cluster", "list"], "")?;
            Ok(listed.contains(&name).then_some(()))
        })
        .await?;
    }
    hosts.finish().await
}

#[tokio::test]
async fn who_joined_the_first_server_goes_on_and_starts_again_without_it() -> anyhow::Result<()> {
    const FIRST: usize = 0;
    let mut hosts = Hosts::new(4)?;
    hosts.start_control_plane(&[FIRST]).await?;
    hosts.start_agent(AGENT).await?;
    hosts.start_load_balancer(AGENT).await?;
    hosts.add_servers(FIRST, &[1, 2]).await?;
    let client = hosts.client()?;
    let web = Web::start(&client, 2).await?;

    // The agent and the load balancer were told of the others only while they were at work.
    hosts.host(FIRST).role(Role::Server)?.kill()?;
    write(&client, "without-the-first").await?;
    roll_out(&client, "sample:v2").await?;
    for role in [Role::Agent, Role::LoadBalancer] {
        hosts.host(AGENT).role(role)?.kill()?;
        hosts.host(AGENT).role(role)?.start_again()?;
    }
    roll_out(&client, "sample:v1").await?;
    let url = web.url_at(hosts.host(AGENT).address());
    assert_eq!(http::get(&url, DEADLINE).await?.status, 200);
    hosts.host(FIRST).role(Role::Server)?.start_again()?;
    hosts.finish().await
}

/// Waits for so long while the others go on writing; returns how many writes there were.
async fn write_on(client: &Client, what: &str) -> anyhow::Result<usize> {
    let until = Instant::now() + LONG;
    let mut written = 0;
    while Instant::now() < until {
        write(client, &format!("{what}-{written}")).await?;
        written += 1;
    }
    Ok(written)
}

#[tokio::test]
async fn a_follower_that_comes_back_deposes_nobody() -> anyhow::Result<()> {
    let (mut hosts, client) = three().await?;
    let leader = hosts.leader().await?;
    let follower = (leader + 1) % 3;
    let term = client.term().await?;
    let faults: [(&str, Fault); 3] = [
        ("cut-off", Host::cut_off),
        ("deaf", Host::deafen),
        ("mute", Host::mute),
    ];
    for (name, fault) in faults {
        fault(hosts.host(follower))?;
        let written = write_on(&client, name).await?;
        hosts.host(follower).heal()?;
        let host = hosts.host(follower);
        let last = format!("{name}-{}", written - 1);
        eventually(DEADLINE, "the follower", async || {
            let listed = host.ctl(&["cluster", "list", "-o", "json"], "")?;
            Ok(listed.contains(&last).then_some(()))
        })
        .await?;
        assert_eq!(
            (hosts.leader().await?, client.term().await?),
            (leader, term),
            "after {name}"
        );
    }
    hosts.finish().await
}

#[tokio::test]
async fn a_server_whose_disk_is_full_steps_aside_and_comes_back() -> anyhow::Result<()> {
    let mut hosts = Hosts::new(3)?;
    for host in SERVERS {
        hosts.host(host).limit_disk()?;
    }
    hosts.start_control_plane(&SERVERS).await?;
    let client = hosts.client()?;
    for round in 0..2 {
        // The leader in both rounds: for it the others have to find another.
        let full = hosts.leader().await?;
        let name = format!("before-{round}");
        write(&client, &name).await?;
        hosts.host(full).fill_disk()?;
        eventually(DEADLINE, "its own word", async || {
            let refused = hosts.host(full).ctl(&["cluster", "list"], "");
            let said = refused.err().map(|error| format!("{error:#}"));
            Ok(said
                .filter(|said| said.contains("disk is full"))
                .map(|_| ()))
        })
        .await?;
        write(&client, &format!("without-{round}")).await?;
        eventually(DEADLINE, "the word of the others", async || {
            let members = client.members().await?.into_iter();
            let trouble = members
                .filter_map(|member| member.trouble)
                .collect::<String>();
            Ok(trouble.contains("disk is full").then_some(()))
        })
        .await?;
        assert!(client.clusters().await?.contains(&name));

        hosts.host(full).role(Role::Server)?.check_running()?;
        hosts.host(full).free_disk()?;
        eventually(DEADLINE, "its return", async || {
            let listed = hosts.host(full).ctl(&["cluster", "list"], "")?;
            Ok(listed.contains(&format!("without-{round}")).then_some(()))
        })
        .await?;
        eventually(DEADLINE, "all three", async || {
            let members = client.members().await?;
            Ok(members
                .iter()
                .all(|one| one.trouble.is_none())
                .then_some(()))
        })
        .await?;
    }
    hosts.finish().await
}

#[tokio::test]
async fn a_follower_with_a_slow_disk_holds_up_nobody() -> anyhow::Result<()> {
    let (mut hosts, client) = three().await?;
    let leader = hosts.leader().await?;
    let term = client.term().await?;
    let slow = hosts
        .host((leader + 1) % 3)
        .slow_disk(Duration::from_secs(1))
        .await?;
    // Each write would wait a second or more for it.
    assert!(write_on(&client, "beside-a-slow-one").await? > 20);
    drop(slow);
    assert_eq!(
        (hosts.leader().await?, client.term().await?),
        (leader, term)
    );
    hosts.finish().await
}
