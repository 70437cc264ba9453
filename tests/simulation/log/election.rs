//! Who leads, and who believes what of that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roadstead_client::Endpoint;
use roadstead_server::simulation::Leadership;
use tokio::time::{Instant, sleep};

use super::{Ensemble, Inner, commit};
use crate::network::Place;
use crate::world::{SERVERS, World};

/// Returns where a server is reached.
pub(crate) fn endpoint(server: usize) -> Endpoint {
    Endpoint::Unix(PathBuf::from(format!("/simulated/{server}")))
}

/// Returns the server that is reached there.
pub(crate) fn server_at(wanted: &Endpoint) -> Option<usize> {
    (0..SERVERS).find(|server| endpoint(*server) == *wanted)
}

impl Ensemble {
    /// Holds elections when they are due, for as long as the world goes on.
    pub(crate) async fn elect(&self, world: &Arc<World>) {
        let mut without = Instant::now();
        loop {
            sleep(Duration::from_millis(50)).await;
            let mut inner = self.inner();
            let now = Instant::now();
            let leads = inner
                .leading()
                .is_some_and(|leader| self.has_majority(world, &inner, leader));
            if leads {
                without = now + inner.random.milliseconds(300, 600);
            } else if now >= without {
                self.change_leader(world, &mut inner, None);
            }
            spread(world, &mut inner, now);
            drop(inner);
            self.changed.notify_waiters();
        }
    }

    /// The leader falls though nothing has happened to it, as after a long pause; it learns of that when it can.
    pub(crate) fn depose(&self, world: &Arc<World>) {
        let mut inner = self.inner();
        let leader = inner.leading();
        if let Some(leader) = leader {
            let deaf = inner.random.milliseconds(0, 2_000);
            inner.members[leader].deaf_until = Instant::now() + deaf;
        }
        self.change_leader(world, &mut inner, leader);
        drop(inner);
        self.changed.notify_waiters();
    }

    fn change_leader(&self, world: &Arc<World>, inner: &mut Inner, but: Option<usize>) {
        let able =
            |server: &usize| Some(*server) != but && self.has_majority(world, inner, *server);
        let candidates: Vec<usize> = (0..SERVERS).filter(able).collect();
        if candidates.is_empty() {
            return;
        }
        let (before, term) = (inner.leader, inner.term);
        let leader = *inner.random.pick(&candidates);
        inner.leader = Some(leader);
        inner.fallen = false;
        inner.term += 1;
        inner.members[leader].belief = Leadership::Here { term: inner.term };
        world.note(format_args!(
            "server {leader} is elected in term {}",
            inner.term
        ));
        // What the last leader had begun is in the new one's log, or it is not. What was proposed to one that was no
        // leader any more is lost in any case.
        for pending in std::mem::take(&mut inner.pending) {
            let begun = Some(pending.server) == before && pending.term == term;
            let taken = begun && inner.random.chance(50);
            let what = if taken { "is taken over" } else { "is lost" };
            world.note(format_args!(
                "a proposal of server {} {what}",
                pending.server
            ));
            if taken {
                drop(commit(world, inner, leader, pending.commands));
            }
        }
    }
}

/// Tells those who lead no more, and those who follow, who leads.
fn spread(world: &World, inner: &mut Inner, now: Instant) {
    let Some(leader) = inner.leader else { return };
    let (term, alive) = (inner.term, !inner.fallen);
    for server in 0..SERVERS {
        let reached = world
            .network
            .connects(Place::Server(leader), Place::Server(server));
        let member = &mut inner.members[server];
        if !member.up || now < member.deaf_until {
            continue;
        }
        let belief = if server == leader && alive {
            Leadership::Here { term }
        } else if reached && alive {
            Leadership::Elsewhere(Some(endpoint(leader)))
        } else if matches!(member.belief, Leadership::Here { .. }) {
            // Nobody can tell it.
            continue;
        } else {
            Leadership::Elsewhere(None)
        };
        if member.belief != belief {
            world.note(format_args!("server {server} believes {belief:?}"));
            // What it proposed since it was deposed is lost, and now it knows.
            if let Leadership::Here { term } = member.belief {
                inner
                    .pending
                    .retain(|one| one.server != server || one.term != term);
            }
            inner.members[server].belief = belief;
        }
    }
}
