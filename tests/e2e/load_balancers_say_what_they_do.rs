//! A load balancer writes down each request, also when its log is moved away, and says what it does not serve.

use std::fs;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use roadstead_tests::http::{self, Url};
use roadstead_tests::load::{Load, Options};
use roadstead_tests::web::free_port;
use roadstead_tests::{Cluster, Process, binaries, eventually, front};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// Starts the sample service on this port.
async fn sample(folder: &Path, port: u16) -> anyhow::Result<Process> {
    let (program, log) = (binaries::sample_service(), folder.join("sample.log"));
    let port_flag = ["--port".to_owned(), port.to_string()];
    let mut sample = Process::start("sample", &program, port_flag, log)?;
    front::listening(&mut sample, port).await?;
    Ok(sample)
}

/// Returns how many lines a file has; an error if the last is not whole.
fn lines(file: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file)?;
    let number = text.lines().map(serde_json::from_str::<Value>);
    let number = number.collect::<Result<Vec<_>, _>>()?.len();
    Ok(u64::try_from(number)?)
}

/// Waits until a file has lines.
async fn gets_lines(file: &Path) -> anyhow::Result<()> {
    eventually(DEADLINE, "lines in the log", async || {
        Ok((lines(file)? > 0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_log_that_is_moved_away_under_load_lacks_no_line() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (port, target) = (free_port()?, free_port()?);
    let mut sample = sample(folder.path(), target).await?;
    let log = folder.path().join("access.log");
    let table = front::table(port, target);
    let flags = ["--access-log", &log.display().to_string()];
    let mut front = front::start(folder.path(), port, &table, &flags).await?;
    let kept = Options::new(Url::local(port, "/"));
    let anew = Options {
        keep_alive: false,
        connections: NonZeroUsize::new(8).context("8 is not zero")?,
        ..kept.clone()
    };
    let loads = [Load::start(kept)?, Load::start(anew)?];
    let mut moved: Vec<PathBuf> = Vec::new();
    for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
        for load in &loads {
            load.wait_for_answers(300).await?;
        }
        let away = folder.path().join(format!("access.log.{signal}"));
        fs::rename(&log, &away)?;
        front.signal(signal)?;
        gets_lines(&log).await?;
        moved.push(away);
    }
    let mut answered = 0;
    for load in loads {
        let report = load.stop();
        ensure!(report.failed == 0, "{report}");
        answered += report.ok;
    }
    ensure!(front.terminate().await?.success());
    moved.push(log);
    let written = moved
        .iter()
        .map(|file| lines(file))
        .sum::<anyhow::Result<u64>>()?;
    ensure!(
        written == answered,
        "{written} lines of {answered} requests"
    );
    ensure!(sample.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_yet_keeps_nobody_from_being_served() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (port, target) = (free_port()?, free_port()?);
    let mut sample = sample(folder.path(), target).await?;
    let logs = folder.path().join("later");
    let log = logs.join("access.log");
    let table = front::table(port, target);
    let flags = ["--access-log", &log.display().to_string()];
    let mut front = front::start(folder.path(), port, &table, &flags).await?;
    let url = Url::local(port, "/");
    ensure!(http::get(&url, DEADLINE).await?.status == 200);
    fs::create_dir(&logs)?;
    eventually(DEADLINE, "a line", async || {
        ensure!(http::get(&url, DEADLINE).await?.status == 200);
        Ok((lines(&log)? > 0).then_some(()))
    })
    .await?;
    ensure!(front.terminate().await?.success());
    ensure!(sample.terminate().await?.success());
    Ok(())
}

/// Returns a listener of a table that answers by itself.
fn answering(port: u16) -> String {
    format!(
        "[[listener]]\nport = {port}\n[[listener.rule]]\nfixed_response = {{ status = 200, body = \"hello\" }}\n"
    )
}

#[tokio::test]
async fn health_says_which_port_is_taken_until_it_is_free() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (port, metrics) = (free_port()?, free_port()?);
    let flags = ["--metrics", &format!("127.0.0.1:{metrics}")];
    let mut front = front::start(folder.path(), port, &answering(port), &flags).await?;
    let health = Url::local(metrics, "/healthz");
    let ok = async || {
        let answer = http::get(&health, DEADLINE).await?;
        Ok((answer.status == 200 && answer.text() == "ok\n").then_some(()))
    };
    eventually(DEADLINE, "health", ok).await?;

    let somebody = TcpListener::bind("127.0.0.1:0")?;
    let taken = somebody.local_addr()?.port();
    let table = answering(port) + &answering(taken);
    fs::write(folder.path().join("table.toml"), table)?;
    front.signal(Signal::SIGHUP)?;
    let trouble = eventually(DEADLINE, "no health", async || {
        let answer = http::get(&health, DEADLINE).await?;
        Ok((answer.status == 503).then(|| answer.text()))
    })
    .await?;
    ensure!(
        trouble.contains(&format!("port {taken} is not open")),
        "{trouble}"
    );
    ensure!(http::get(&Url::local(port, "/"), DEADLINE).await?.text() == "hello");
    drop(somebody);
    eventually(DEADLINE, "health once more", ok).await?;
    ensure!(http::get(&Url::local(taken, "/"), DEADLINE).await?.text() == "hello");
    ensure!(front.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn status_says_which_port_is_taken_until_it_is_free() -> anyhow::Result<()> {
    let mut cluster = Cluster::control_plane_alone().await?;
    cluster.add_load_balancer(&["--bind", "127.0.0.1"]).await?;
    let somebody = TcpListener::bind("127.0.0.1:0")?;
    let taken = somebody.local_addr()?.port().to_string();
    let listener = ["listener", "create", "--load-balancer", "shop", "--port"];
    let response = [&*taken, "--fixed-response", "200", "--body", "hello"];
    let create: [&[&str]; 2] = [
        &["load-balancer", "create", "shop"],
        &[&listener[..], &response].concat(),
    ];
    for command in create {
        let output = cluster.ctl(command)?;
        ensure!(output.status.success(), "{output:?}");
    }
    let node = || {
        let output = cluster.ctl(&["status", "--output", "json"])?;
        let mut status: Value = serde_json::from_slice(&output.stdout)?;
        anyhow::Ok(status["loadBalancers"][0].take())
    };
    let told = format!("port {taken} is not open");
    eventually(DEADLINE, &told, async || {
        let trouble = node()?["trouble"].take();
        Ok(trouble
            .as_str()
            .is_some_and(|it| it.contains(&told))
            .then_some(()))
    })
    .await?;
    drop(somebody);
    eventually(DEADLINE, "no trouble", async || {
        let node = node()?;
        let in_force = node["tableRevision"].as_u64() > Some(0);
        Ok((in_force && node["trouble"].is_null()).then_some(()))
    })
    .await?;
    cluster.finish().await
}
