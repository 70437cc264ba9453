//! `make bench`: what Roadstead costs beside the bare tools, on this machine, as Markdown tables.
//!
//! Each comparison is one interleaved run against the same containerd, so that whatever else the machine does falls
//! on both sides. A figure is a median with the least and the most.

mod bare;
mod commits;
mod failovers;
mod losses;
mod memory;
mod placements;
mod process;
mod rollouts;
mod samples;
mod starts;

use std::net::Ipv4Addr;

use clap::{Parser, ValueEnum};
use roadstead_tests::{Cluster, Hosts};

use crate::bare::Ctr;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Starts,
    Rollouts,
    /// Rollouts over two hosts.
    Hosts,
    Failovers,
    Losses,
    Commits,
    Placements,
    Memory,
}

#[derive(Debug, Parser)]
struct Args {
    /// Measures only these; all without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Simulated agents.
    #[arg(long, default_value_t = 1_000)]
    agents: usize,
    /// Tasks on all simulated agents.
    #[arg(long, default_value_t = 50_000)]
    tasks: usize,
    /// Single tasks placed besides.
    #[arg(long, default_value_t = 500)]
    decisions: usize,
    /// How often one container is started in each way.
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// How often fifty are started in each way.
    #[arg(long, default_value_t = 3)]
    fifties: usize,
    #[arg(long, default_value_t = 10)]
    rollouts: usize,
    /// How often the leader of three servers is killed.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// How often a host is cut off.
    #[arg(long, default_value_t = 5)]
    losses: usize,
    /// Seconds of writing, with one writer and with 64.
    #[arg(long, default_value_t = 5)]
    commit_seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure(args))
}

async fn measure(args: Args) -> anyhow::Result<()> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    if wanted(Part::Starts) {
        let cluster = Cluster::start().await?;
        let ctr = Ctr::new(&cluster)?;
        starts::one(&cluster.client, &ctr, args.starts).await?;
        starts::fifty(&cluster.client, &ctr, args.fifties).await?;
        cluster.finish().await?;
    }
    if wanted(Part::Rollouts) {
        let cluster = Cluster::start().await?;
        rollouts::measure(
            &cluster.client,
            Ipv4Addr::LOCALHOST,
            "one host",
            args.rollouts,
        )
        .await?;
        cluster.finish().await?;
    }
    if wanted(Part::Hosts) {
        let mut hosts = Hosts::five().await?;
        let at = hosts.host(0).address();
        rollouts::measure(&hosts.client()?, at, "two hosts", args.rollouts).await?;
        hosts.finish().await?;
    }
    if wanted(Part::Failovers) {
        failovers::measure(args.kills).await?;
    }
    if wanted(Part::Losses) {
        losses::measure(args.losses).await?;
    }
    if wanted(Part::Commits) {
        let cluster = Cluster::control_plane_alone().await?;
        commits::measure(&cluster.client, args.commit_seconds).await?;
        cluster.finish().await?;
    }
    if wanted(Part::Placements) {
        placements::measure(args.agents, args.tasks, args.decisions).await?;
    }
    if wanted(Part::Memory) {
        memory::together().await?;
        memory::apart().await?;
    }
    Ok(())
}
