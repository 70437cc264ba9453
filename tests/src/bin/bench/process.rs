//! What a process has of the machine: proc(5).

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::unistd::{SysconfVar, sysconf};

/// Returns the KiB of a process of which it has its share only, where others have them too (PSS).
pub(crate) fn proportional(pid: i32) -> anyhow::Result<u64> {
    amount(pid, "Pss:")
}

/// Returns all KiB of a process that are in memory (RSS).
pub(crate) fn resident(pid: i32) -> anyhow::Result<u64> {
    amount(pid, "Rss:")
}

/// Returns the CPU time of a process up to now, of user and system.
pub(crate) fn cpu(pid: i32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in parentheses, may hold spaces; the times are the 12th and 13th field behind it.
    let behind = text.rsplit_once(')').map(|(_, behind)| behind);
    let fields = behind.unwrap_or_default().split_whitespace();
    let ticks: Vec<u64> = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    ensure!(ticks.len() == 2, "{path} has no times");
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("the system has no clock tick")?;
    Ok(Duration::from_secs_f64(
        ticks.iter().sum::<u64>() as f64 / a_second as f64,
    ))
}

pub(crate) fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

fn amount(pid: i32, kind: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(kind));
    let amount = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    amount
        .and_then(|amount| amount.parse().ok())
        .with_context(|| format!("{path} has no {kind}"))
}
