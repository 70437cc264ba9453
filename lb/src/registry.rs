//! Keeps what outlives a routing table: targets, their probers and deadlines, turns and counts.
//!
//! A table is replaced whole, but a target that is in the old and in the new one is the same target:
//! its requests, its health and its connections go on. Only the control loop is in here; the cores
//! see the `RoutingTable` that `update` returns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::lb::{DeploymentCounts, TargetReport};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::addresses::Meter;
use crate::counts::Ledger;
use crate::health::probe::keep_probing;
use crate::health::{Health, HealthCheck, State};
use crate::routing::{Action, Forward, Rule, Weighted};
use crate::table::{
    Draft, GroupDraft, Listener, ListenerDraft, RoutingTable, TargetDraft, TargetGroup, Turns,
    instant_of, mark,
};
use crate::target::{Company, Target};
use crate::traffic::Traffic;
use crate::upstream::Pool;
use crate::waiting::Room;

/// How long the requests that were cut have to notice, before the target counts as drained anyway.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// A target's group and its id there.
type Key = (String, String);

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    check: Option<HealthCheck>,
    /// The number of the table that first said that it drains.
    draining_since: Option<u64>,
    /// When the requests of a draining target are cut.
    deadline: Option<Instant>,
    prober: Option<AbortOnDropHandle<()>>,
}

/// All targets of the newest table.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The load balancer's own; empty when it does not know.
    zone: String,
    workers: usize,
    pool_size: usize,
    changed: Arc<Notify>,
    targets: BTreeMap<Key, Entry>,
    groups: BTreeMap<String, KeptGroup>,
    /// By their ports.
    listeners: BTreeMap<u16, KeptListener>,
    ledger: Ledger,
}

/// What of a target group outlives a table.
#[derive(Debug)]
struct KeptGroup {
    turns: Arc<Turns>,
    room: Arc<Room>,
    traffic: Arc<Traffic>,
}

/// What of a listener outlives a table.
#[derive(Debug)]
struct KeptListener {
    meter: Option<Arc<Meter>>,
    traffic: Arc<Traffic>,
}

/// A new table, and the targets that must begin to drain once it is in place.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) table: RoutingTable,
    pub(crate) leaving: Vec<Arc<Target>>,
}

