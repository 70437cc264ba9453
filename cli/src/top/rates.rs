//! Rates between two looks at the counters of all load balancers.

use std::collections::BTreeMap;
use std::time::Instant;

use roadstead_client::proto::lb::{NodeReport, TargetReport, Traffic};
use serde::Serialize;

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
    /// Returns what happened between two looks. A load balancer that was not there the first time, or has started anew, is
    /// counted from the next look on.
    pub(crate) fn between(before: &Look, after: &Look) -> Self {
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
        let known = |node: &NodeReport| {
            let mut nodes = before.nodes.iter();
            nodes.find(|known| {
                (&known.node_id, &known.incarnation) == (&node.node_id, &node.incarnation)
            })
        };
        let mut listeners = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let mut targets = BTreeMap::new();
        let mut bounds: &[u64] = &[];
        for node in &after.nodes {
            let earlier = known(node);
            bounds = &node.bucket_bounds;
            add(
                &mut listeners,
                earlier.map(|node| node.listeners.as_slice()),
                &node.listeners,
            );
            add(
                &mut groups,
                earlier.map(|node| node.target_groups.as_slice()),
                &node.target_groups,
            );
            add_targets(&mut targets, earlier, &node.targets, seconds);
        }
        let listeners = listeners.into_values().map(|sum| ListenerRow {
            row: row(&sum, own_errors(&sum), bounds, seconds),
            sent_bytes: rate(sum.sent_bytes, seconds),
        });
        let groups = groups.into_values().map(|sum| GroupRow {
            row: row(&sum, sum.failed, bounds, seconds),
            retried: rate(sum.retried, seconds),
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

/// Adds to each sum what has been counted since, if it is known what was before.
fn add(sums: &mut BTreeMap<String, Traffic>, before: Option<&[Traffic]>, after: &[Traffic]) {
    for now in after {
        let sum = sums.entry(now.arn.clone()).or_insert_with(|| Traffic {
            arn: now.arn.clone(),
            name: now.name.clone(),
            ..Traffic::default()
        });
        sum.waiting += now.waiting;
        let Some(before) = before else {
            continue;
        };
        let nothing = Traffic::default();
        let then = before.iter().find(|then| then.arn == now.arn);
        let then = then.unwrap_or(&nothing);
        for (sum, then, now) in [
            (&mut sum.by_target, &then.by_target, &now.by_target),
            (
                &mut sum.by_load_balancer,
                &then.by_load_balancer,
                &now.by_load_balancer,
            ),
            (&mut sum.buckets, &then.buckets, &now.buckets),
        ] {
            sum.resize(now.len().max(sum.len()), 0);
            for (at, now) in now.iter().enumerate() {
                let then = then.get(at).copied().unwrap_or(0);
                sum[at] += now.saturating_sub(then);
            }
        }
        sum.failed += now.failed.saturating_sub(then.failed);
        sum.retried += now.retried.saturating_sub(then.retried);
        sum.sent_bytes += now.sent_bytes.saturating_sub(then.sent_bytes);
    }
}

fn row(sum: &Traffic, failed: u64, bounds: &[u64], seconds: f64) -> Row {
    let answers = sum.by_target.iter().chain(&sum.by_load_balancer).sum();
    Row {
        name: sum.name.clone(),
        requests: rate(answers, seconds),
        client_errors: rate(class(&sum.by_target, 4), seconds),
        server_errors: rate(class(&sum.by_target, 5), seconds),
        failed: rate(failed, seconds),
        p50: quantile(&sum.buckets, bounds, 0.5),
        p99: quantile(&sum.buckets, bounds, 0.99),
    }
}

fn own_errors(sum: &Traffic) -> u64 {
    class(&sum.by_load_balancer, 5)
}

fn class(counts: &[u64], class: usize) -> u64 {
    counts.get(class - 1).copied().unwrap_or(0)
}

fn add_targets(
    rows: &mut BTreeMap<(String, String), TargetRow>,
    before: Option<&NodeReport>,
    after: &[TargetReport],
    seconds: f64,
) {
    for now in after {
        let key = (now.target_group_arn.clone(), now.target_id.clone());
        let row = rows.entry(key).or_insert_with(|| TargetRow {
            target_group: name(&now.target_group_arn).to_owned(),
            target: now.target_id.clone(),
            state: "healthy".to_owned(),
            ..TargetRow::default()
        });
        if now.state != "healthy" {
            row.state.clone_from(&now.state);
        }
        row.under_way += now.under_way;
        if !now.last_probe.is_empty() {
            row.last_probes.push(now.last_probe.clone());
        }
        let same = |then: &&TargetReport| {
            then.target_group_arn == now.target_group_arn && then.target_id == now.target_id
        };
        let Some(before) = before else {
            continue;
        };
        let nothing = TargetReport::default();
        let then = before.targets.iter().find(same).unwrap_or(&nothing);
        let answered = now.answered.saturating_sub(then.answered);
        let microseconds = now.microseconds.saturating_sub(then.microseconds);
        row.requests += rate(answered, seconds);
        row.failed += rate(now.failed.saturating_sub(then.failed), seconds);
        if answered > 0 {
            // Of several load balancers the slowest view.
            let mean = float(microseconds) / float(answered) / 1000.0;
            row.mean = Some(row.mean.map_or(mean, |known| known.max(mean)));
        }
    }
}

/// Returns the time within which such a part of the answers came, in milliseconds: in a straight line through its bucket.
fn quantile(buckets: &[u64], bounds: &[u64], part: f64) -> Option<f64> {
    let all: u64 = buckets.iter().sum();
    let wanted = float(all) * part;
    let mut below = 0;
    for (at, count) in buckets.iter().enumerate() {
        let reached = below + count;
        if *count > 0 && float(reached) >= wanted {
            let from = at.checked_sub(1).map_or(0, |before| bounds[before]);
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

/// `arn:…:targetgroup/NAME/ID`
fn name(arn: &str) -> &str {
    arn.split('/').nth(1).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn node(id: &str, incarnation: &str, answers: u64, buckets: &[u64]) -> NodeReport {
        NodeReport {
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

    fn between(before: Vec<NodeReport>, after: Vec<NodeReport>) -> Rates {
        let at = Instant::now();
        let before = Look { at, nodes: before };
        let after = Look {
            at: at + Duration::from_secs(2),
            nodes: after,
        };
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
