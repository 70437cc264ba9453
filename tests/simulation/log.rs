//! The replicated log: what raft promises, and everything that it does not.
//!
//! Three servers, terms, one leader whom a majority follows. A proposal is committed while its leader has a majority; when
//! the leader falls first, it is lost or taken over by the next one, and whoever proposed it does not learn which. Followers
//! apply later. A leader that was deposed goes on believing for a while, and for as long as nobody can tell it.

mod election;
mod replica;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_core::{ClusterState, Command, Event, Rejection};
use roadstead_server::simulation::{Endpoints, Leadership};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::invariants;
use crate::network::Place;
use crate::planted::Plant;
use crate::random::Random;
use crate::world::{SERVERS, World};
pub(crate) use election::server_at;
pub(crate) use replica::Replica;

/// What became of each command of an entry.
pub(crate) type Results = Vec<Result<(), Rejection>>;

struct Entry {
    commands: Vec<Command>,
    results: Results,
}

/// A proposal in its leader's log that no majority has yet.
struct Pending {
    server: usize,
    term: u64,
    ready: Instant,
    commands: Vec<Command>,
    answer: oneshot::Sender<(usize, Results)>,
}

/// What one server has of the log.
struct Member {
    up: bool,
    /// Grows with each start: what an earlier process proposed or waits for is not this one's.
    life: u64,
    applied: usize,
    state: Arc<ClusterState>,
    /// One channel for each that watches: receivers of a shared one are woken in random order.
    watchers: Vec<watch::Sender<Arc<ClusterState>>>,
    belief: Leadership,
    /// Until then it does not learn that another leads.
    deaf_until: Instant,
}

struct Inner {
    random: Random,
    entries: Vec<Entry>,
    /// Every committed entry applied.
    canonical: Arc<ClusterState>,
    term: u64,
    leader: Option<usize>,
    /// The leader's process has ended: it leads no more, though nobody else does yet.
    fallen: bool,
    pending: Vec<Pending>,
    members: Vec<Member>,
}

impl Inner {
    fn leading(&self) -> Option<usize> {
        self.leader.filter(|_| !self.fallen)
    }
}

/// The servers' logs, seen from above.
pub(crate) struct Ensemble {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Never changes: who is where is not simulated.
    servers: watch::Sender<Endpoints>,
}

