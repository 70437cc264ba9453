//! What the load balancer passes on, its target reads as the load balancer did: no request hides in another one (request
//! smuggling). The targets are servers of others.

mod attempt;
mod corpus;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "of the load balancer's own tests, which need more of it"
)]
#[path = "../../../lb/tests/lb/harness/frames.rs"]
mod frames;
mod http2;
mod origins;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use attempt::Verdict;
use corpus::CORPUS;
use origins::NAMES;
use roadstead_tests::web::free_port;
use roadstead_tests::{eventually, front};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

async fn within<F: Future>(future: F) -> F::Output {
    let ended = timeout(DEADLINE, future).await;
    ended.expect("it ends in time")
}

/// Sends bytes; returns what is answered, until `enough` or the end of the connection.
async fn send(
    port: u16,
    bytes: &[u8],
    and_no_more: bool,
    enough: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    // Who refuses the beginning need not take the rest.
    drop(stream.write_all(bytes).await);
    if and_no_more {
        drop(stream.shutdown().await);
    }
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if enough(&text) {
            return Ok(text);
        }
        let read = timeout(DEADLINE, stream.read_buf(&mut answer)).await;
        match read.context("the connection does not end")? {
            Ok(0) | Err(_) => return Ok(text),
            Ok(_) => {}
        }
    }
}

/// Asks as anybody would, and is answered what was asked for.
async fn ask(port: u16, path: &str) -> anyhow::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let answer = send(port, request.as_bytes(), false, is_whole).await?;
    let head = answer.to_ascii_lowercase();
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    let line = head.lines().find(|line| line.starts_with("x-path:"));
    ensure!(
        line.is_some_and(|line| line.split_whitespace().any(|word| word == path)),
        "{path} has the answer of another request: {answer}"
    );
    Ok(())
}

/// Asks often enough to meet every connection that an attempt may have left behind.
async fn ask_as_others(port: u16, path: &str, attempt: &str) -> anyhow::Result<()> {
    for other in 0..3 {
        let asked = ask(port, &format!("{path}/{other}")).await;
        asked.with_context(|| format!("after {attempt}"))?;
    }
    Ok(())
}

/// Each of the servers answers `ok`.
fn is_whole(answer: &str) -> bool {
    answer.ends_with("\r\n\r\nok")
}

/// Returns the requests that were passed on, by the load balancer's own log.
fn passed_on(log: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(log)?;
    let mut passed_on = Vec::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        if !line["target"].is_null() {
            let (method, path) = (&line["method"], line["path"].as_str().unwrap_or_default());
            // In absolute form the host is not part of it.
            let path = path.strip_prefix("http://a.example").unwrap_or(path);
            passed_on.push(format!("{} {path}", method.as_str().unwrap_or_default()));
        }
    }
    Ok(passed_on)
}

/// What broke off is seen by some and by others not.
fn whole(mut requests: Vec<String>) -> Vec<String> {
    requests.retain(|request| !request.ends_with("/broken"));
    requests.sort();
    requests
}

async fn nothing_hides_from(name: &'static str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let origin = origins::start(name, folder.path(), free_port()?).await?;
    let (port, log) = (free_port()?, folder.path().join("access.log"));
    let flags = ["--workers", "1", "--access-log", &log.display().to_string()];
    let table = front::table(port, origin.port);
    let mut front = front::start(folder.path(), port, &table, &flags).await?;
    for (number, attempt) in CORPUS.iter().enumerate() {
        let accepted = attempt.verdict == Verdict::Accepted;
        let cut_short = attempt.verdict == Verdict::CutShort;
        let enough = |answer: &str| accepted && is_whole(answer);
        let answer = send(port, &attempt.bytes(), cut_short, enough).await;
        let answer = answer.with_context(|| attempt.name)?;
        let answers = answer.matches("HTTP/1.1 ").count();
        let named = attempt.name;
        match attempt.verdict {
            Verdict::Accepted => {
                let first = answer.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
                ensure!(first.starts_with("HTTP/1.1 200 "), "{named}: {answer}");
            }
            // Its client has gone, and need not be told; but some origins answer before they have read it.
            Verdict::CutShort => ensure!(answers <= 1, "{named}: {answer}"),
            Verdict::Refused | Verdict::BrokenOff => {
                let refused = ["400", "501"].map(|code| format!("HTTP/1.1 {code} "));
                let refused = refused.iter().any(|code| answer.starts_with(code));
                ensure!(answers <= 1, "{named} has several answers: {answer}");
                ensure!(refused, "{named}: {answer}");
            }
        }
        ask_as_others(port, &format!("/other/{number}"), named).await?;
    }
    for (number, attempt) in http2::CORPUS.iter().enumerate() {
        attempt.send(port).await?;
        ask_as_others(port, &format!("/other/2/{number}"), attempt.name).await?;
    }
    front.terminate().await?;
    let expected = whole(passed_on(&log)?);
    ensure!(
        !expected.iter().any(|one| one.contains("smuggled")),
        "{expected:?}"
    );
    let verdicts = CORPUS.iter().map(|attempt| attempt.verdict);
    let verdicts = verdicts.chain(http2::CORPUS.iter().map(|attempt| attempt.verdict));
    let accepted = verdicts.filter(|verdict| *verdict == Verdict::Accepted);
    let attempts = expected.iter().filter(|one| one.ends_with("/attempt"));
    ensure!(
        attempts.clone().count() == accepted.count(),
        "what is refused was passed on: {:?}",
        attempts.collect::<Vec<_>>()
    );
    let but = |all: &[String], others: &[String]| -> Vec<String> {
        let unknown = all.iter().filter(|one| !others.contains(one));
        unknown.cloned().collect()
    };
    // Some of them write their log a little later.
    let whole_log = format!("{name} logs what it was asked");
    eventually(DEADLINE, &whole_log, async || {
        let known = whole(origin.asked()?);
        ensure!(
            known == expected,
            "{name} was asked for {} requests, {} were passed on; only it knows of {:?}, and not of {:?}",
            known.len(),
            expected.len(),
            but(&known, &expected),
            but(&expected, &known)
        );
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn nginx_reads_what_was_meant() -> anyhow::Result<()> {
    nothing_hides_from(NAMES[0]).await
}

#[tokio::test]
async fn apache_reads_what_was_meant() -> anyhow::Result<()> {
    nothing_hides_from(NAMES[1]).await
}

#[tokio::test]
async fn gunicorn_reads_what_was_meant() -> anyhow::Result<()> {
    nothing_hides_from(NAMES[2]).await
}

#[tokio::test]
async fn node_reads_what_was_meant() -> anyhow::Result<()> {
    nothing_hides_from(NAMES[3]).await
}

#[tokio::test]
async fn haproxy_reads_what_was_meant() -> anyhow::Result<()> {
    nothing_hides_from(NAMES[4]).await
}
