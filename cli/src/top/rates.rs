//! Rates between two looks at the counters of all load balancers.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use roadstead_client::proto::lb::{NodeReport, TargetReport, Traffic};
use serde::Serialize;

use crate::output::arn::target_group_name;

/// What every load balancer had counted at one moment.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) nodes: Vec<NodeReport>,
}

/// What all load balancers together did between two looks. Rates are of a second, times are milliseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rates {
    pub(crate) load_balancer_nodes: usize,
    pub(crate) listeners: Vec<ListenerRow>,
    pub(crate) target_groups: Vec<GroupRow>,
    pub(crate) targets: Vec<TargetRow>,
}

/// A listener.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerRow {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) sent_bytes: f64,
}

/// A target group.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupRow {
    #[serde(flatten)]
    pub(crate) row: Row,
    /// Requests that were sent on to another target.
    pub(crate) retried: f64,
    /// Requests that wait for a target now.
    pub(crate) waiting: u32,
}

/// What both have.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Answers of targets and of the load balancers' own.
    pub(crate) requests: f64,
    /// Answers of targets with 4xx and 5xx.
    pub(crate) client_errors: f64,
    pub(crate) server_errors: f64,
    /// Answers of the load balancers' own with 5xx; of a target group, requests that no target has answered.
    pub(crate) failed: f64,
    /// Half of the targets' answers came within that time; absent when there was none.
    pub(crate) p50: Option<f64>,
    /// All but one in a hundred.
    pub(crate) p99: Option<f64>,
}

/// A target.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetRow {
    pub(crate) target_group: String,
    /// Id of the task.
    pub(crate) target: String,
    /// The worst that a load balancer says.
    pub(crate) state: String,
    pub(crate) requests: f64,
    pub(crate) failed: f64,
    pub(crate) mean: Option<f64>,
    pub(crate) under_way: u64,
    /// What each load balancer's last probe came to.
    pub(crate) last_probes: Vec<String>,
}

impl Rates {
    /// Returns what happened between two looks, of each load balancer by its own clock: it reports in a rhythm of its own. One
    /// that was not there the first time, or has started anew, is counted from the next look on.
    pub(crate) fn between(before: &Look, after: &Look) -> Self {
        let mut listeners = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let mut targets = BTreeMap::new();
        let mut bounds: &[u64] = &[];
        for node in &after.nodes {
            if !node.bucket_bounds.is_empty() {
                bounds = &node.bucket_bounds;
            }
            let then = before.nodes.iter().find(|then| {
                (&then.node_id, &then.incarnation) == (&node.node_id, &node.incarnation)
            });
            let span = then.map(|then| Span {
                then,
                seconds: seconds(
                    node.uptime_milliseconds
                        .saturating_sub(then.uptime_milliseconds),
                ),
            });
            let known = span.map(|span| (span.then.listeners.as_slice(), span.seconds));
            add(&mut listeners, known, &node.listeners);
            let known = span.map(|span| (span.then.target_groups.as_slice(), span.seconds));
            add(&mut groups, known, &node.target_groups);
            add_targets(&mut targets, span, &node.targets);
        }
        let listeners = listeners.into_values().map(|sum: Sum| ListenerRow {
            row: sum.row(sum.own_errors, bounds),
            sent_bytes: sum.sent_bytes,
        });
        let groups = groups.into_values().map(|sum: Sum| GroupRow {
            row: sum.row(sum.failed, bounds),
            retried: sum.retried,
            waiting: sum.waiting,
        });
        Self {
            load_balancer_nodes: after.nodes.len(),
            listeners: listeners.collect(),
            target_groups: groups.collect(),
            targets: targets.into_values().collect(),
        }
    }
}

/// What a load balancer had reported at the first look, and how many seconds before its newest report that was.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    then: &'a NodeReport,
    seconds: f64,
}

/// The rates of one listener or target group, of all load balancers together.
#[derive(Debug, Default)]
struct Sum {
    name: String,
    requests: f64,
    client_errors: f64,
    server_errors: f64,
    own_errors: f64,
    failed: f64,
    retried: f64,
    sent_bytes: f64,
    buckets: Vec<u64>,
    waiting: u32,
}

impl Sum {
    fn row(&self, failed: f64, bounds: &[u64]) -> Row {
        Row {
            name: self.name.clone(),
            requests: self.requests,
            client_errors: self.client_errors,
            server_errors: self.server_errors,
            failed,
            p50: quantile(&self.buckets, bounds, 0.5),
            p99: quantile(&self.buckets, bounds, 0.99),
        }
    }
}

/// Adds to each sum what has been counted since, if it is known what was before.
fn add(sums: &mut BTreeMap<String, Sum>, known: Option<(&[Traffic], f64)>, after: &[Traffic]) {
    for now in after {
        let sum = sums.entry(now.arn.clone()).or_default();
        sum.name.clone_from(&now.name);
        sum.waiting += now.waiting;
        let Some((before, seconds)) = known else {
            continue;
        };
        let nothing = Traffic::default();
        let then = before.iter().find(|then| then.arn == now.arn);
        let then = then.unwrap_or(&nothing);
        let since = |now: u64, then: u64| rate(now.saturating_sub(then), seconds);
        let class = |now: &[u64], then: &[u64], class: usize| {
            let of = |counts: &[u64]| counts.get(class - 1).copied().unwrap_or(0);
            since(of(now), of(then))
        };
        for one in 1..=5 {
            sum.requests += class(&now.by_target, &then.by_target, one);
            sum.requests += class(&now.by_load_balancer, &then.by_load_balancer, one);
        }
        sum.client_errors += class(&now.by_target, &then.by_target, 4);
        sum.server_errors += class(&now.by_target, &then.by_target, 5);
        sum.own_errors += class(&now.by_load_balancer, &then.by_load_balancer, 5);
        sum.failed += since(now.failed, then.failed);
        sum.retried += since(now.retried, then.retried);
        sum.sent_bytes += since(now.sent_bytes, then.sent_bytes);
        let longest = sum.buckets.len().max(now.buckets.len());
        sum.buckets.resize(longest, 0);
        for (at, (sum, now)) in sum.buckets.iter_mut().zip(&now.buckets).enumerate() {
            *sum += now.saturating_sub(then.buckets.get(at).copied().unwrap_or(0));
        }
    }
}

