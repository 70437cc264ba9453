//! `make bench`: what Roadstead costs beside the bare tools, on this machine, as Markdown tables.
//!
//! Each comparison is one interleaved run against the same containerd, so that whatever else the machine does falls
//! on both sides. A figure is a median with the least and the most.

mod bare;
mod commits;
mod memory;
mod rollouts;
mod samples;
mod starts;

use clap::Parser;
use roadstead_tests::Cluster;

use crate::bare::Ctr;

#[derive(Debug, Parser)]
struct Args {
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
    let cluster = Cluster::start().await?;
    let ctr = Ctr::new(&cluster)?;
    starts::one(&cluster.client, &ctr, args.starts).await?;
    starts::fifty(&cluster.client, &ctr, args.fifties).await?;
    cluster.finish().await?;

    let cluster = Cluster::start().await?;
    rollouts::measure(&cluster.client, args.rollouts).await?;
    cluster.finish().await?;

    let cluster = Cluster::control_plane_alone().await?;
    commits::measure(&cluster.client, args.commit_seconds).await?;
    cluster.finish().await?;

    memory::measure().await
}