impl Registry {
    /// Returns an empty registry of a load balancer in that zone; `changed` is notified when there is something to report.
    pub(crate) fn new(
        workers: usize,
        pool_size: usize,
        zone: String,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            zone,
            workers,
            pool_size,
            changed,
            targets: BTreeMap::new(),
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
            ledger: Ledger::new(workers),
        }
    }

    /// Takes over the new table of that number. Must be called within a runtime: it starts the probers.
    pub(crate) fn update(&mut self, draft: Draft, number: u64) -> Update {
        let mut before = std::mem::take(&mut self.targets);
        let mut leaving = Vec::new();
        let mut groups = BTreeMap::new();
        for group in draft.groups {
            let arn = group.arn.clone();
            groups.insert(
                arn,
                self.take_group(group, number, &mut before, &mut leaving),
            );
        }
        // A target that no table names any more gets no new request; what it has may end.
        leaving.extend(before.into_values().map(|entry| entry.target));
        self.groups.retain(|arn, _| groups.contains_key(arn));
        let ports = &draft.listeners;
        self.listeners.retain(|port, _| ports.contains_key(port));
        let listeners = draft.listeners.into_iter();
        let listeners = listeners.map(|(port, draft)| self.take_listener(port, draft, &groups));
        let table = RoutingTable {
            revision: draft.revision,
            listeners: listeners.collect(),
            groups: groups.values().cloned().collect(),
        };
        Update { table, leaving }
    }

    fn take_group(
        &mut self,
        group: GroupDraft,
        number: u64,
        before: &mut BTreeMap<Key, Entry>,
        leaving: &mut Vec<Arc<Target>>,
    ) -> Arc<TargetGroup> {
        let mut targets = Vec::with_capacity(group.targets.len());
        let workers = self.workers;
        let kept = self.groups.entry(group.arn.clone());
        let kept = kept.or_insert_with(|| KeptGroup {
            turns: Arc::new(Turns::new(workers)),
            room: Arc::default(),
            traffic: Arc::new(Traffic::new(workers)),
        });
        let (turns, room) = (Arc::clone(&kept.turns), Arc::clone(&kept.room));
        let traffic = Arc::clone(&kept.traffic);
        let company = Company {
            group: Arc::from(group.arn.as_str()),
            protocol: group.protocol_version.protocol(),
            transport: group.transport,
            proxy_protocol: group.proxy_protocol,
            changed: Arc::clone(&self.changed),
            room: Arc::clone(&room),
            traffic: Arc::clone(&traffic),
        };
        for draft in group.targets {
            let key = (group.arn.clone(), draft.id.clone());
            let check = group.health_check.as_ref();
            let mut entry =
                self.take_target(before.remove(&key), &group.arn, &draft, check, &company);
            entry.target.set_most_requests(group.requests_per_target);
            entry
                .target
                .set_near(self.zone.is_empty() || draft.zone == self.zone);
            targets.push(Arc::clone(&entry.target));
            if draft.draining_until.is_some() {
                entry.draining_since.get_or_insert(number);
                leaving.push(Arc::clone(&entry.target));
            }
            self.targets.insert(key, entry);
        }
        let mark = mark(&group.arn);
        Arc::new(TargetGroup {
            arn: group.arn,
            mark,
            protocol_version: group.protocol_version,
            targets,
            counts: (!group.deployment.is_empty()).then(|| self.ledger.of(&group.deployment)),
            turns,
            algorithm: group.algorithm,
            slow_start: group.slow_start,
            stickiness: group.stickiness,
            prefers_own_zone: group.prefers_own_zone,
            waiting: group.waiting,
            room,
            traffic,
        })
    }

    fn take_listener(
        &mut self,
        port: u16,
        draft: ListenerDraft,
        groups: &BTreeMap<String, Arc<TargetGroup>>,
    ) -> Listener {
        let workers = self.workers;
        let kept = self.listeners.entry(port).or_insert_with(|| KeptListener {
            meter: None,
            traffic: Arc::new(Traffic::new(workers)),
        });
        // Who has used up a limit has not because the table is new.
        if kept.meter.as_ref().map(|meter| meter.limit()) != draft.rate_limit {
            kept.meter = draft.rate_limit.map(|limit| Arc::new(Meter::new(limit)));
        }
        let rules = draft.rules.into_iter();
        Listener {
            port,
            speaks: draft.speaks,
            proxy_protocol: draft.proxy_protocol,
            access: draft.access,
            meter: kept.meter.clone(),
            arn: draft.arn,
            traffic: Arc::clone(&kept.traffic),
            rules: rules.map(|rule| bind(rule, groups)).collect(),
        }
    }

    fn take_target(
        &self,
        before: Option<Entry>,
        group: &str,
        draft: &TargetDraft,
        check: Option<&HealthCheck>,
        company: &Company,
    ) -> Entry {
        let fresh = match check {
            Some(_) => Health::new(),
            None => Health::unchecked(),
        };
        let known = before.filter(|entry| {
            entry.target.address() == draft.address
                && entry.target.protocol() == company.protocol
                && entry.target.transport() == company.transport
                && entry.target.proxy_protocol() == company.proxy_protocol
        });
        let mut entry = known.unwrap_or_else(|| Entry {
            target: Arc::new(Target::new(
                draft.address,
                mark(&format!("{group} {}", draft.id)),
                fresh.clone(),
                Pool::new(self.workers, self.pool_size),
                Traffic::new(self.workers),
                company.clone(),
            )),
            check: None,
            draining_since: None,
            deadline: None,
            prober: None,
        });
        if entry.check.is_some() != check.is_some() {
            entry.target.reset_health(fresh);
        }
        let draining = draft.draining_until.is_some();
        let check = check.map(|check| HealthCheck {
            suspect: draft.suspect,
            ..check.clone()
        });
        // Another check begins at once.
        if draining || entry.check != check {
            entry.prober = None;
        }
        if let (None, false, Some(check)) = (&entry.prober, draining, &check) {
            let (target, check) = (Arc::clone(&entry.target), check.clone());
            let prober = tokio::spawn(async move { keep_probing(&target, &check).await });
            entry.prober = Some(AbortOnDropHandle::new(prober));
        }
        entry.check = check;
        entry.deadline = draft.draining_until.map(instant_of);
        entry
    }

    /// Forgets old counts. `deployments` are those of the newest table.
    pub(crate) fn retire_counts(&mut self, deployments: &BTreeSet<&str>) {
        self.ledger
            .retire_all_but(|deployment| deployments.contains(deployment));
    }

    /// Cuts the requests of every target whose deadline has passed; returns whether there were any.
    pub(crate) fn cut_overdue(&self, now: Instant) -> bool {
        let mut any = false;
        for entry in self.targets.values() {
            let overdue = entry.deadline.is_some_and(|deadline| deadline <= now);
            if overdue && entry.target.requests() > 0 && !entry.target.is_cut() {
                entry.target.cut();
                any = true;
            }
        }
        any
    }

    /// Returns when `cut_overdue` or a report is due next because of a deadline.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let busy = self
            .targets
            .values()
            .filter(|entry| entry.target.requests() > 0);
        busy.filter_map(|entry| {
            let deadline = entry.deadline?;
            Some(if entry.target.is_cut() {
                deadline + CUT_GRACE
            } else {
                deadline
            })
        })
        .filter(|moment| *moment > now)
        .min()
    }

    /// Returns the state of every target, when the table with the number `saved` is on disk.
    pub(crate) fn report(&self, now: Instant, saved: u64) -> Vec<TargetReport> {
        let entries = self.targets.iter();
        entries
            .map(|((group, id), entry)| entry.report(group, id, now, saved))
            .collect()
    }

    /// Returns the counts of every deployment.
    pub(crate) fn counts(&self) -> Vec<DeploymentCounts> {
        self.ledger.report()
    }
}

