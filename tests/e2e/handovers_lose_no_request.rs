//! A load balancer is told to hand over: its successor has the next request, and no client notices.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_tests::cluster::Role;
use roadstead_tests::http::{self, Url};
use roadstead_tests::leftovers::{processes, runs};
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::{self, WEB, Web, free_port};
use roadstead_tests::{Cluster, Process, binaries, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longer than a successor may take.
const DEADLINE: Duration = Duration::from_secs(45);

/// One client keeps its connections, the other opens one for each request.
fn loads(url: &Url) -> anyhow::Result<[Load; 2]> {
    let kept = Options::new(url.clone());
    let anew = Options {
        keep_alive: false,
        connections: NonZeroUsize::new(8).expect("8 is not zero"),
        ..kept.clone()
    };
    Ok([Load::start(kept)?, Load::start(anew)?])
}

async fn answered(loads: &[Load]) -> anyhow::Result<()> {
    for load in loads {
        load.wait_for_answers(300).await?;
    }
    Ok(())
}

async fn without_loss(loads: [Load; 2]) -> anyhow::Result<()> {
    for load in loads {
        // It waits for the last answers, which targets on this thread have to give.
        let report = tokio::task::spawn_blocking(|| load.stop()).await?;
        assert_eq!(report.failed, 0, "{report}");
    }
    Ok(())
}

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

/// A load balancer with a table file, and a target that answers `/slow` when it is let go.
struct Alone {
    balancer: Process,
    directory: PathBuf,
    url: Url,
    arrivals: watch::Receiver<usize>,
    release: watch::Sender<bool>,
}

impl Alone {
    async fn start(name: &str) -> anyhow::Result<Self> {
        Self::start_with(name, "false").await
    }

    async fn start_with(name: &str, health_check: &str) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&directory)?;
        let (arrived, arrivals) = watch::channel(0);
        let (release, gate) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let target = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, arrived.clone(), gate.clone()));
            }
        });
        let port = free_port()?;
        let table = format!(
            "[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"web\"\n\n\
             [[target_group]]\nname = \"web\"\ntargets = [\"{target}\"]\nhealth_check = {health_check}\n"
        );
        fs::write(directory.join("table.toml"), table)?;
        configure(&directory, "workers = 2")?;
        let config = directory.join("lb.toml").display().to_string();
        let log = directory.join("lb.log");
        let program = directory.join("ctl");
        symlink(binaries::ctl(), &program)?;
        let arguments = ["lb", "--config", &config];
        let alone = Self {
            balancer: Process::start("lb", &program, arguments, log)?,
            directory,
            url: Url::local(port, "/"),
            arrivals,
            release,
        };
        let url = alone.url.clone();
        eventually(DEADLINE, "an answer", async || {
            Ok(http::get(&url, DEADLINE).await.ok())
        })
        .await?;
        Ok(alone)
    }

    /// Waits until its log has said this so often.
    async fn has_said(&self, text: &str, times: usize) -> anyhow::Result<()> {
        let log = self.balancer.log();
        eventually(DEADLINE, text, async || {
            let said = fs::read_to_string(log)?.matches(text).count();
            Ok((said >= times).then_some(()))
        })
        .await
    }

    /// Puts another program under the name of the load balancer's, as an upgrade does.
    fn replace_program(&self, script: &str) -> anyhow::Result<()> {
        let next = self.directory.join("next");
        fs::write(&next, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755))?;
        Ok(fs::rename(next, self.directory.join("ctl"))?)
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        assert!(self.balancer.terminate().await?.success());
        Ok(fs::remove_dir_all(&self.directory)?)
    }
}

fn configure(directory: &Path, settings: &str) -> anyhow::Result<()> {
    let table = directory.join("table.toml");
    let text = format!(
        "table = \"{}\"\nbind = \"127.0.0.1\"\n{settings}\n",
        table.display()
    );
    Ok(fs::write(directory.join("lb.toml"), text)?)
}

async fn answer(
    mut stream: TcpStream,
    arrived: watch::Sender<usize>,
    mut gate: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await? > 0 {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET /slow ") {
            arrived.send_modify(|number| *number += 1);
            gate.wait_for(|open| *open).await?;
        }
        head.clear();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_began_before_is_answered_by_the_old_process() -> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-slow").await?;
    let slow = alone.url.path("/slow");
    let slow = tokio::spawn(async move { http::get(&slow, DEADLINE).await });
    alone.arrivals.wait_for(|arrived| *arrived == 1).await?;
    let old = alone.balancer.pid()?;
    alone.balancer.begin_handover()?;
    alone
        .has_said("taken over; the predecessor ends its requests", 1)
        .await?;
    assert_eq!(http::get(&alone.url, DEADLINE).await?.text(), "hello");
    // As everything in a unit gets it, when that is stopped meanwhile.
    alone.balancer.signal(Signal::SIGTERM)?;
    assert!(runs(old));
    alone.release.send_replace(true);
    assert_eq!(slow.await??.text(), "hello");
    alone.balancer.end_handover().await?;
    assert_ne!(alone.balancer.pid()?, old);
    alone.finish().await
}

#[tokio::test]
async fn the_number_of_workers_may_change() -> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-workers").await?;
    let loads = loads(&alone.url)?;
    for workers in [5, 1, 3] {
        configure(&alone.directory, &format!("workers = {workers}"))?;
        alone.balancer.hand_over().await?;
        answered(&loads).await?;
    }
    without_loss(loads).await?;
    alone.finish().await
}

