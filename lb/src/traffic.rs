//! What was answered and how fast, for one listener, target group or target.
//!
//! Each worker writes a shard of its own, and nobody else writes there. Whoever reads adds the shards up.

use std::time::Duration;

use http::StatusCode;
use roadstead_proto::lb;

use crate::counter::Counter;
use crate::reason::Reason;

/// Upper bounds of the buckets in which the times of answers are counted, in microseconds; the last bucket has none.
pub(crate) const BOUNDS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// The classes of status codes, 1xx to 5xx.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Who has given an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Target,
    LoadBalancer,
}

/// What is counted of an answer, for each that has a part in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    by: By,
    class: usize,
    microseconds: u64,
    bucket: usize,
}

impl Answer {
    /// `took`: from the request's head to its own.
    pub(crate) fn new(by: By, status: StatusCode, took: Duration) -> Self {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self {
            by,
            class: usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1,
            microseconds,
            bucket: BOUNDS.partition_point(|bound| *bound < microseconds),
        }
    }
}

/// The counters of one listener, target group or target.
#[derive(Debug)]
pub(crate) struct Traffic {
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    by_target: [Counter; CLASSES.len()],
    by_load_balancer: [Counter; CLASSES.len()],
    failed: Counter,
    retried: Counter,
    sent: Counter,
    connections: Counter,
    refused_connections: Counter,
    refusals: [Counter; Reason::ALL.len()],
    microseconds: Counter,
    buckets: [Counter; BUCKETS],
}

/// What the counters have come to since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Answers of targets, by their class.
    pub(crate) by_target: [u64; CLASSES.len()],
    /// Answers of the load balancer's own, by their class.
    pub(crate) by_load_balancer: [u64; CLASSES.len()],
    /// Requests that a target has not answered, or not to the end.
    pub(crate) failed: u64,
    /// Requests that were sent on to another target.
    pub(crate) retried: u64,
    /// Bytes of bodies that were sent to clients.
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    /// Connections that were closed at once.
    pub(crate) refused_connections: u64,
    /// Requests that were answered with an error of the load balancer's own, by `Reason`.
    pub(crate) refusals: [u64; Reason::ALL.len()],
    /// Of all answers of targets together, from the request's head to the answer's.
    pub(crate) microseconds: u64,
    pub(crate) buckets: [u64; BUCKETS],
}

impl Traffic {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shards: (0..workers).map(|_| Shard::default()).collect(),
        }
    }

    /// Returns how many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.shards.len()
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, worker: usize, answer: Answer) {
        let shard = &self.shards[worker];
        match answer.by {
            By::LoadBalancer => shard.by_load_balancer[answer.class].add(1),
            By::Target => {
                shard.by_target[answer.class].add(1);
                shard.microseconds.add(answer.microseconds);
                shard.buckets[answer.bucket].add(1);
            }
        }
    }

    pub(crate) fn failed(&self, worker: usize) {
        self.shards[worker].failed.add(1);
    }

    pub(crate) fn retried(&self, worker: usize) {
        self.shards[worker].retried.add(1);
    }

    pub(crate) fn sent(&self, worker: usize, bytes: u64) {
        self.shards[worker].sent.add(bytes);
    }

    pub(crate) fn connected(&self, worker: usize) {
        self.shards[worker].connections.add(1);
    }

    pub(crate) fn refused_connection(&self, worker: usize) {
        self.shards[worker].refused_connections.add(1);
    }

    /// Counts a request that is answered with an error of our own.
    pub(crate) fn refused(&self, worker: usize, reason: Reason) {
        self.shards[worker].refusals[reason as usize].add(1);
    }

    /// Returns what it has come to, for the control plane.
    pub(crate) fn report(&self, arn: &str, name: &str) -> lb::Traffic {
        let sum = self.sum();
        lb::Traffic {
            arn: arn.to_owned(),
            name: name.to_owned(),
            by_target: sum.by_target.to_vec(),
            by_load_balancer: sum.by_load_balancer.to_vec(),
            failed: sum.failed,
            retried: sum.retried,
            sent_bytes: sum.sent,
            buckets: sum.buckets.to_vec(),
            waiting: 0,
        }
    }

    pub(crate) fn sum(&self) -> Sum {
        Self::sum_of([self])
    }

    /// Returns what several have come to together.
    pub(crate) fn sum_of<'a>(several: impl IntoIterator<Item = &'a Self>) -> Sum {
        let mut sum = Sum::default();
        for shard in several.into_iter().flat_map(|traffic| &traffic.shards) {
            for (total, counter) in sum.by_target.iter_mut().zip(&shard.by_target) {
                *total += counter.get();
            }
            for (total, counter) in sum.by_load_balancer.iter_mut().zip(&shard.by_load_balancer) {
                *total += counter.get();
            }
            for (total, counter) in sum.buckets.iter_mut().zip(&shard.buckets) {
                *total += counter.get();
            }
            for (total, counter) in sum.refusals.iter_mut().zip(&shard.refusals) {
                *total += counter.get();
            }
            sum.failed += shard.failed.get();
            sum.retried += shard.retried.get();
            sum.sent += shard.sent.get();
            sum.connections += shard.connections.get();
            sum.refused_connections += shard.refused_connections.get();
            sum.microseconds += shard.microseconds.get();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_shards_are_added_up() {
        let traffic = Traffic::new(2);
        let ok = StatusCode::OK;
        traffic.answered(0, Answer::new(By::Target, ok, Duration::from_micros(250)));
        traffic.answered(1, Answer::new(By::Target, ok, Duration::from_micros(251)));
        let slow = Duration::from_secs(60);
        traffic.answered(1, Answer::new(By::Target, StatusCode::NOT_FOUND, slow));
        traffic.answered(
            0,
            Answer::new(By::LoadBalancer, StatusCode::BAD_GATEWAY, Duration::ZERO),
        );
        traffic.sent(0, 10);
        traffic.sent(1, 5);
        let sum = traffic.sum();
        assert_eq!(sum.by_target, [0, 2, 0, 1, 0]);
        assert_eq!(sum.by_load_balancer, [0, 0, 0, 0, 1]);
        assert_eq!(sum.sent, 15);
        assert_eq!(sum.microseconds, 60_000_501);
        let [first, second, .., last] = sum.buckets;
        assert_eq!((first, second, last), (1, 1, 1), "a bound is in its bucket");
    }

    #[test]
    fn a_status_of_no_class_is_counted_with_the_nearest() {
        let traffic = Traffic::new(1);
        let odd = StatusCode::from_u16(999).unwrap();
        traffic.answered(0, Answer::new(By::Target, odd, Duration::ZERO));
        assert_eq!(traffic.sum().by_target, [0, 0, 0, 0, 1]);
    }
}