impl Ensemble {
    pub(crate) fn new(seed: u64, first: Command) -> Self {
        let mut state = ClusterState::default();
        let named = state.apply(first.clone()).map(drop);
        let state = Arc::new(state);
        let member = |_| Member {
            up: false,
            life: 0,
            applied: 1,
            state: Arc::clone(&state),
            watchers: Vec::new(),
            belief: Leadership::Elsewhere(None),
            deaf_until: Instant::now(),
        };
        let inner = Inner {
            random: Random::new(seed, "log"),
            entries: vec![Entry {
                commands: vec![first],
                results: vec![named],
            }],
            canonical: Arc::clone(&state),
            term: 0,
            leader: None,
            fallen: false,
            pending: Vec::new(),
            members: (0..SERVERS).map(member).collect(),
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
            servers: watch::Sender::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> watch::Receiver<Endpoints> {
        self.servers.subscribe()
    }

    /// Returns the state that holds every committed entry.
    pub(crate) fn canonical(&self) -> Arc<ClusterState> {
        Arc::clone(&self.inner().canonical)
    }

    /// Returns how many entries are committed.
    pub(crate) fn length(&self) -> usize {
        self.inner().entries.len()
    }

    /// Returns who leads, by the log.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.inner().leading()
    }

    /// Returns each server's state with the number of entries in it.
    pub(crate) fn states(&self) -> Vec<(usize, Arc<ClusterState>)> {
        let inner = self.inner();
        let members = inner.members.iter();
        members
            .map(|one| (one.applied, Arc::clone(&one.state)))
            .collect()
    }

    /// A server starts; returns the number of its life.
    pub(crate) fn start(&self, server: usize) -> u64 {
        let mut inner = self.inner();
        let member = &mut inner.members[server];
        member.up = true;
        member.life += 1;
        member.belief = Leadership::Elsewhere(None);
        member.watchers.clear();
        member.life
    }

    /// A server's process ends. Its log stays, and what it was told lately is forgotten.
    pub(crate) fn stop(&self, server: usize) {
        let mut inner = self.inner();
        let member = &mut inner.members[server];
        member.up = false;
        member.belief = Leadership::Elsewhere(None);
        inner.fallen |= inner.leader == Some(server);
        drop(inner);
        self.changed.notify_waiters();
    }

    fn has_majority(&self, world: &World, inner: &Inner, server: usize) -> bool {
        let reached = (0..SERVERS).filter(|other| {
            inner.members[*other].up
                && world
                    .network
                    .connects(Place::Server(server), Place::Server(*other))
        });
        inner.members[server].up && reached.count() > SERVERS / 2
    }

    /// Commits what is ready, for as long as the world goes on.
    pub(crate) async fn run(&self, world: &Arc<World>) {
        loop {
            let changed = self.changed.notified();
            let next = self.commit_ready(world);
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn commit_ready(&self, world: &Arc<World>) -> Instant {
        let now = Instant::now();
        let mut inner = self.inner();
        let idle = now + Duration::from_millis(20);
        let Some(leader) = inner.leading() else {
            return idle;
        };
        if !self.has_majority(world, &inner, leader) {
            return idle;
        }
        let term = inner.term;
        let due = |one: &mut Pending| one.server == leader && one.term == term && one.ready <= now;
        for pending in inner.pending.extract_if(.., due).collect::<Vec<_>>() {
            let results = commit(world, &mut inner, leader, pending.commands);
            let index = inner.entries.len();
            // Whoever proposed it may have given up.
            drop(pending.answer.send((index, results)));
        }
        let mine = inner
            .pending
            .iter()
            .filter(|one| one.server == leader && one.term == term);
        mine.map(|one| one.ready)
            .min()
            .unwrap_or(now + Duration::from_secs(3600))
    }

    /// Applies, on one server, what is committed; for as long as the world goes on.
    pub(crate) async fn follow(&self, world: &Arc<World>, server: usize) {
        let mut random = Random::new(world.seed, &format!("follower {server}"));
        loop {
            let changed = self.changed.notified();
            let behind = {
                let inner = self.inner();
                let member = &inner.members[server];
                let reached = inner.leading().is_some_and(|leader| {
                    world
                        .network
                        .connects(Place::Server(leader), Place::Server(server))
                });
                member.up && reached && member.applied < inner.entries.len()
            };
            if behind {
                let delay = if random.chance(2) {
                    (100, 400)
                } else {
                    (1, 15)
                };
                tokio::time::sleep(random.milliseconds(delay.0, delay.1)).await;
                let mut inner = self.inner();
                if inner.members[server].up {
                    let length = inner.entries.len();
                    catch_up(world, &mut inner, server, length);
                }
            } else {
                // The network does not wake this: it is looked at often enough.
                let again = sleep_until(Instant::now() + Duration::from_millis(50));
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = again => {}
                }
            }
        }
    }
}

/// Appends an entry and applies it where it was proposed.
fn commit(world: &Arc<World>, inner: &mut Inner, server: usize, commands: Vec<Command>) -> Results {
    let index = inner.entries.len() + 1;
    let mut results = Results::new();
    let mut taken = Vec::new();
    for command in commands {
        let command = world.plan.plant.command(&inner.canonical, command);
        let before = Arc::clone(&inner.canonical);
        let applied = Arc::make_mut(&mut inner.canonical).apply(command.clone());
        note(world, index, server, inner.term, &applied);
        if world.plan.plant == Plant::StatusMovesBackwards {
            crate::planted::move_back(Arc::make_mut(&mut inner.canonical));
        }
        let result = applied.map(drop);
        invariants::committed(world, &before, &command, &result, &inner.canonical);
        results.push(result);
        taken.push(command);
    }
    inner.entries.push(Entry {
        commands: taken,
        results: results.clone(),
    });
    let length = inner.entries.len();
    catch_up(world, inner, server, length);
    world.log.changed.notify_waiters();
    results
}

fn note(
    world: &World,
    index: usize,
    server: usize,
    term: u64,
    applied: &Result<Vec<Event>, Rejection>,
) {
    match applied {
        Ok(events) => {
            for event in events {
                world.note(format_args!(
                    "entry {index} by server {server} in term {term}: {event:?}"
                ));
            }
        }
        Err(rejection) => world.note(format_args!(
            "entry {index} by server {server} in term {term}: refused, {rejection}"
        )),
    }
}

fn catch_up(world: &World, inner: &mut Inner, server: usize, length: usize) {
    let member = &mut inner.members[server];
    if member.applied >= length {
        return;
    }
    let state = Arc::make_mut(&mut member.state);
    for entry in &inner.entries[member.applied..length] {
        if world.plan.plant == Plant::FollowerSkipsEntry && server == 2 && entry.results.len() > 1 {
            continue;
        }
        for (command, expected) in entry.commands.iter().zip(&entry.results) {
            let result = state.apply(command.clone()).map(drop);
            invariants::replicas_agree::same_result(world, server, command, &result, expected);
        }
    }
    member.applied = length;
    for watcher in &member.watchers {
        watcher.send_replace(Arc::clone(&member.state));
    }
    member.watchers.retain(|watcher| !watcher.is_closed());
}
