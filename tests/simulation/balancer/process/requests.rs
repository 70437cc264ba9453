//! The requests of a load balancer's clients: picked, sent, answered, cut.

use std::time::Duration;

use roadstead_proto::lb::DeploymentCounts;
use tokio::time::Instant;

use super::{Due, Key, Look, Process, State};
use crate::balancer::node_id;
use crate::invariants::drained_means_no_new_request::fails;

/// As the real one: what cannot have been acted on is sent to another target.
const MOST_ATTEMPTS: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A request with a target.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) target: Key,
    deployment: String,
    flight: u64,
    tried: Vec<Key>,
}

impl Process {
    /// A client asks, and the next one will soon.
    pub(super) fn ask(&mut self, group: String) {
        let pause = self.random.milliseconds(40, 160);
        let mut table = self.table.iter().flat_map(|table| &table.target_groups);
        let found = table.find(|one| one.target_group_arn == group);
        let Some(deployment) = found.map(|one| one.deployment.clone()) else {
            return;
        };
        self.send(&group, deployment, Vec::new());
        self.plan(pause, Due::Ask(group));
    }

    fn send(&mut self, group: &str, deployment: String, tried: Vec<Key>) {
        let able = |state: Option<State>| {
            let of_group = self.targets.range((group.to_owned(), String::new())..);
            let of_group = of_group.take_while(|(key, _)| key.0 == group);
            let fit = of_group.filter(|(key, one)| !one.draining && !tried.contains(key));
            let fit = fit.filter(|(_, one)| state.is_none_or(|state| one.health.state == state));
            fit.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let mut fit = able(Some(State::Healthy));
        if fit.is_empty() {
            // Better a doubtful one than none.
            fit = able(None);
        }
        if fit.is_empty() || tried.len() >= MOST_ATTEMPTS {
            // A group that nobody has ever served is nobody's failure.
            if !tried.is_empty() || self.counts.contains_key(&deployment) {
                self.count(&deployment).failed += 1;
                fails(&self.world, &node_id(self.number), group, "no target");
            }
            return;
        }
        self.turn += 1;
        let target = fit[self.turn % fit.len()].clone();
        let flight = self
            .world
            .balancers
            .take_off(&self.world, &node_id(self.number), &target.1);
        self.next += 1;
        let number = self.next;
        let request = Request {
            target,
            deployment,
            flight,
            tried,
        };
        self.requests.insert(number, request);
        let after = self.random.milliseconds(1, 4);
        self.plan(after, Due::Arrive(number));
    }

    pub(super) fn arrive(&mut self, number: u64) {
        let Some(request) = self.requests.get(&number) else {
            return;
        };
        let target = self.targets.get(&request.target);
        let found = target.map(|one| self.look(&one.address, one.port, &request.target.1));
        match found {
            Some(Look::Container(_)) => {
                self.world.balancers.arrive(request.flight);
                let slow = match self.random.between(0, 99) {
                    0..=1 => (2_000, 9_000),
                    2..=20 => (100, 900),
                    _ => (2, 60),
                };
                let after = self.random.milliseconds(slow.0, slow.1);
                self.plan(after, Due::Answer(number));
            }
            Some(Look::Nobody) | None => self.pass_on(number),
            Some(Look::Silence) if request.tried.contains(&request.target) => self.pass_on(number),
            Some(Look::Silence) => {
                // It waits for a connection, and then knows.
                let target = request.target.clone();
                if let Some(request) = self.requests.get_mut(&number) {
                    request.tried.push(target);
                }
                self.plan(CONNECT_TIMEOUT, Due::Arrive(number));
            }
        }
    }

    fn pass_on(&mut self, number: u64) {
        let Some(mut request) = self.requests.remove(&number) else {
            return;
        };
        self.world.balancers.land(request.flight);
        if !request.tried.contains(&request.target) {
            request.tried.push(request.target.clone());
        }
        self.count(&request.deployment).retried += 1;
        self.let_go(&request.target);
        self.send(&request.target.0, request.deployment, request.tried);
    }

    pub(super) fn answer(&mut self, number: u64) {
        let Some(request) = self.requests.remove(&number) else {
            return;
        };
        if self.world.balancers.land(request.flight) {
            self.count(&request.deployment).served += 1;
        } else {
            self.count(&request.deployment).failed += 1;
            let (node, group) = (node_id(self.number), &request.target.0);
            fails(&self.world, &node, group, "the target broke off");
        }
        self.let_go(&request.target);
    }

    /// The last request at a draining target is worth a report.
    fn let_go(&mut self, key: &Key) {
        self.changed |= self.targets.get(key).is_some_and(|one| one.draining);
    }

    pub(super) fn cut_overdue(&mut self) {
        let now = Instant::now();
        let overdue = |one: &super::Target| one.deadline.is_some_and(|at| at <= now);
        let keys: Vec<Key> = self
            .targets
            .iter_mut()
            .filter(|(_, one)| overdue(one))
            .map(|(key, one)| {
                one.cut = true;
                key.clone()
            })
            .collect();
        let cut = |_: &u64, one: &mut Request| keys.contains(&one.target);
        for (_, request) in self.requests.extract_if(.., cut).collect::<Vec<_>>() {
            self.world.balancers.land(request.flight);
            self.count(&request.deployment).cut += 1;
        }
        self.changed = true;
    }

    fn count(&mut self, deployment: &str) -> &mut DeploymentCounts {
        let counts = self.counts.entry(deployment.to_owned());
        counts.or_insert_with(|| DeploymentCounts {
            deployment: deployment.to_owned(),
            ..DeploymentCounts::default()
        })
    }
}
