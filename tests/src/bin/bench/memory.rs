//! Memory at rest, without any task: of `ctl dev` and its containerd, and of each role on hosts of their own.
//!
//! Where all is on one host, the proportional set size (PSS, proc(5)); a role that is alone on its host shares nothing, so of
//! those the resident set size (RSS).

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use roadstead_tests::cluster::Role;
use roadstead_tests::leftovers::processes;
use roadstead_tests::{Client, Hosts, Process, binaries, eventually};

use crate::process::{mebibytes, proportional, resident};

const NAME: &str = "rsbench";
const DEADLINE: Duration = Duration::from_secs(30);
/// After the start, everything that was needed once may be given back.
const REST: Duration = Duration::from_secs(10);

pub(crate) async fn together() -> anyhow::Result<()> {
    let (ctl, data) = (binaries::ctl(), std::env::temp_dir().join(NAME));
    let data = data.display().to_string();
    fs::create_dir(&data).with_context(|| format!("cannot create {data}"))?;
    let log = format!("{data}.log");
    let arguments = ["dev", "--name", NAME, "--data-dir", &data];
    let mut dev = Process::start("dev", &ctl, arguments, log.clone().into())?;
    let measured = at_rest(&data).await;
    let tail = dev.log_tail();
    let stopped = dev.terminate().await;
    let down = Command::new(&ctl)
        .args(["dev", "down", "--data-dir", &data])
        .status()?;
    fs::remove_file(&log)?;
    let (own, containerd) = measured.context(tail)?;
    stopped?;
    ensure!(down.success(), "ctl dev down ended with {down}");
    println!("\n| at rest | PSS MiB |\n|---|---|");
    println!("| ctl dev | {:.1} |", mebibytes(own));
    println!(
        "| with its containerd | {:.1} |",
        mebibytes(own + containerd)
    );
    Ok(())
}

/// Measures the roles of three servers, two agents and a load balancer.
pub(crate) async fn apart() -> anyhow::Result<()> {
    let mut hosts = Hosts::five().await?;
    tokio::time::sleep(REST).await;
    let leader = hosts.leader().await?;
    let mut measured = Vec::new();
    for (name, host, role) in [
        ("the leader of three servers", leader, Role::Server),
        ("a follower", (leader + 1) % 3, Role::Server),
        ("an agent", 3, Role::Agent),
        ("a load balancer", 0, Role::LoadBalancer),
    ] {
        let pid = i32::try_from(hosts.host(host).role(role)?.pid()?)?;
        measured.push((name, resident(pid)?));
    }
    hosts.finish().await?;
    println!("\n| at rest, on hosts of their own | RSS MiB |\n|---|---|");
    for (name, kibibytes) in measured {
        println!("| {name} | {:.1} |", mebibytes(kibibytes));
    }
    Ok(())
}

/// Returns the KiB of `ctl dev` and of its containerd.
async fn at_rest(data: &str) -> anyhow::Result<(u64, u64)> {
    let client = Client::new(format!("{data}/server.sock").as_ref())?;
    let found = eventually(DEADLINE, "ctl dev and its containerd", async || {
        client.ecs().await?;
        let all = processes(NAME)?;
        let find = |program: &str| {
            all.iter()
                .find(|process| process.runs(program))
                .map(|process| process.pid)
        };
        Ok(find("ctl").zip(find("containerd")))
    });
    let (own, containerd) = found.await?;
    tokio::time::sleep(REST).await;
    Ok((proportional(own)?, proportional(containerd)?))
}
