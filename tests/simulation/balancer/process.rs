//! The control loop of a load balancer with its workers, as one list of things that are due.

mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roadstead_proto::lb::{
    DeploymentCounts, HealthCheck, NodeReport, Table, Target as TableTarget, TargetReport,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::health::{Answer, Health, State};
use super::node_id;
use crate::host::Image;
use crate::network::Place;
use crate::planted::Plant;
use crate::random::Random;
use crate::world::World;
use requests::Request;

const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// As long as requests that were cut have to notice.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// A target's group and its id there.
type Key = (String, String);

#[derive(Debug)]
enum Due {
    /// A client sends a request to a group.
    Ask(String),
    /// A request is at its target, or knows that it cannot get there.
    Arrive(u64),
    /// A request is answered.
    Answer(u64),
    /// A target is probed, unless its prober began again meanwhile.
    Probe(Key, u64),
    /// A probe is answered.
    Probed(Key, u64, Answer),
    Report,
    Deadline,
    Save(Box<Table>),
}

#[derive(Debug)]
struct Target {
    address: String,
    port: u32,
    health: Health,
    check: HealthCheck,
    suspect: bool,
    draining: bool,
    cut: bool,
    deadline: Option<Instant>,
    /// The revision that first said that it drains.
    draining_since: u64,
    /// Which prober is the one.
    prober: u64,
}

/// One process, from its start to its end.
pub(super) struct Process {
    world: Arc<World>,
    number: usize,
    incarnation: String,
    random: Random,
    table: Option<Table>,
    /// The revision on disk.
    saved: u64,
    targets: BTreeMap<Key, Target>,
    requests: BTreeMap<u64, Request>,
    counts: BTreeMap<String, DeploymentCounts>,
    due: BTreeMap<(Instant, u64), Due>,
    next: u64,
    turn: usize,
    changed: bool,
    reports: watch::Sender<NodeReport>,
}

impl Process {
    pub(super) fn new(
        world: &Arc<World>,
        number: usize,
        incarnation: String,
        saved: Option<Table>,
        reports: watch::Sender<NodeReport>,
    ) -> Self {
        let random = Random::new(world.seed, &format!("balancer {incarnation}"));
        let mut process = Self {
            world: Arc::clone(world),
            number,
            incarnation,
            random,
            table: None,
            saved: saved.as_ref().map_or(0, |one| one.revision),
            targets: BTreeMap::new(),
            requests: BTreeMap::new(),
            counts: BTreeMap::new(),
            due: BTreeMap::new(),
            next: 0,
            turn: 0,
            changed: false,
            reports,
        };
        if let Some(table) = saved {
            process.receive(table);
        }
        process.plan(Duration::ZERO, Due::Report);
        process.report();
        process
    }

    fn plan(&mut self, after: Duration, what: Due) {
        self.next += 1;
        self.due.insert((Instant::now() + after, self.next), what);
    }

    pub(super) async fn run(&mut self, mut tables: mpsc::Receiver<Table>) {
        loop {
            let next = self.due.first_key_value().map(|((at, _), _)| *at);
            let next = next.expect("a report is always due");
            tokio::select! {
                biased;
                Some(table) = tables.recv() => self.receive(table),
                () = sleep_until(next) => {
                    while let Some(first) = self.due.first_entry().filter(|one| one.key().0 <= Instant::now()) {
                        let what = first.remove();
                        self.happen(what);
                    }
                }
            }
            if std::mem::take(&mut self.changed) {
                self.report();
            }
        }
    }

    fn happen(&mut self, what: Due) {
        match what {
            Due::Ask(group) => self.ask(group),
            Due::Arrive(request) => self.arrive(request),
            Due::Answer(request) => self.answer(request),
            Due::Probe(key, prober) => self.probe(key, prober),
            Due::Probed(key, prober, answer) => self.probed(key, prober, answer),
            Due::Report => {
                self.changed = true;
                self.plan(REPORT_INTERVAL, Due::Report);
            }
            Due::Deadline => self.cut_overdue(),
            Due::Save(table) => {
                self.saved = self.saved.max(table.revision);
                self.world.balancers.save(self.number, *table);
                self.changed = true;
            }
        }
    }

    fn receive(&mut self, table: Table) {
        let known = self.table.as_ref().map_or(0, |one| one.revision);
        if self.table.is_some() && table.revision <= known {
            return;
        }
        self.world.note(format_args!(
            "load balancer {} follows table {}",
            self.number, table.revision
        ));
        let mut before = std::mem::take(&mut self.targets);
        for group in &table.target_groups {
            let arn = &group.target_group_arn;
            let known = |one: &Table| {
                one.target_groups
                    .iter()
                    .any(|one| one.target_group_arn == *arn)
            };
            if !self.table.as_ref().is_some_and(known) {
                self.plan(Duration::from_millis(10), Due::Ask(arn.clone()));
            }
            for target in &group.targets {
                let key = (arn.clone(), target.target_id.clone());
                let check = group.health_check.clone().unwrap_or_default();
                let taken = self.take(&key, before.remove(&key), target, check, table.revision);
                self.targets.insert(key, taken);
            }
        }
        // Requests at a target that no table names any more may end.
        // A busy disk takes its time, and no report waits for it.
        let slow = if self.random.chance(10) { 2_000 } else { 100 };
        let later = self.random.milliseconds(1, slow);
        self.plan(later, Due::Save(Box::new(table.clone())));
        self.table = Some(table);
        self.changed = true;
    }

    fn take(
        &mut self,
        key: &Key,
        before: Option<Target>,
        wanted: &TableTarget,
        check: HealthCheck,
        revision: u64,
    ) -> Target {
        let begins = before.is_none();
        let mut target = before.unwrap_or_else(|| Target {
            address: wanted.address.clone(),
            port: wanted.port,
            health: Health::new(),
            check: check.clone(),
            suspect: wanted.suspect,
            draining: false,
            cut: false,
            deadline: None,
            draining_since: 0,
            prober: 0,
        });
        // Another check begins at once.
        if begins || target.suspect != wanted.suspect || target.check != check {
            target.prober += 1;
            self.plan(Duration::ZERO, Due::Probe(key.clone(), target.prober));
        }
        target.suspect = wanted.suspect;
        target.check = check;
        if wanted.draining && !target.draining {
            let left = wanted.drain_deadline - self.world.now().0;
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            target.draining = true;
            target.draining_since = revision;
            target.deadline = Some(Instant::now() + left);
            self.plan(left, Due::Deadline);
            self.plan(left + CUT_GRACE, Due::Deadline);
        }
        target
    }

    fn probe(&mut self, key: Key, prober: u64) {
        let Some(target) = self.targets.get(&key) else {
            return;
        };
        if target.prober != prober || target.draining {
            return;
        }
        let (answer, after) = match self.look(&target.address, target.port, &key.1) {
            Look::Container(Image::Sick) => (Answer::Bad, self.random.milliseconds(2, 40)),
            Look::Container(_) => (Answer::Good, self.random.milliseconds(2, 40)),
            Look::Nobody => (Answer::Unreachable, self.random.milliseconds(1, 5)),
            Look::Silence if target.suspect => (Answer::Unreachable, Duration::from_millis(500)),
            Look::Silence => {
                let timeout = u64::from(target.check.timeout_seconds);
                (Answer::Bad, Duration::from_secs(timeout))
            }
        };
        self.plan(after, Due::Probed(key, prober, answer));
    }

    fn probed(&mut self, key: Key, prober: u64, answer: Answer) {
        let Some(target) = self.targets.get_mut(&key) else {
            return;
        };
        if target.prober != prober || target.draining {
            return;
        }
        if target.health.observe(answer, &target.check, target.suspect) {
            self.changed = true;
        }
        let pause = target.health.pause(&target.check, target.suspect);
        self.plan(pause, Due::Probe(key, prober));
    }

    /// Returns what is found at an address now.
    fn look(&self, address: &str, port: u32, task: &str) -> Look {
        let Some(host) = self
            .world
            .hosts
            .iter()
            .find(|one| one.machine().address == address)
        else {
            return Look::Silence;
        };
        let place = Place::Host(host.number());
        if !self
            .world
            .network
            .connects(Place::Balancer(self.number), place)
        {
            return Look::Silence;
        }
        let machine = host.machine();
        let container = machine.containers.get(task);
        match container.filter(|one| u32::from(one.host_port) == port) {
            Some(container) => Look::Container(container.image),
            None => Look::Nobody,
        }
    }

    fn requests_at(&self, key: &Key) -> usize {
        self.requests
            .values()
            .filter(|one| one.target == *key)
            .count()
    }

    fn report(&self) {
        let now = Instant::now();
        let early = self.world.plan.plant == Plant::DrainedTooEarly;
        let targets = self.targets.iter().map(|(key, target)| {
            let given_up = target.cut && target.deadline.is_some_and(|at| at + CUT_GRACE <= now);
            let kept = target.draining_since <= self.saved;
            let (state, reason) = match target.health.state {
                _ if target.draining => ("draining", "Target.DeregistrationInProgress"),
                State::Initial => ("initial", "Elb.InitialHealthChecking"),
                State::Healthy => ("healthy", ""),
                State::Unhealthy => ("unhealthy", "Target.FailedHealthChecks"),
            };
            TargetReport {
                target_group_arn: key.0.clone(),
                target_id: key.1.clone(),
                state: state.to_owned(),
                reason: reason.to_owned(),
                description: String::new(),
                drained: target.draining
                    && (early || (kept && (given_up || self.requests_at(key) == 0))),
                ..TargetReport::default()
            }
        });
        self.reports.send_replace(NodeReport {
            node_id: node_id(self.number),
            table_revision: self.table.as_ref().map_or(0, |one| one.revision),
            targets: targets.collect(),
            counts: self.counts.values().cloned().collect(),
            incarnation: self.incarnation.clone(),
            ..NodeReport::default()
        });
    }
}

/// What is behind an address.
enum Look {
    Container(Image),
    /// The host refuses.
    Nobody,
    /// Nothing comes back.
    Silence,
}
