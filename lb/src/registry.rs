//! Keeps what outlives a routing table: targets, their probers and deadlines, turns and counts.
//!
//! A table is replaced whole, but a target that is in the old and in the new one is the same target:
//! its requests, its health and its connections go on. Only the control loop is in here; the cores
//! see the `RoutingTable` that `update` returns.

mod entry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use roadstead_proto::lb::{DeploymentCounts, TargetReport};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::addresses::Meter;
use crate::balance::FULL_WEIGHT;
use crate::counts::Ledger;
use crate::health::probe::keep_probing;
use crate::health::{Health, HealthCheck};
use crate::routing::{Action, Forward, Rule, Weighted};
use crate::succession::TargetName;
use crate::table::{
    Draft, GroupDraft, Listener, ListenerDraft, RoutingTable, TargetDraft, TargetGroup, Turns,
    instant_of, mark,
};
use crate::target::{Company, Target};
use crate::traffic::Traffic;
use crate::upstream::Pool;
use crate::waiting::Room;
use entry::{CUT_GRACE, Entry, is_spoken_to_as};

/// All targets of the newest table.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The load balancer's own; empty when it does not know.
    zone: String,
    workers: usize,
    pool_size: usize,
    changed: Arc<Notify>,
    targets: BTreeMap<TargetName, Entry>,
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
    arn: String,
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
        before: &mut BTreeMap<TargetName, Entry>,
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
        // Some of its targets have come so far that a new one is to grow beside them.
        let joins = is_at_work(before, &group);
        for draft in group.targets {
            let key = (group.arn.clone(), draft.id.clone());
            let check = group.health_check.as_ref();
            let known = before.remove(&key);
            let mut entry = self.take_target(known, &group.arn, &draft, check, &company, joins);
            entry.target.set_most_requests(group.requests_per_target);
            entry
                .target
                .set_near(self.zone.is_empty() || draft.zone == self.zone);
            targets.push(Arc::clone(&entry.target));
            leaving.extend(entry.former.iter().map(Arc::clone));
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
        if self
            .listeners
            .get(&port)
            .is_some_and(|kept| kept.arn != draft.arn)
        {
            self.listeners.remove(&port);
        }
        let kept = self.listeners.entry(port).or_insert_with(|| KeptListener {
            arn: draft.arn.clone(),
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
        joins: bool,
    ) -> Entry {
        let fresh = match check {
            Some(_) => Health::new(),
            None => Health::unchecked(),
        };
        let (known, former) = match before {
            Some(mut entry) if is_spoken_to_as(&entry.target, draft, company) => {
                entry.former.retain(|former| former.requests() > 0);
                (Some(entry), Vec::new())
            }
            Some(mut entry) => {
                entry.former.retain(|former| former.requests() > 0);
                entry.former.push(entry.target);
                (None, entry.former)
            }
            None => (None, Vec::new()),
        };
        let mut entry = known.unwrap_or_else(|| Entry {
            target: Arc::new(Target::new(
                draft.address,
                mark(&format!("{group} {}", draft.id)),
                fresh.clone(),
                Pool::new(self.workers, self.pool_size),
                Traffic::new(self.workers),
                company.clone(),
                joins,
            )),
            former,
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
            if entry.deadline.is_some_and(|deadline| deadline <= now) {
                for target in entry.busy().filter(|target| !target.is_cut()) {
                    target.cut();
                    any = true;
                }
            }
        }
        any
    }

    /// Returns when `cut_overdue` or a report is due next because of a deadline.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let draining = self
            .targets
            .values()
            .filter(|entry| entry.busy().next().is_some());
        let deadlines = draining.filter_map(|entry| {
            let deadline = entry.deadline?;
            let is_cut = entry.busy().all(|target| target.is_cut());
            Some(if is_cut {
                deadline + CUT_GRACE
            } else {
                deadline
            })
        });
        deadlines.filter(|moment| *moment > now).min()
    }

    /// Lets no request begin any more; returns where there still are some. `None` as long as requests wait for a target.
    pub(crate) fn close(&self) -> Option<BTreeSet<TargetName>> {
        if self.groups.values().any(|group| !group.room.is_empty()) {
            return None;
        }
        for entry in self.targets.values() {
            entry.target.drain();
        }
        let busy = self
            .targets
            .iter()
            .filter(|(_, entry)| entry.busy().next().is_some());
        Some(busy.map(|(name, _)| name.clone()).collect())
    }

    /// Returns the state of every target, when the table with the number `saved` is on disk; `drains`: whether no other process may have
    /// requests there.
    pub(crate) fn report(
        &self,
        now: Instant,
        saved: u64,
        drains: impl Fn(&TargetName) -> bool,
    ) -> Vec<TargetReport> {
        let entries = self.targets.iter();
        entries
            .map(|(name, entry)| entry.report(name, now, if drains(name) { saved } else { 0 }))
            .collect()
    }

    /// Returns the counts of every deployment.
    pub(crate) fn counts(&self) -> Vec<DeploymentCounts> {
        self.ledger.report()
    }
}

/// Returns whether the group has a healthy target that has its full share.
fn is_at_work(before: &BTreeMap<TargetName, Entry>, group: &GroupDraft) -> bool {
    let now = Instant::now();
    let slow_start = group.slow_start.unwrap_or_default();
    let mut own = group
        .targets
        .iter()
        .filter_map(|draft| before.get(&(group.arn.clone(), draft.id.clone())));
    own.any(|entry| {
        entry.target.is_healthy() && entry.target.weight(now, slow_start) == FULL_WEIGHT
    })
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
