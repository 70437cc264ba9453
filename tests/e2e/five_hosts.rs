//! Three servers, two agents and a load balancer on five hosts: what a rollout survives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::{CreateClusterRequest, CreateServiceRequest};
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Hosts, eventually, http};

/// The host with the load balancer, and one of those with an agent.
const LOAD_BALANCER: usize = 0;
const AGENT: usize = 3;
const SERVERS: [usize; 3] = [0, 1, 2];
const DEADLINE: Duration = Duration::from_secs(30);

/// Five hosts, and a service of ten tasks on them under constant load.
async fn under_load() -> anyhow::Result<(Hosts, Client, Load)> {
    let mut hosts = Hosts::five().await?;
    let client = hosts.client()?;
    let web = Web::start(&client, 10).await?;
    let load = Load::start(Options::new(
        web.url_at(hosts.host(LOAD_BALANCER).address()),
    ))?;
    Ok((hosts, client, load))
}

async fn roll_out(client: &Client, image: &str) -> anyhow::Result<()> {
    let revision = begin(client, image).await?;
    complete(client, &revision).await
}

async fn begin(client: &Client, image: &str) -> anyhow::Result<String> {
    let definition = web::definition(&[web::container(image, &[])]);
    let revision = client.register(definition).await?;
    client.update_to(WEB, &revision).await?;
    Ok(revision)
}

async fn complete(client: &Client, revision: &str) -> anyhow::Result<()> {
    let receipt = client.wait_for_rollout(WEB, revision).await?;
    assert_eq!(receipt.failed, Some(0), "{receipt:?}");
    Ok(())
}

/// Returns how many tasks run on each container instance.
async fn spread(client: &Client) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut spread = BTreeMap::new();
    for task in client.tasks(WEB, "RUNNING").await? {
        *spread
            .entry(task.container_instance_arn.unwrap_or_default())
            .or_default() += 1;
    }
    Ok(spread)
}

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

/// Writes, and waits until it is acknowledged.
async fn write(client: &Client, name: &str) -> anyhow::Result<()> {
    eventually(DEADLINE, "a write", async || {
        let request = CreateClusterRequest {
            cluster_name: Some(name.to_owned()),
        };
        client.ecs().await?.create_cluster(request).await?;
        Ok(Some(()))
    })
    .await
}

/// Returns each running task with the time at which it started.
async fn running(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let tasks = client.tasks(WEB, "RUNNING").await?;
    let each = tasks.iter().map(|task| {
        let started = task.started_at.unwrap_or_default();
        format!("{} {started}", task.task_arn.as_deref().unwrap_or_default())
    });
    Ok(each.collect())
}

