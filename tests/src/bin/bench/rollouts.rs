//! A rollout of ten tasks behind the load balancer, with at most twelve running, under 300 requests a second.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_tests::Client;
use roadstead_tests::load::{Load, Options};
use roadstead_tests::proto::ecs::{DeploymentConfiguration, Task, UpdateServiceRequest};
use roadstead_tests::web::{self, WEB, Web};

use crate::samples::{Samples, heading, millis};

/// What Docker Swarm took on the first machine: start-first, two at a time (docs/benchmarks.md).
const SWARM: Duration = Duration::from_millis(4100);

/// Measures on the tasks' host, or hosts; the load balancer is at `at`.
pub(crate) async fn measure(
    client: &Client,
    at: Ipv4Addr,
    hosts: &str,
    rounds: usize,
) -> anyhow::Result<()> {
    let web = Web::start(client, 10).await?;
    let request = UpdateServiceRequest {
        service: Some(WEB.to_owned()),
        deployment_configuration: Some(DeploymentConfiguration {
            maximum_percent: Some(120),
            minimum_healthy_percent: Some(100),
        }),
        ..UpdateServiceRequest::default()
    };
    client.ecs().await?.update_service(request).await?;
    let load = Load::start(Options::new(web.url_at(at)))?;
    let mut durations = Samples::default();
    let mut steps = Steps::default();
    for image in ["sample:v2", "sample:v1"].iter().cycle().take(rounds) {
        let definition = web::definition(&[web::container(image, &[])]);
        let revision = client.register(definition).await?;
        client.update_to(WEB, &revision).await?;
        let receipt = client.wait_for_rollout(WEB, &revision).await?;
        let millis = u64::try_from(receipt.duration_ms.unwrap_or_default())?;
        durations.push(Duration::from_millis(millis));
        let started = client.tasks(WEB, "RUNNING").await?;
        let stopped = client.tasks(WEB, "STOPPED").await?;
        steps.take_in(&started, &stopped, &revision)?;
    }
    let report = load.stop();
    ensure!(report.failed == 0, "{report}");
    let mut swarm = Samples::default();
    swarm.push(SWARM);
    let what = format!("rollout of 10 tasks on {hosts}, at most 12 running");
    heading(&what, "Swarm on one");
    println!("{}", durations.row("service update", &swarm));
    steps.print();
    println!("\nUnder it, the client counted:\n\n```\n{report}```");
    Ok(())
}

/// Where the time of the rollouts goes, by the times that the tasks carry.
#[derive(Debug, Default)]
struct Steps {
    launch: Samples,
    health: Samples,
    drain: Samples,
    /// What has stopped in earlier rollouts.
    seen: BTreeSet<String>,
}

impl Steps {
    /// Takes in one rollout: the tasks that it started and, of those that have stopped, the new ones.
    fn take_in(
        &mut self,
        started: &[Task],
        stopped: &[Task],
        revision: &str,
    ) -> anyhow::Result<()> {
        let arn = |task: &Task| task.task_arn.clone().unwrap_or_default();
        let started: Vec<&Task> = started
            .iter()
            .filter(|task| task.task_definition_arn.as_deref() == Some(revision))
            .collect();
        let stopped: Vec<&Task> = stopped
            .iter()
            .filter(|task| self.seen.insert(arn(task)))
            .collect();
        ensure!(
            started.len() == stopped.len(),
            "{} tasks started and {} stopped",
            started.len(),
            stopped.len()
        );
        let running = sorted(&started, |task| task.started_at)?;
        let stopping = sorted(&stopped, |task| task.stopping_at)?;
        for task in &started {
            self.launch.push(between(task.created_at, task.started_at)?);
        }
        for task in &stopped {
            let ended = task.execution_stopped_at.or(task.stopped_at);
            self.drain.push(between(task.stopping_at, ended)?);
        }
        // One old task goes for each new one that is healthy, in order.
        for (running, stopping) in running.into_iter().zip(stopping) {
            self.health.push(between(Some(running), Some(stopping))?);
        }
        Ok(())
    }

    fn print(&self) {
        println!("\n| of each task | median ms | 90 of 100 ms |\n|---|---|---|");
        for (step, samples) in [
            ("placed until RUNNING", &self.launch),
            (
                "RUNNING until healthy, and an old task told to go",
                &self.health,
            ),
            ("told to go until drained and ended", &self.drain),
        ] {
            let (median, most) = (millis(samples.median()), millis(samples.quantile(0.9)));
            println!("| {step} | {median:.0} | {most:.0} |");
        }
    }
}

fn sorted(tasks: &[&Task], time: impl Fn(&Task) -> Option<f64>) -> anyhow::Result<Vec<f64>> {
    let times: Option<Vec<f64>> = tasks.iter().map(|task| time(task)).collect();
    let mut times = times.context("a task lacks a time")?;
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Returns the time between two of a task's times, which are in seconds.
fn between(from: Option<f64>, to: Option<f64>) -> anyhow::Result<Duration> {
    let (from, to) = from.zip(to).context("a task lacks a time")?;
    Ok(Duration::from_secs_f64((to - from).max(0.0)))
}
