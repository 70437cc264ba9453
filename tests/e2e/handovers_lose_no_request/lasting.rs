//! What has begun goes on in the predecessor, for as long as it may.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use roadstead_tests::leftovers::{processes, runs};
use roadstead_tests::{eventually, http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::alone::{Alone, DEADLINE, TAKEN_OVER};
use crate::conversations::Conversations;

/// What a worker says that has closed connections in the middle of something.
const CUT: &str = "connections are closed with their requests under way";
/// What a predecessor may take to end with a `stop_timeout` of a second.
const STOPPED: Duration = Duration::from_secs(11);

/// Asks once, and keeps the connection.
async fn asked_once(alone: &Alone) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(alone.url.authority()).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: lb\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        assert!(stream.read_buf(&mut answer).await? > 0);
    }
    Ok(stream)
}

#[tokio::test]
async fn what_lasts_goes_on_after_stop_timeout_and_ends_in_order() -> anyhow::Result<()> {
    let settings = "stop_timeout = \"1s\"\nhandover_timeout = \"60s\"";
    let (mut alone, mut lasting) = Conversations::start("rs-handover-lasts", settings).await?;
    let mut unused = asked_once(&alone).await?;
    let old = alone.balancer.pid()?;
    alone.balancer.begin_handover()?;
    alone.has_said(TAKEN_OVER, 1).await?;
    lasting.go_on().await?;
    assert_eq!(http::get(&alone.url, DEADLINE).await?.text(), "hello");
    // The predecessor closes what is unused after five seconds, and then `stop_timeout` has passed.
    assert_eq!(timeout(DEADLINE, unused.read(&mut [0])).await??, 0);
    lasting.go_on().await?;
    assert!(runs(old));
    lasting.end().await?;
    alone.balancer.end_handover().await?;
    assert!(!fs::read_to_string(alone.balancer.log())?.contains(CUT));
    alone.finish().await
}

#[tokio::test]
async fn what_lasts_longer_than_handover_timeout_is_cut() -> anyhow::Result<()> {
    let settings = "handover_timeout = \"1s\"";
    let (mut alone, lasting) = Conversations::start("rs-handover-cut", settings).await?;
    alone.balancer.begin_handover()?;
    lasting.are_cut().await?;
    alone.balancer.end_handover().await?;
    alone.has_said(CUT, 1).await?;
    assert_eq!(http::get(&alone.url, DEADLINE).await?.text(), "hello");
    alone.finish().await
}

/// Hands over while something lasts, sends SIGTERM to the successor, and to the predecessor too if `both`; each must end soon.
async fn stops(name: &str, both: bool) -> anyhow::Result<()> {
    let settings = "stop_timeout = \"1s\"\nhandover_timeout = \"60s\"";
    let (mut alone, lasting) = Conversations::start(name, settings).await?;
    alone.balancer.begin_handover()?;
    alone.has_said(TAKEN_OVER, 1).await?;
    let successor = alone.successor()?;
    kill(successor, Signal::SIGTERM)?;
    if both {
        alone.balancer.signal(Signal::SIGTERM)?;
    }
    assert!(alone.balancer.ended(STOPPED).await?.success());
    lasting.are_cut().await?;
    let line = alone.line();
    eventually(DEADLINE, "the end of both", async || {
        Ok(processes(&line)?.is_empty().then_some(()))
    })
    .await?;
    Ok(fs::remove_dir_all(&alone.directory)?)
}

#[tokio::test]
async fn who_stops_both_waits_for_neither_longer_than_stop_timeout() -> anyhow::Result<()> {
    stops("rs-handover-both", true).await
}

#[tokio::test]
async fn a_predecessor_does_not_outlast_a_successor_that_is_stopped() -> anyhow::Result<()> {
    stops("rs-handover-alone", false).await
}

#[tokio::test]
async fn a_log_that_is_moved_away_is_opened_anew_by_both() -> anyhow::Result<()> {
    let settings = |log: &Path| format!("access_log = \"{}\"", log.display());
    let folder = tempfile::tempdir()?;
    let [log, away] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
    let web = "health_check = false";
    let mut alone = Alone::start_with("rs-handover-log", &settings(&log), web).await?;
    let slow = alone.url.path("/slow");
    let slow = tokio::spawn(async move { http::get(&slow, DEADLINE).await });
    alone.arrivals.wait_for(|arrived| *arrived == 1).await?;
    alone.balancer.begin_handover()?;
    alone.has_said(TAKEN_OVER, 1).await?;
    fs::rename(&log, &away)?;
    // As systemd tells all processes of a unit.
    kill(alone.successor()?, Signal::SIGHUP)?;
    alone.balancer.signal(Signal::SIGHUP)?;
    alone.has_said("the access log is open", 2).await?;
    alone.release.send_replace(true);
    assert_eq!(slow.await??.text(), "hello");
    alone.balancer.end_handover().await?;
    http::get(&alone.url.path("/next"), DEADLINE).await?;
    for path in ["/slow", "/next"] {
        eventually(DEADLINE, path, async || {
            Ok(fs::read_to_string(&log)?.contains(path).then_some(()))
        })
        .await?;
        assert!(!fs::read_to_string(&away)?.contains(path), "{path}");
    }
    alone.finish().await
}