impl Entry {
    fn report(&self, group: &str, id: &str, now: Instant, saved: u64) -> TargetReport {
        let traffic = self.target.traffic().sum();
        let mut report = TargetReport {
            target_group_arn: group.to_owned(),
            target_id: id.to_owned(),
            last_probe: self.target.last_probe(),
            answered: traffic.by_target.iter().sum(),
            failed: traffic.failed,
            under_way: self.target.requests(),
            microseconds: traffic.microseconds,
            ..TargetReport::default()
        };
        if self.target.is_draining() {
            let given_up = self
                .deadline
                .is_some_and(|deadline| deadline + CUT_GRACE <= now);
            "draining".clone_into(&mut report.state);
            "Target.DeregistrationInProgress".clone_into(&mut report.reason);
            "Target deregistration is in progress".clone_into(&mut report.description);
            let kept = self.draining_since.is_some_and(|number| number <= saved);
            report.drained =
                kept && (self.target.requests() == 0 || (given_up && self.target.is_cut()));
            return report;
        }
        let health = self.target.health();
        let (reason, description) = health.reason();
        let state = match health.state() {
            State::Initial => "initial",
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
        };
        state.clone_into(&mut report.state);
        reason.clone_into(&mut report.reason);
        report.description = description;
        report
    }
}

fn bind(rule: Rule<String>, groups: &BTreeMap<String, Arc<TargetGroup>>) -> Rule<Arc<TargetGroup>> {
    let action = match rule.action {
        Action::Forward(forward) => {
            let bound = forward.groups.into_iter().filter_map(|choice| {
                let group = Arc::clone(groups.get(&choice.group)?);
                let weight = choice.weight;
                Some(Weighted { weight, group })
            });
            Action::Forward(Forward {
                groups: bound.collect(),
                stickiness: forward.stickiness,
            })
        }
        Action::Redirect(redirect) => Action::Redirect(redirect),
        Action::Fixed(response) => Action::Fixed(response),
    };
    Rule {
        priority: rule.priority,
        conditions: rule.conditions,
        action,
    }
}

#[cfg(test)]
mod tests;