#[tokio::test]
async fn a_successor_that_cannot_start_leaves_the_old_one_serving() -> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-failed").await?;
    let loads = loads(&alone.url)?;
    let old = alone.balancer.pid()?;
    configure(&alone.directory, "workers = \"many\"")?;
    alone.balancer.begin_handover()?;
    alone.has_said("not handed over; serving on", 1).await?;
    configure(&alone.directory, "workers = 2")?;
    fs::rename(
        alone.directory.join("table.toml"),
        alone.directory.join("away"),
    )?;
    alone.balancer.begin_handover()?;
    alone.has_said("not handed over; serving on", 2).await?;
    answered(&loads).await?;
    assert_eq!(alone.balancer.pid()?, old);
    let log = fs::read_to_string(alone.balancer.log())?;
    assert!(
        log.contains("the successor ended with exit status: 64"),
        "{log}"
    );

    fs::rename(
        alone.directory.join("away"),
        alone.directory.join("table.toml"),
    )?;
    alone.balancer.hand_over().await?;
    answered(&loads).await?;
    without_loss(loads).await?;
    alone.finish().await
}

#[tokio::test]
async fn the_program_that_is_there_now_is_started_and_given_up_when_it_is_not_ready_in_time()
-> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-replaced").await?;
    let loads = loads(&alone.url)?;
    let old = alone.balancer.pid()?;
    for (script, outcome) in [
        ("exit 7", "the successor ended with exit status: 7"),
        ("exec sleep 600", "the successor was not ready within 30 s"),
    ] {
        alone.replace_program(script)?;
        alone.balancer.begin_handover()?;
        alone.has_said(outcome, 1).await?;
    }
    assert_eq!(alone.balancer.pid()?, old);
    let program = alone.directory.join("ctl");
    fs::remove_file(&program)?;
    symlink(binaries::ctl(), &program)?;
    alone.balancer.hand_over().await?;
    answered(&loads).await?;
    without_loss(loads).await?;
    alone.finish().await
}

#[tokio::test]
async fn stopping_in_the_middle_of_a_handover_stops_both() -> anyhow::Result<()> {
    // Nobody answers its probes, so a successor is not ready for a while.
    let check = "{ path = \"/slow\" }";
    let mut alone = Alone::start_with("rs-handover-stopped", check).await?;
    alone.balancer.begin_handover()?;
    let line = alone.directory.join("lb.toml").display().to_string();
    eventually(DEADLINE, "a successor", async || {
        Ok((processes(&line)?.len() == 2).then_some(()))
    })
    .await?;
    alone.has_said("listening", 2).await?;
    assert_eq!(http::get(&alone.url, DEADLINE).await?.text(), "hello");
    assert!(alone.balancer.terminate().await?.success());
    assert_eq!(processes(&line)?.len(), 0);
    let log = fs::read_to_string(alone.balancer.log())?;
    assert!(log.contains("this process is stopping"), "{log}");
    Ok(fs::remove_dir_all(&alone.directory)?)
}

/// The process of its line that is not the one which was started first.
fn successor(alone: &mut Alone) -> anyhow::Result<Pid> {
    let old = i32::try_from(alone.balancer.pid()?)?;
    let line = alone.directory.join("lb.toml").display().to_string();
    let found = processes(&line)?;
    let others: Vec<_> = found.iter().filter(|one| one.pid != old).collect();
    let [successor] = others.as_slice() else {
        bail!("no successor of {old}, or several: {found:?}");
    };
    Ok(Pid::from_raw(successor.pid))
}

#[tokio::test]
async fn an_order_that_comes_during_a_handover_is_for_the_successor() -> anyhow::Result<()> {
    // Nobody answers its probes, so a successor is not ready for a while.
    let check = "{ path = \"/slow\" }";
    let mut alone = Alone::start_with("rs-handover-twice", check).await?;
    alone.balancer.begin_handover()?;
    alone.has_said("handing over to a successor", 1).await?;
    alone.balancer.begin_handover()?;
    alone.release.send_replace(true);
    alone.has_said("passed on to the successor", 1).await?;
    alone
        .has_said("taken over; the predecessor ends its requests", 2)
        .await?;
    alone.has_said("the predecessor has ended", 2).await?;
    alone.balancer.end_handover().await?;
    assert_eq!(http::get(&alone.url, DEADLINE).await?.text(), "hello");
    alone.finish().await
}

#[tokio::test]
async fn a_successor_that_dies_leaves_nobody_who_seems_to_serve() -> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-died").await?;
    let slow = alone.url.path("/slow");
    let slow = tokio::spawn(async move { http::get(&slow, DEADLINE).await });
    alone.arrivals.wait_for(|arrived| *arrived == 1).await?;
    alone.balancer.begin_handover()?;
    alone
        .has_said("taken over; the predecessor ends its requests", 1)
        .await?;
    let successor = successor(&mut alone)?;
    kill(successor, Signal::SIGKILL)?;
    // Though its request has not ended: whatever starts it again waits for its end.
    let status = alone.balancer.ended(DEADLINE).await?;
    assert_eq!(status.code(), Some(1));
    assert!(slow.await?.is_err());
    alone
        .has_said("the successor has ended with signal: 9", 1)
        .await?;
    Ok(fs::remove_dir_all(&alone.directory)?)
}