fn add_targets(
    rows: &mut BTreeMap<(String, String), TargetRow>,
    span: Option<Span<'_>>,
    after: &[TargetReport],
) {
    let then = span.iter().flat_map(|span| &span.then.targets);
    let then: HashMap<_, _> = then.map(|then| (identity(then), then)).collect();
    for now in after {
        let key = (now.target_group_arn.clone(), now.target_id.clone());
        let row = rows.entry(key).or_insert_with(|| TargetRow {
            target_group: target_group_name(&now.target_group_arn).to_owned(),
            target: now.target_id.clone(),
            state: now.state.clone(),
            ..TargetRow::default()
        });
        if badness(&now.state) > badness(&row.state) {
            row.state.clone_from(&now.state);
        }
        row.under_way += now.under_way;
        if !now.last_probe.is_empty() {
            row.last_probes.push(now.last_probe.clone());
        }
        let Some(span) = span else {
            continue;
        };
        let nothing = TargetReport::default();
        let then = then.get(&identity(now)).copied().unwrap_or(&nothing);
        let answered = now.answered.saturating_sub(then.answered);
        let microseconds = now.microseconds.saturating_sub(then.microseconds);
        row.requests += rate(answered, span.seconds);
        row.failed += rate(now.failed.saturating_sub(then.failed), span.seconds);
        if answered > 0 {
            // Of several load balancers the slowest view.
            let mean = float(microseconds) / float(answered) / 1000.0;
            row.mean = Some(row.mean.map_or(mean, |known| known.max(mean)));
        }
    }
}

fn identity(target: &TargetReport) -> (&str, &str) {
    (&target.target_group_arn, &target.target_id)
}

fn badness(state: &str) -> u8 {
    match state {
        "healthy" => 0,
        "initial" => 1,
        "draining" => 2,
        _ => 3,
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

/// Returns the time within which such a part of the answers came, in milliseconds: in a straight line through its bucket.
fn quantile(buckets: &[u64], bounds: &[u64], part: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    let wanted = float(all) * part;
    let mut below = 0;
    for (at, count) in buckets.iter().enumerate() {
        let reached = below + count;
        if *count > 0 && float(reached) >= wanted {
            let from = at.checked_sub(1).and_then(|before| bounds.get(before));
            let from = from.copied().unwrap_or(0);
            // The last bucket has no end; what is in it took at least so long.
            let to = bounds.get(at).copied().unwrap_or(from);
            let share = (wanted - float(below)) / float(*count);
            return Some((float(from) + float(to - from) * share) / 1000.0);
        }
        below = reached;
    }
    None
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        float(count) / seconds
    } else {
        0.0
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people needs no more than 52 bits"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, incarnation: &str, answers: u64, buckets: &[u64]) -> NodeReport {
        NodeReport {
            uptime_milliseconds: 1000,
            node_id: id.to_owned(),
            incarnation: incarnation.to_owned(),
            listeners: vec![Traffic {
                arn: "l".to_owned(),
                name: "80".to_owned(),
                by_target: vec![0, answers, 0, 0, 0],
                by_load_balancer: vec![0; 5],
                buckets: buckets.to_vec(),
                ..Traffic::default()
            }],
            bucket_bounds: vec![1_000, 2_000],
            ..NodeReport::default()
        }
    }

    /// Two seconds pass for each load balancer.
    fn between(before: Vec<NodeReport>, mut after: Vec<NodeReport>) -> Rates {
        for node in &mut after {
            node.uptime_milliseconds += 2000;
        }
        let at = Instant::now();
        let before = Look { at, nodes: before };
        let after = Look { at, nodes: after };
        Rates::between(&before, &after)
    }

    #[test]
    fn what_all_load_balancers_did_is_added_up() {
        let rates = between(
            vec![
                node("a", "1", 10, &[10, 0, 0]),
                node("b", "1", 0, &[0, 0, 0]),
            ],
            vec![
                node("a", "1", 30, &[30, 0, 0]),
                node("b", "1", 80, &[0, 80, 0]),
            ],
        );
        let row = &rates.listeners[0].row;
        assert_eq!((rates.load_balancer_nodes, row.requests), (2, 50.0));
        assert_eq!(row.p50, Some(1.375), "30 of the 80 between one and two");
    }

    #[test]
    fn a_load_balancer_that_has_started_anew_is_counted_from_the_next_look_on() {
        let rates = between(
            vec![node("a", "1", 1000, &[0, 0, 0])],
            vec![node("a", "2", 5, &[0, 0, 0]), node("b", "1", 7, &[0, 0, 0])],
        );
        assert_eq!(rates.listeners[0].row.requests, 0.0);
        assert_eq!(rates.listeners[0].row.p50, None);
    }

    #[test]
    fn a_time_without_an_upper_bound_is_its_lower_one() {
        assert_eq!(quantile(&[0, 0, 5], &[1_000, 2_000], 0.99), Some(2.0));
        assert_eq!(quantile(&[], &[], 0.5), None);
    }
}
