//! `ctl lb top`: what every load balancer does now, by listener, target group and target.
//!
//! `rates` makes rates of two looks at the counters, `page` makes text of rates, both of them pure. Here is the thin loop.

mod page;
mod rates;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use roadstead_client::proto::console::{DescribeTrafficRequest, DescribeTrafficResponse};
use tokio::time::sleep_until;

use crate::args::Globals;
use crate::connection::Connection;
use crate::context::Environment;
use crate::error::Error;
use crate::output::{self, Format};
use crate::{config, context, logging, runtime};
use rates::{Look, Rates};

/// Load balancers report once a second: with less there may be no new report between two looks.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each look at the rates is, at least 2s: load balancers report once a second.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    interval: String,
    /// Show one look, and end; so does -o json, and an output that is no terminal.
    #[arg(long)]
    once: bool,
}

/// Finds the control plane and shows rates until the user ends it.
///
/// # Errors
/// Fails when the control plane stays away, or standard output is closed.
pub(crate) fn run(args: &Args, globals: &Globals, environment: &Environment) -> Result<(), Error> {
    logging::start(logging::Level::WARN)?;
    let interval = config::duration("interval", &args.interval)?;
    if interval < SHORTEST_INTERVAL {
        return Err(Error::Unfit(format!(
            "--interval {} is too short, for load balancers report once a second: give 2s or more",
            args.interval
        )));
    }
    let connection = Connection::new(context::find(globals, environment)?, globals.output);
    let live = connection.format == Format::Table && std::io::stdout().is_terminal() && !args.once;
    runtime::block_on(keep_looking(&connection, interval, live))
}

async fn keep_looking(
    connection: &Connection,
    interval: Duration,
    live: bool,
) -> Result<(), Error> {
    let mut before = look(connection).await?;
    loop {
        sleep_until((before.at + interval).into()).await;
        let after = look(connection).await?;
        let rates = Rates::between(&before, &after);
        before = after;
        if live {
            // From the top left, and without what stood there before.
            output::write_line(&format!("\x1b[H\x1b[J{}", page::page(&rates)))?;
        } else {
            return connection.show(&rates, page::page);
        }
    }
}

async fn look(connection: &Connection) -> Result<Look, Error> {
    let DescribeTrafficResponse {
        load_balancer_nodes,
    } = connection
        .console(async |mut console| console.describe_traffic(DescribeTrafficRequest {}).await)
        .await?;
    Ok(Look {
        at: Instant::now(),
        nodes: load_balancer_nodes,
    })
}
