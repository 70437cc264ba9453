//! Keeps every service at its desired count, and its rollouts going.
//!
//! A pass looks at the services that something has happened to since the last one, and at those that wait for time or
//! room. What has happened is read from the two snapshots, which share all that is the same: a control plane with fifty
//! thousand quiet tasks does not look at each of them for every report.

use std::time::Duration;

use roadstead_core::deployment::{self, Outside, Rest, Resting};
use roadstead_core::id::{DeploymentId, TaskId};
use roadstead_core::scheduler::Scratch;
use roadstead_core::state::service::Counts;
use roadstead_core::{ClusterState, Command, Timestamp};

use super::TICK;
use crate::leader::Reign;
use crate::{clock, id};

/// All services are looked at this often, whatever has happened: what a mistake in `Resting` would overlook waits no longer.
const SWEEP: Duration = Duration::from_secs(10);

/// What the passes of one reign remember.
#[derive(Debug, Default)]
pub(super) struct Passes {
    resting: Resting,
    swept: Timestamp,
}

impl Passes {
    pub(super) fn decide(&mut self, state: &ClusterState, reign: &Reign) -> Vec<Command> {
        let now = clock::now();
        self.resting.wake(state, now);
        if now.since(self.swept) >= SWEEP {
            self.swept = now;
            self.resting.wake_all();
        }
        let mut scratch = Scratch::new(state);
        let mut outside = Edge(reign);
        let mut commands = Vec::new();
        for service in state.services.values() {
            if !self.resting.contains(&service.id) {
                let step = deployment::advance(state, &mut scratch, service, now, &mut outside);
                commands.extend(step.commands);
                self.resting.note(&service.id, at_a_tick(step.rest, now));
            }
        }
        commands
    }
}

/// Many tasks come of age one shortly after the other: one look for those of a tick.
fn at_a_tick(rest: Rest, now: Timestamp) -> Rest {
    match rest {
        Rest::Until(until) => Rest::Until(until.max(now.after(TICK))),
        Rest::No | Rest::UntilChange => rest,
    }
}

struct Edge<'a>(&'a Reign);

impl Outside for Edge<'_> {
    fn task_id(&mut self) -> TaskId {
        id::task()
    }

    fn counts(&self, deployment: DeploymentId) -> Counts {
        self.0.presence.counts(deployment)
    }
}
