//! One server's part in the log, as the loops and sessions of that server see it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_core::{ClusterState, Command};
use roadstead_server::RaftError;
use roadstead_server::simulation::{Endpoints, Leadership, Log};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::election::server_at;
use super::{Pending, Results};
use crate::network::Place;
use crate::random::Random;
use crate::world::{World, lock};

/// As the real log's.
const DEADLINE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// One life of one server.
pub(crate) struct Replica {
    world: Arc<World>,
    server: usize,
    life: u64,
    random: Mutex<Random>,
}

impl Replica {
    pub(crate) fn new(world: &Arc<World>, server: usize, life: u64) -> Self {
        let random = Random::new(world.seed, &format!("replica {server} {life}"));
        Self {
            world: Arc::clone(world),
            server,
            life,
            random: Mutex::new(random),
        }
    }

    fn delay(&self, from: u64, to: u64) -> Duration {
        lock(&self.random).milliseconds(from, to)
    }

    fn lives(&self) -> bool {
        let inner = self.world.log.inner();
        let member = &inner.members[self.server];
        member.up && member.life == self.life
    }

    /// Waits until something about the log may have changed.
    async fn changed(&self) {
        self.world.log.changed.notified().await;
    }

    /// Puts a proposal into the log of `leader`, which believes to lead.
    fn append(
        &self,
        leader: usize,
        commands: Vec<Command>,
    ) -> Option<oneshot::Receiver<(usize, Results)>> {
        // A disk is slow at times, and everything behind it waits: what was decided meanwhile is stale when it lands.
        let slow = lock(&self.random).chance(8);
        let delay = if slow {
            self.delay(50, 900)
        } else {
            self.delay(2, 10)
        };
        let mut inner = self.world.log.inner();
        let member = &inner.members[leader];
        let Leadership::Here { term } = member.belief else {
            return None;
        };
        if !member.up {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        // An entry is on its quorum no earlier than the one before it.
        let before = inner
            .pending
            .iter()
            .filter(|one| one.server == leader)
            .map(|one| one.ready);
        let ready = before
            .max()
            .unwrap_or_else(Instant::now)
            .max(Instant::now())
            + delay;
        inner.pending.push(Pending {
            server: leader,
            term,
            ready,
            commands,
            answer,
        });
        drop(inner);
        self.world.log.changed.notify_waiters();
        Some(answered)
    }

    /// Returns the server to propose to, if one is known and can be reached.
    fn leader(&self) -> Option<usize> {
        match self.leadership() {
            Leadership::Here { .. } => Some(self.server),
            Leadership::Elsewhere(leader) => leader.as_ref().and_then(server_at).filter(|leader| {
                self.world
                    .network
                    .connects(Place::Server(self.server), Place::Server(*leader))
            }),
        }
    }

    async fn wait_applied(&self, index: usize, deadline: Instant) -> Result<(), RaftError> {
        loop {
            if !self.lives() {
                return Err(RaftError::Stopped("the server has crashed".into()));
            }
            if self.world.log.inner().members[self.server].applied >= index {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(RaftError::Undecided(DEADLINE));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Log for Replica {
    fn watch(&self) -> watch::Receiver<Arc<ClusterState>> {
        let mut inner = self.world.log.inner();
        let member = &mut inner.members[self.server];
        let (sender, receiver) = watch::channel(Arc::clone(&member.state));
        member.watchers.push(sender);
        receiver
    }

    fn servers(&self) -> watch::Receiver<Endpoints> {
        self.world.log.servers()
    }

    fn newest(&self) -> Arc<ClusterState> {
        Arc::clone(&self.world.log.inner().members[self.server].state)
    }

    async fn propose(&self, commands: Vec<Command>) -> Result<Results, RaftError> {
        let deadline = Instant::now() + DEADLINE;
        let (leader, answered) = loop {
            if !self.lives() {
                return Err(RaftError::Stopped("the server has crashed".into()));
            }
            let appended = match self.leader() {
                Some(leader) => {
                    if leader != self.server {
                        sleep(self.delay(1, 8)).await;
                    }
                    self.append(leader, commands.clone())
                        .map(|answered| (leader, answered))
                }
                None => None,
            };
            match appended {
                Some(appended) => break appended,
                None if Instant::now() >= deadline => return Err(RaftError::Undecided(DEADLINE)),
                None => sleep(PAUSE).await,
            }
        };
        let (index, results) = match timeout_at(deadline, answered).await {
            Ok(Ok(committed)) => committed,
            // The leader has fallen; what became of the proposal nobody can say.
            Ok(Err(_)) => return Err(RaftError::Leader("the leader has fallen".into())),
            Err(_) => return Err(RaftError::Undecided(DEADLINE)),
        };
        if leader != self.server {
            sleep(self.delay(1, 8)).await;
            if !self
                .world
                .network
                .connects(Place::Server(leader), Place::Server(self.server))
            {
                return Err(RaftError::Leader("the leader cannot be reached".into()));
            }
        }
        self.wait_applied(index, deadline).await?;
        Ok(results)
    }

    async fn read(&self) -> Result<Arc<ClusterState>, RaftError> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            sleep(self.delay(1, 8)).await;
            let confirmed = {
                let inner = self.world.log.inner();
                let leader = self.leader_of(&inner);
                leader
                    .filter(|leader| inner.leading() == Some(*leader))
                    .filter(|leader| self.world.log.has_majority(&self.world, &inner, *leader))
                    .map(|_| inner.entries.len())
            };
            if let Some(index) = confirmed {
                self.wait_applied(index, deadline).await?;
                return Ok(self.newest());
            }
            if Instant::now() >= deadline || !self.lives() {
                return Err(RaftError::NoQuorum(DEADLINE));
            }
            sleep(PAUSE).await;
        }
    }

    fn leadership(&self) -> Leadership {
        let inner = self.world.log.inner();
        let member = &inner.members[self.server];
        if member.life == self.life {
            member.belief.clone()
        } else {
            Leadership::Elsewhere(None)
        }
    }

    async fn leadership_changed(&self, known: &Leadership) -> Option<Leadership> {
        loop {
            if !self.lives() {
                return None;
            }
            let now = self.leadership();
            if now != *known {
                return Some(now);
            }
            self.changed().await;
        }
    }
}

impl Replica {
    fn leader_of(&self, inner: &super::Inner) -> Option<usize> {
        match &inner.members[self.server].belief {
            Leadership::Here { .. } => Some(self.server),
            Leadership::Elsewhere(leader) => leader.as_ref().and_then(server_at).filter(|leader| {
                self.world
                    .network
                    .connects(Place::Server(self.server), Place::Server(*leader))
            }),
        }
    }
}
