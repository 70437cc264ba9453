//! What a process that was told to hand over does, and what becomes of its successor.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::signal::{Signal, kill};
use roadstead_tests::certificate::Authority;
use roadstead_tests::http::{self, Tls, Url};
use roadstead_tests::leftovers::{processes, runs};
use roadstead_tests::web::free_port;
use roadstead_tests::{binaries, eventually};

use crate::alone::{Alone, DEADLINE, TAKEN_OVER, configure};
use crate::loads::{answered, loads, loads_in_tls, without_loss};

/// Nobody answers such probes, so a successor is not ready for a while.
const UNANSWERED: &str = "health_check = { path = \"/slow\" }";

#[tokio::test]
async fn a_request_that_began_before_is_answered_by_the_old_process() -> anyhow::Result<()> {
    let mut alone = Alone::start("rs-handover-slow").await?;
    let slow = alone.url.path("/slow");
    let slow = tokio::spawn(async move { http::get(&slow, DEADLINE).await });
    alone.arrivals.wait_for(|arrived| *arrived == 1).await?;
    let old = alone.balancer.pid()?;
    alone.balancer.begin_handover()?;
    alone.has_said(TAKEN_OVER, 1).await?;
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

/// Hands over several times under loads of clients that speak `protocol` in TLS.
async fn hands_over_in_tls(name: &str, protocol: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (authority, trusted) = (Authority::new(name)?, folder.path().join("authority.pem"));
    authority.write(&trusted)?;
    let (chain, key) = authority
        .issue(&["localhost"])?
        .write(folder.path(), "own")?;
    let port = free_port()?;
    let table = format!(
        r#"health_check = false

[[listener]]
port = {port}
certificates = ["own"]
[[listener.rule]]
forward = "web"

[[certificate]]
name = "own"
chain = "{}"
key = "{}"
"#,
        chain.display(),
        key.display()
    );
    let mut alone = Alone::start_with(name, "", &table).await?;
    let tls = Tls::trusting(&trusted, protocol)?;
    let loads = loads_in_tls(&Url::local(port, "/"), tls)?;
    for _ in 0..3 {
        answered(&loads).await?;
        alone.balancer.hand_over().await?;
    }
    answered(&loads).await?;
    without_loss(loads).await?;
    alone.finish().await
}

#[tokio::test]
async fn https_loses_no_request() -> anyhow::Result<()> {
    hands_over_in_tls("rs-handover-https", "http/1.1").await
}

#[tokio::test]
async fn http2_loses_no_request() -> anyhow::Result<()> {
    hands_over_in_tls("rs-handover-http2", "h2").await
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
    let mut alone = Alone::start_with("rs-handover-stopped", "", UNANSWERED).await?;
    alone.balancer.begin_handover()?;
    let line = alone.line();
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

#[tokio::test]
async fn an_order_that_comes_during_a_handover_is_for_the_successor() -> anyhow::Result<()> {
    let mut alone = Alone::start_with("rs-handover-twice", "", UNANSWERED).await?;
    alone.balancer.begin_handover()?;
    alone.has_said("handing over to a successor", 1).await?;
    alone.balancer.begin_handover()?;
    alone.release.send_replace(true);
    alone.has_said("passed on to the successor", 1).await?;
    alone.has_said(TAKEN_OVER, 2).await?;
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
    alone.has_said(TAKEN_OVER, 1).await?;
    let successor = alone.successor()?;
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
