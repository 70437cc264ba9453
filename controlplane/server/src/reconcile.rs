//! The leader's loops. A wake-up carries no data: each pass looks at the newest whole snapshot,
//! and the next pass is the retry, so restart, failover and missed events are one path.

mod liveness;
mod reaper;
mod service;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::{ClusterState, Command};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::Config;
use crate::leader::Reign;
use crate::log::Log;

/// A pass without a wake-up: for what only time changes.
const TICK: Duration = Duration::from_millis(250);
/// The most commands in one entry of the log.
const MOST_COMMANDS: usize = 256;

/// Starts every loop; they end with `reign`.
pub(crate) fn spawn<L: Log>(
    log: &Arc<L>,
    config: &Arc<Config>,
    reign: &Arc<Reign>,
    loops: &TaskTracker,
) {
    let start = |name, decide: Decide| {
        loops.spawn(run(name, Arc::clone(log), Arc::clone(reign), decide));
    };
    start("service", Box::new(service::decide));
    start("targets", Box::new(targets::decide));
    let settings = Arc::clone(config);
    start(
        "liveness",
        Box::new(move |state, reign| liveness::decide(state, reign, &settings)),
    );
    let settings = Arc::clone(config);
    start(
        "reaper",
        Box::new(move |state, reign| reaper::decide(state, reign, settings.retention)),
    );
}

type Decide = Box<dyn Fn(&ClusterState, &Reign) -> Vec<Command> + Send + Sync>;

async fn run<L: Log>(name: &'static str, log: Arc<L>, reign: Arc<Reign>, decide: Decide) {
    let mut newest = log.watch();
    let mut reports = reign.presence.watch();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // In this order, so that a simulation can be repeated. Nothing starves: all but the end lead to the same pass.
            biased;
            () = reign.ended.cancelled() => return,
            _ = tick.tick() => {}
            changed = newest.changed() => if changed.is_err() { return },
            changed = reports.changed() => if changed.is_err() { return },
        }
        let snapshot = Arc::clone(&newest.borrow_and_update());
        reports.borrow_and_update();
        let commands = decide(&snapshot, &reign);
        for some in commands.chunks(MOST_COMMANDS) {
            match log.propose(some.to_vec()).await {
                Ok(results) => {
                    for rejection in results.into_iter().filter_map(Result::err) {
                        tracing::debug!(name, %rejection, "came too late; the next pass decides afresh");
                    }
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    warn!(name, error, "proposal failed; the next pass decides afresh");
                    break;
                }
            }
        }
    }
}
