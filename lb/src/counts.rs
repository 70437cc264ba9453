//! Counts per deployment, for the receipt of a rollout.
//!
//! Each worker writes to a cache line of its own; whoever reports adds them up. A client that hung
//! up is counted nowhere: neither the service nor the load balancer failed it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roadstead_proto::lb::DeploymentCounts;

use crate::counter::Counter;

/// How many deployments without a target group are remembered: a receipt is long written by then.
const MOST_RETIRED: usize = 256;

/// What one deployment's requests came to.
#[derive(Debug)]
pub(crate) struct Counts {
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Shard {
    pub(crate) served: Counter,
    pub(crate) retried: Counter,
    pub(crate) failed: Counter,
    pub(crate) cut: Counter,
}

impl Counts {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| Shard::default()).collect(),
        }
    }

    /// Returns the counters that `worker` alone writes.
    pub(crate) fn of(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    fn sum(&self, counter: impl Fn(&Shard) -> &Counter) -> u64 {
        let values = self.shards.iter().map(|shard| counter(shard).get());
        values.sum()
    }
}

/// The counts of every deployment, since the start.
#[derive(Debug)]
pub(crate) struct Ledger {
    workers: usize,
    deployments: BTreeMap<String, Arc<Counts>>,
    retired: VecDeque<String>,
}

impl Ledger {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            deployments: BTreeMap::new(),
            retired: VecDeque::new(),
        }
    }

    /// Returns the counts of `deployment`, which begin at zero.
    pub(crate) fn of(&mut self, deployment: &str) -> Arc<Counts> {
        self.retired.retain(|retired| retired != deployment);
        let counts = self
            .deployments
            .entry(deployment.to_owned())
            .or_insert_with(|| Arc::new(Counts::new(self.workers)));
        Arc::clone(counts)
    }

    /// Forgets the longest retired of the deployments that `in_use` no longer holds, past the bound.
    pub(crate) fn retire_all_but(&mut self, in_use: impl Fn(&str) -> bool) {
        for deployment in self.deployments.keys() {
            if !in_use(deployment) && !self.retired.contains(deployment) {
                self.retired.push_back(deployment.clone());
            }
        }
        while self.retired.len() > MOST_RETIRED {
            if let Some(forgotten) = self.retired.pop_front() {
                self.deployments.remove(&forgotten);
            }
        }
    }

    /// Returns the sums, deployment by deployment.
    pub(crate) fn report(&self) -> Vec<DeploymentCounts> {
        let entries = self.deployments.iter();
        entries
            .map(|(deployment, counts)| DeploymentCounts {
                deployment: deployment.clone(),
                served: counts.sum(|shard| &shard.served),
                retried: counts.sum(|shard| &shard.retried),
                failed: counts.sum(|shard| &shard.failed),
                cut: counts.sum(|shard| &shard.cut),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_counts_are_added_up() {
        let mut ledger = Ledger::new(2);
        let counts = ledger.of("d1");
        counts.of(0).served.add(1);
        counts.of(1).served.add(1);
        ledger.of("d1").of(1).failed.add(1);
        let report = ledger.report();
        assert_eq!((report[0].served, report[0].failed), (2, 1));
    }

    #[test]
    fn only_the_longest_retired_deployments_are_forgotten() {
        let mut ledger = Ledger::new(1);
        for number in 0..=MOST_RETIRED {
            ledger.of(&format!("{number:04}"));
            ledger.retire_all_but(|_| false);
        }
        ledger.of("0001");
        ledger.retire_all_but(|deployment| deployment == "0001");
        let names: Vec<_> = ledger.report().into_iter().map(|c| c.deployment).collect();
        assert!(!names.contains(&"0000".to_owned()));
        assert!(names.contains(&"0001".to_owned()));
        assert_eq!(names.len(), MOST_RETIRED);
    }
}
