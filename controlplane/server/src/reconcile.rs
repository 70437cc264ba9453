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
/// The same for a loop that is not woken at all.
const SELDOM: Duration = Duration::from_secs(1);
/// The most commands in one entry of the log.
const MOST_COMMANDS: usize = 256;

/// Starts every loop; they end with `reign`.
pub(crate) fn spawn<L: Log>(
    log: &Arc<L>,
    config: &Arc<Config>,
    reign: &Arc<Reign>,
    loops: &TaskTracker,
) {
    let start = |name, wakes, decide: Decide| {
        loops.spawn(run(name, Arc::clone(log), Arc::clone(reign), wakes, decide));
    };
    let mut passes = service::Passes::default();
    start(
        "service",
        Wakes::WithChanges,
        Box::new(move |state, reign| passes.decide(state, reign)),
    );
    start(
        "targets",
        Wakes::WithChanges,
        Box::new(|state, reign| targets::decide(state, reign)),
    );
    let settings = Arc::clone(config);
    start(
        "liveness",
        Wakes::WithChanges,
        Box::new(move |state, reign| liveness::decide(state, reign, &settings)),
    );
    let settings = Arc::clone(config);
    start(
        "reaper",
        Wakes::Seldom,
        Box::new(move |state, reign| reaper::decide(state, reign, settings.retention)),
    );
}

/// When a loop looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// With every change and report, and with time.
    WithChanges,
    /// Now and then: nobody waits for it.
    Seldom,
}

type Decide = Box<dyn FnMut(&Arc<ClusterState>, &Reign) -> Vec<Command> + Send>;

async fn run<L: Log>(
    name: &'static str,
    log: Arc<L>,
    reign: Arc<Reign>,
    wakes: Wakes,
    mut decide: Decide,
) {
    let mut newest = log.watch();
    let mut reports = reign.presence.watch();
    let often = wakes == Wakes::WithChanges;
    let mut tick = interval(if often { TICK } else { SELDOM });
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // In this order, so that a simulation can be repeated. Nothing starves: all but the end lead to the same pass.
            biased;
            () = reign.ended.cancelled() => return,
            _ = tick.tick() => {}
            changed = newest.changed(), if often => if changed.is_err() { return },
            changed = reports.changed(), if often => if changed.is_err() { return },
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
