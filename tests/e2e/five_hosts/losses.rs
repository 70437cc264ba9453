//! Hosts that are lost, and come back.

use std::time::Duration;

use roadstead_tests::cluster::Role;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::CreateServiceRequest;
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Hosts, eventually, http};

use crate::story::{
    AGENT, DEADLINE, LOAD_BALANCER, SERVERS, roll_out, running, until_running, write,
};

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
    // Lost with the host: what it said last is that all is well.
    hosts.start_load_balancer(AGENT).await?;
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
