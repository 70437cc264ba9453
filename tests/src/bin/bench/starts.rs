//! From `run task` accepted, or from the update to fifty tasks accepted, until the control plane says RUNNING.

use std::time::{Duration, Instant};

use anyhow::Context;
use roadstead_tests::proto::console::WatchServiceRequest;
use roadstead_tests::proto::ecs::{
    CreateServiceRequest, DescribeTasksRequest, RunTaskRequest, StopTaskRequest,
};
use roadstead_tests::{Client, eventually, web};

use crate::bare::Ctr;
use crate::samples::{Samples, heading};

const SERVICE: &str = "fifty";
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn one(client: &Client, ctr: &Ctr, rounds: usize) -> anyhow::Result<()> {
    let definition = web::definition(&[web::container("sample:v1", &[])]);
    let revision = client.register(definition).await?;
    let (mut bare, mut tasks) = (Samples::default(), Samples::default());
    for round in 0..=rounds {
        let without = ctr.start(1)?;
        let with = run_one(client, &revision).await?;
        // The first round fills the caches.
        if round > 0 {
            bare.push(without);
            tasks.push(with);
        }
    }
    heading("one container, warm image", "ctr");
    println!("{}", bare.row("ctr run -d", &bare));
    println!("{}", tasks.row("run task, accepted to RUNNING", &bare));
    Ok(())
}

pub(crate) async fn fifty(client: &Client, ctr: &Ctr, rounds: usize) -> anyhow::Result<()> {
    let definition = web::definition(&[web::container("sample:v1", &[])]);
    let request = CreateServiceRequest {
        service_name: Some(SERVICE.to_owned()),
        task_definition: Some(client.register(definition).await?),
        desired_count: Some(0),
        ..CreateServiceRequest::default()
    };
    client.ecs().await?.create_service(request).await?;
    let (mut bare, mut tasks) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        bare.push(ctr.start(50)?);
        client.scale(SERVICE, 50).await?;
        let accepted = Instant::now();
        wait_for_running(client, 50).await?;
        tasks.push(accepted.elapsed());
        client.scale(SERVICE, 0).await?;
        eventually(DEADLINE, "the end of the tasks", async || {
            let stopped = client.tasks(SERVICE, "STOPPED").await?;
            let ended = stopped
                .iter()
                .all(|task| task.last_status.as_deref() == Some("STOPPED"));
            let none_left = client.tasks(SERVICE, "RUNNING").await?.is_empty();
            Ok((ended && none_left).then_some(()))
        })
        .await?;
    }
    heading("fifty at once", "ctr");
    println!("{}", bare.row("50 times ctr run -d", &bare));
    println!("{}", tasks.row("service from 0 to 50 tasks RUNNING", &bare));
    Ok(())
}

async fn run_one(client: &Client, revision: &str) -> anyhow::Result<Duration> {
    let mut ecs = client.ecs().await?;
    let request = RunTaskRequest {
        task_definition: Some(revision.to_owned()),
        ..RunTaskRequest::default()
    };
    let answer = ecs.run_task(request).await?.into_inner();
    let accepted = Instant::now();
    let task = answer
        .tasks
        .into_iter()
        .next()
        .context("no task was placed")?;
    let task = task.task_arn.context("a task has an ARN")?;
    wait_for_status(client, &task, "RUNNING", Duration::from_millis(1)).await?;
    let took = accepted.elapsed();
    let request = StopTaskRequest {
        task: Some(task.clone()),
        ..StopTaskRequest::default()
    };
    ecs.stop_task(request).await?;
    wait_for_status(client, &task, "STOPPED", Duration::from_millis(20)).await?;
    Ok(took)
}

/// Looks often, and on one connection: the looks are part of what is measured.
async fn wait_for_status(
    client: &Client,
    task: &str,
    status: &str,
    every: Duration,
) -> anyhow::Result<()> {
    let mut ecs = client.ecs().await?;
    let request = DescribeTasksRequest {
        tasks: vec![task.to_owned()],
        ..DescribeTasksRequest::default()
    };
    let looks = async {
        loop {
            let answer = ecs.describe_tasks(request.clone()).await?.into_inner();
            let found = answer
                .tasks
                .first()
                .and_then(|task| task.last_status.as_deref());
            if found == Some(status) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(every).await;
        }
    };
    tokio::time::timeout(DEADLINE, looks)
        .await
        .with_context(|| format!("{task} did not become {status}"))?
}

async fn wait_for_running(client: &Client, count: i32) -> anyhow::Result<()> {
    let request = WatchServiceRequest {
        service: Some(SERVICE.to_owned()),
        ..WatchServiceRequest::default()
    };
    let mut views = client
        .console()
        .await?
        .watch_service(request)
        .await?
        .into_inner();
    let all_run = async {
        while let Some(view) = views.message().await? {
            if view.service.and_then(|service| service.running_count) == Some(count) {
                return anyhow::Ok(());
            }
        }
        anyhow::bail!("the view of the service ended")
    };
    tokio::time::timeout(DEADLINE, all_run)
        .await
        .context("the tasks did not all run in time")?
}
