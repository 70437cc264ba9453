//! `make bench`: what Roadstead costs beside the bare tools, on this machine, as Markdown tables.
//!
//! Each comparison is one interleaved run against the same containerd, so that whatever else the machine does falls
//! on both sides. A figure is a median with the least and the most.

mod bare;
mod commits;
mod memory;
mod placements;
mod rollouts;
mod samples;
mod starts;

use clap::{Parser, ValueEnum};
use roadstead_tests::Cluster;

use crate::bare::Ctr;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Starts,
    Rollouts,
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
        rollouts::measure(&cluster.client, args.rollouts).await?;
        cluster.finish().await?;
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
        memory::measure().await?;
    }
    Ok(())
}
