//! Writes the page that a scrape gets.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::access_log::AccessLog;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::target::Target;
use crate::traffic::{BOUNDS, CLASSES, Sum, Traffic};

/// Returns the page.
///
/// # Errors
/// Never, as far as we know: writing to memory does not fail.
pub(super) fn write(shared: &Shared) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("roadstead_lb");
    registry.register_collector(Box::new(Snapshot::take(shared)));
    let mut page = String::new();
    prometheus_text::encode(&mut page, &registry)?;
    Ok(page)
}

type Labels = Vec<(&'static str, String)>;

/// Every counter at one moment.
#[derive(Debug)]
struct Snapshot {
    listeners: Vec<(Labels, Sum)>,
    groups: Vec<(Labels, Sum)>,
    targets: Vec<(Labels, Sum)>,
    waiting: Vec<(Labels, u64)>,
    under_way: Vec<(Labels, u64)>,
    healthy: Vec<(Labels, u64)>,
    ejected: Vec<(Labels, u64)>,
    process: Process,
}

#[derive(Debug)]
struct Process {
    table_revision: u64,
    connections: u64,
    requests: u64,
    lost_log_lines: u64,
}

impl Snapshot {
    fn take(shared: &Shared) -> Self {
        let (table, now) = (shared.table.load(), Instant::now());
        let listeners = table.listeners.iter().map(|listener| {
            let labels = vec![("listener", listener.port.to_string())];
            (labels, listener.traffic.sum())
        });
        let mut snapshot = Self {
            listeners: listeners.collect(),
            groups: Vec::new(),
            targets: Vec::new(),
            waiting: Vec::new(),
            under_way: Vec::new(),
            healthy: Vec::new(),
            ejected: Vec::new(),
            process: Process {
                table_revision: table.revision,
                connections: number(shared.open_connections()),
                requests: number(shared.requests_under_way()),
                lost_log_lines: shared.access_log.as_ref().map_or(0, AccessLog::lost),
            },
        };
        for group in &table.groups {
            let labels = vec![("target_group", group.name().to_owned())];
            snapshot
                .waiting
                .push((labels.clone(), number(group.room.waiting())));
            // A task may have got the port of one that is still going.
            let mut by_address: BTreeMap<_, Vec<&Target>> = BTreeMap::new();
            for target in &group.targets {
                by_address.entry(target.address()).or_default().push(target);
            }
            for (address, targets) in by_address {
                let mut labels = labels.clone();
                labels.push(("target", address.to_string()));
                let any =
                    |is: &dyn Fn(&Target) -> bool| targets.iter().any(|target| is(target)).into();
                let under_way = targets.iter().map(|target| target.requests()).sum();
                let sum = Traffic::sum_of(targets.iter().map(|target| target.traffic()));
                snapshot.under_way.push((labels.clone(), under_way));
                snapshot
                    .healthy
                    .push((labels.clone(), any(&Target::is_healthy)));
                snapshot
                    .ejected
                    .push((labels.clone(), any(&|target| target.is_ejected(now))));
                snapshot.targets.push((labels, sum));
            }
            snapshot.groups.push((labels, group.traffic.sum()));
        }
        snapshot
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.answers("listener", "of a listener", &self.listeners)?;
        page.answers("target_group", "of a target group", &self.groups)?;
        page.answers("target", "of a target", &self.targets)?;
        page.times("listener", "of a listener", &self.listeners)?;
        page.times("target_group", "of a target group", &self.groups)?;
        page.times("target", "of a target", &self.targets)?;
        page.refusals(&self.listeners)?;
        for (name, help, of) in LISTENER_COUNTERS {
            page.counters(&format!("listener_{name}"), help, &self.listeners, of)?;
        }
        for (name, help, of) in TARGET_COUNTERS {
            page.counters(&format!("target_group_{name}"), help, &self.groups, of)?;
            page.counters(&format!("target_{name}"), help, &self.targets, of)?;
        }
        page.gauges(
            "target_group_waiting_requests",
            "Requests that wait for a target now",
            &self.waiting,
        )?;
        page.gauges(
            "target_requests_under_way",
            "Requests that a target has now",
            &self.under_way,
        )?;
        page.gauges(
            "target_healthy",
            "Whether a target is healthy by its probes, 1 or 0",
            &self.healthy,
        )?;
        page.gauges(
            "target_ejected",
            "Whether a target gets no requests for now because they fail there, 1 or 0",
            &self.ejected,
        )?;
        let process = &self.process;
        for (name, help, value) in [
            (
                "table_revision",
                "Revision of the routing table in force",
                process.table_revision,
            ),
            (
                "connections",
                "Client connections that are open now",
                process.connections,
            ),
            (
                "requests_under_way",
                "Requests that are under way now",
                process.requests,
            ),
        ] {
            page.gauges(name, help, &[(Labels::new(), value)])?;
        }
        let help = "Lines that the access log could not take";
        let mut lost =
            page.0
                .encode_descriptor("access_log_lost_lines", help, None, MetricType::Counter)?;
        lost.encode_counter::<NoLabelSet, _, u64>(&process.lost_log_lines, None)
    }
}

type Counter = fn(&Sum) -> u64;

const LISTENER_COUNTERS: [(&str, &str, Counter); 3] = [
    (
        "sent_bytes",
        "Bytes of bodies that were sent to clients",
        |sum| sum.sent,
    ),
    ("connections", "Connections that were taken", |sum| {
        sum.connections
    }),
    (
        "refused_connections",
        "Connections that were closed at once: their address may not connect, or has too many",
        |sum| sum.refused_connections,
    ),
];

const TARGET_COUNTERS: [(&str, &str, Counter); 3] = [
    (
        "connections",
        "Connections of TCP listeners that were passed on",
        |sum| sum.connections,
    ),
    (
        "failed_requests",
        "Requests that a target has not answered, or not to the end",
        |sum| sum.failed,
    ),
    (
        "retried_requests",
        "Requests that were sent on to another target",
        |sum| sum.retried,
    ),
];

/// The page as it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn answers(&mut self, of: &str, help: &str, all: &[(Labels, Sum)]) -> fmt::Result {
        let name = format!("{of}_answers");
        let help = format!("Answers {help}, by their class and by who has given them");
        let mut metric = self
            .0
            .encode_descriptor(&name, &help, None, MetricType::Counter)?;
        for (labels, sum) in all {
            let by = [
                ("target", sum.by_target),
                ("load_balancer", sum.by_load_balancer),
            ];
            for (by, counts) in by {
                for (class, count) in CLASSES.iter().zip(counts) {
                    let mut labels = labels.clone();
                    labels.push(("by", by.to_owned()));
                    labels.push(("code", (*class).to_owned()));
                    let mut series = metric.encode_family(&labels)?;
                    series.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
                }
            }
        }
        Ok(())
    }

    /// Those that there were: of the others there would be many.
    fn refusals(&mut self, listeners: &[(Labels, Sum)]) -> fmt::Result {
        let help = "Requests that got an error of the load balancer's own, by what was wrong";
        let mut metric =
            self.0
                .encode_descriptor("listener_refusals", help, None, MetricType::Counter)?;
        for (labels, sum) in listeners {
            let some = Reason::ALL
                .into_iter()
                .zip(sum.refusals)
                .filter(|(_, count)| *count > 0);
            for (reason, count) in some {
                let mut labels = labels.clone();
                labels.push(("reason", reason.name().to_owned()));
                let mut series = metric.encode_family(&labels)?;
                series.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    fn times(&mut self, of: &str, help: &str, all: &[(Labels, Sum)]) -> fmt::Result {
        let name = format!("{of}_answer_seconds");
        let help = format!("Time from a request's head to the head of the target's answer, {help}");
        let mut metric = self
            .0
            .encode_descriptor(&name, &help, None, MetricType::Histogram)?;
        for (labels, sum) in all {
            // The encoder adds the last one, which has no bound.
            let bounds = BOUNDS.iter().map(|bound| seconds(*bound));
            let buckets: Vec<_> = bounds.zip(sum.buckets).collect();
            let count = sum.buckets.iter().sum();
            let mut series = metric.encode_family(labels)?;
            let total = seconds(sum.microseconds);
            series.encode_histogram::<NoLabelSet>(total, count, &buckets, None)?;
        }
        Ok(())
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        all: &[(Labels, Sum)],
        of: Counter,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, sum) in all {
            let mut series = metric.encode_family(labels)?;
            series.encode_counter::<NoLabelSet, _, u64>(&of(sum), None)?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, all: &[(Labels, u64)]) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in all {
            metric.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }
}

fn seconds(microseconds: u64) -> f64 {
    std::time::Duration::from_micros(microseconds).as_secs_f64()
}
