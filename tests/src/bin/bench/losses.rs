//! A host with half of ten tasks is cut off, without a word: until no request goes there any more, and until as many tasks as
//! shall run are RUNNING on the other host.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use roadstead_tests::http::{self, Url};
use roadstead_tests::web::{self, WEB, Web};
use roadstead_tests::{Client, Hosts, eventually};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::samples::{Samples, heading};

/// What Docker Swarm took on the first machine until the tasks ran elsewhere (docs/benchmarks.md).
const SWARM: Duration = Duration::from_secs(42);
const LOAD_BALANCER: usize = 0;
const LOST: usize = 3;
const TASKS: usize = 10;
const DEADLINE: Duration = Duration::from_secs(60);
/// A request that takes longer was at the host that is lost: the others take a few milliseconds.
const AT_ONCE: Duration = Duration::from_millis(500);
const ASKING: usize = 16;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(20);
/// Without one request that took long.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn measure(rounds: usize) -> anyhow::Result<()> {
    let mut hosts = Hosts::five().await?;
    let client = hosts.client()?;
    let web = Web::start(&client, i32::try_from(TASKS)?).await?;
    let url = web.url_at(hosts.host(LOAD_BALANCER).address());
    let id = hosts.host(LOST).container_instance_id()?;
    let (mut gone, mut replaced) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        let asking = Asking::start(&url);
        let (there, elsewhere) = running(&client, &id).await?;
        ensure!(
            there == elsewhere,
            "{there} tasks are on the host that is to be lost, and {elsewhere} elsewhere"
        );
        let cut = Instant::now();
        hosts.host(LOST).cut_off()?;
        eventually(DEADLINE, "all tasks elsewhere", async || {
            let (_, elsewhere) = running(&client, &id).await?;
            Ok((elsewhere == TASKS).then_some(()))
        })
        .await?;
        replaced.push(cut.elapsed());
        let last = asking.last_slow_one().await?;
        gone.push(last.map_or(Duration::ZERO, |last| last.saturating_duration_since(cut)));
        hosts.host(LOST).heal()?;
        spread_again(&client).await?;
    }
    hosts.finish().await?;
    let mut swarm = Samples::default();
    swarm.push(SWARM);
    heading("a host with 5 of 10 tasks is cut off", "Swarm");
    println!("{}", gone.row("the last request that went there", &swarm));
    println!("{}", replaced.row("all tasks RUNNING elsewhere", &swarm));
    Ok(())
}

/// Rolls out once more: new tasks are spread evenly over the hosts, the one that is back included.
async fn spread_again(client: &Client) -> anyhow::Result<()> {
    eventually(DEADLINE, "both agents", async || {
        let instances = client.container_instances().await?;
        let connected = instances
            .iter()
            .filter(|one| one.agent_connected == Some(true));
        Ok((connected.count() == 2).then_some(()))
    })
    .await?;
    let definition = web::definition(&[web::container("sample:v1", &[])]);
    let revision = client.register(definition).await?;
    client.update_to(WEB, &revision).await?;
    client.wait_for_rollout(WEB, &revision).await?;
    Ok(())
}

/// Returns how many tasks are RUNNING on a container instance, and how many elsewhere.
async fn running(client: &Client, instance: &str) -> anyhow::Result<(usize, usize)> {
    let tasks = client.tasks(WEB, "RUNNING").await?.into_iter();
    let on = tasks
        .filter(|task| task.last_status.as_deref() == Some("RUNNING"))
        .filter_map(|task| task.container_instance_arn);
    let (there, elsewhere): (Vec<_>, Vec<_>) = on.partition(|arn| arn.ends_with(instance));
    Ok((there.len(), elsewhere.len()))
}

/// Clients that ask all the time, each with a connection for each request.
struct Asking {
    /// When the last request began that was not answered at once.
    slow: Arc<Mutex<Option<Instant>>>,
    clients: JoinSet<()>,
}

impl Asking {
    fn start(url: &Url) -> Self {
        let slow = Arc::default();
        let mut clients = JoinSet::new();
        for _ in 0..ASKING {
            clients.spawn(ask(url.clone(), Arc::clone(&slow)));
        }
        Self { slow, clients }
    }

    /// Waits until all requests are answered at once, and returns when the last one began that was not.
    async fn last_slow_one(mut self) -> anyhow::Result<Option<Instant>> {
        let last = || *self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        eventually(DEADLINE, "answers at once", async || {
            let since = last().unwrap_or(begun).max(begun);
            Ok((since.elapsed() > QUIET).then_some(()))
        })
        .await?;
        let last = last();
        self.clients.shutdown().await;
        Ok(last)
    }
}

async fn ask(url: Url, slow: Arc<Mutex<Option<Instant>>>) {
    loop {
        let begun = Instant::now();
        let answer = http::get(&url, AT_ONCE).await;
        if !answer.is_ok_and(|answer| answer.status == 200) {
            let mut slow = slow.lock().unwrap_or_else(PoisonError::into_inner);
            *slow = (*slow).max(Some(begun));
        }
        sleep(BETWEEN_REQUESTS).await;
    }
}