#[tokio::test]
async fn traffic_goes_on_without_any_server_and_nothing_acknowledged_is_lost() -> anyhow::Result<()>
{
    const SECOND: usize = 1;
    let mut hosts = Hosts::five().await?;
    hosts.start_load_balancer(SECOND).await?;
    let client = hosts.client()?;
    let web = Web::start(&client, 6).await?;
    let load = Load::start(Options::new(
        web.url_at(hosts.host(LOAD_BALANCER).address()),
    ))?;
    let before = running(&client).await?;
    write(&client, "acknowledged").await?;
    for host in SERVERS {
        hosts.host(host).role(Role::Server)?.kill()?;
    }

    let second = hosts.host(SECOND);
    second.role(Role::LoadBalancer)?.kill()?;
    second.role(Role::LoadBalancer)?.start_again()?;
    let url = web.url_at(second.address());
    eventually(
        DEADLINE,
        "the load balancer with its last table",
        async || {
            let answer = http::get(&url, DEADLINE).await?;
            Ok((answer.status == 200).then_some(()))
        },
    )
    .await?;

    for host in SERVERS {
        hosts.host(host).role(Role::Server)?.start_again()?;
    }
    write(&client, "afterwards").await?;
    assert!(client.clusters().await?.contains("acknowledged"));
    assert_eq!(before.len(), 6);
    assert_eq!(running(&client).await?, before, "a task was restarted");
    roll_out(&client, "sample:v2").await?;
    let report = load.stop();
    assert_eq!(report.failed, 0, "{report}");
    hosts.finish().await
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_replaced_and_its_surplus_stops_when_it_is_back()
-> anyhow::Result<()> {
    const TASKS: usize = 6;
    /// The promises: traffic gone in three seconds, tasks elsewhere in six. The deadlines leave room for a busy machine.
    const SOON: Duration = Duration::from_secs(12);
    let mut hosts = Hosts::five().await?;
    let client = hosts.client()?;
    let web = Web::start(&client, i32::try_from(TASKS)?).await?;
    let url = web.url_at(hosts.host(LOAD_BALANCER).address());
    let lost = hosts.host(AGENT).container_instance_id()?;
    let elsewhere = async || {
        let tasks = client.tasks(WEB, "RUNNING").await?;
        let there = tasks.iter().filter(|task| {
            let on = task.container_instance_arn.as_deref().unwrap_or_default();
            task.last_status.as_deref() == Some("RUNNING") && !on.ends_with(&lost)
        });
        anyhow::Ok(there.count())
    };

    hosts.host(AGENT).cut_off()?;
    eventually(SOON, "traffic that stays with the other host", async || {
        for _ in 0..2 * TASKS {
            http::get(&url, Duration::from_millis(500)).await?;
        }
        Ok(Some(()))
    })
    .await?;
    eventually(SOON, "all tasks on the other host", async || {
        Ok((elsewhere().await? == TASKS).then_some(()))
    })
    .await?;

    hosts.host(AGENT).heal()?;
    // As many tasks as are too many stop, on the host that has more of them.
    eventually(DEADLINE, "the end of the surplus", async || {
        let running = running(&client).await?.len();
        let stopping = client.tasks(WEB, "STOPPED").await?;
        let ended = stopping
            .iter()
            .all(|task| task.last_status.as_deref() == Some("STOPPED"));
        Ok((ended && running == TASKS).then_some(()))
    })
    .await?;
    http::get(&url, DEADLINE).await?;
    hosts.finish().await
}

#[tokio::test]
async fn a_server_that_is_cut_off_refuses_and_catches_up() -> anyhow::Result<()> {
    let mut hosts = Hosts::new(3)?;
    hosts.start_control_plane(&SERVERS).await?;
    let client = hosts.client()?;
    for round in 0..2 {
        let cut_off = hosts.leader().await?;
        hosts.host(cut_off).cut_off()?;
        let name = format!("written-without-{cut_off}-in-{round}");
        write(&client, &name).await?;
        // A list is a linearizable read: it cannot be had without a majority.
        let refused = hosts.host(cut_off).ctl(&["cluster", "list"], "");
        let said = refused.expect_err("a minority answers no read").to_string();
        assert!(said.contains("quorum") || said.contains("leader"), "{said}");
        let refused = hosts.host(cut_off).ctl(&["cluster", "create", "lost"], "");
        let said = refused.expect_err("a minority takes no write").to_string();
        assert!(said.contains("quorum") || said.contains("leader"), "{said}");
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
async fn the_loss_of_the_leaders_host_restarts_nothing() -> anyhow::Result<()> {
    const TASKS: i32 = 4;
    let mut hosts = Hosts::five().await?;
    let client = hosts.client()?;
    // No load balancer sees these: only their agents can tell how they fare.
    let revision = client
        .register(web::definition(&[web::container("sample:v1", &[])]))
        .await?;
    let request = CreateServiceRequest {
        service_name: Some(WEB.to_owned()),
        task_definition: Some(revision),
        desired_count: Some(TASKS),
        ..CreateServiceRequest::default()
    };
    client.ecs().await?.create_service(request).await?;
    until_running(&client, TASKS).await?;
    let before = running(&client).await?;

    // Without power nobody says goodbye: the agents notice by themselves.
    let leader = hosts.leader().await?;
    hosts.host(leader).cut_off()?;
    write(&client, "without-the-leader").await?;
    client.scale(WEB, TASKS + 2).await?;
    until_running(&client, TASKS + 2).await?;
    let after = running(&client).await?;
    assert!(after.is_superset(&before), "{before:?} became {after:?}");

    hosts.host(leader).heal()?;
    hosts.finish().await
}

/// Waits until so many tasks of the service are RUNNING.
async fn until_running(client: &Client, count: i32) -> anyhow::Result<()> {
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
