//! Rates as a page for people.

use super::rates::{Rates, Row};
use crate::output::grid::grid;

/// Returns the page.
pub(super) fn page(rates: &Rates) -> String {
    let nodes = match rates.load_balancer_nodes {
        0 => "no load balancer is connected".to_owned(),
        1 => "1 load balancer".to_owned(),
        several => format!("{several} load balancers"),
    };
    let targets = rates.targets.iter().map(|target| {
        [
            target.target_group.clone(),
            target.target.clone(),
            target.state.clone(),
            rate(target.requests),
            rate(target.failed),
            time(target.mean),
            target.under_way.to_string(),
            target.last_probes.join(", "),
        ]
    });
    let targets = grid(
        [
            "TARGET GROUP",
            "TARGET",
            "STATE",
            "REQUESTS/S",
            "FAILED/S",
            "MEAN",
            "UNDER WAY",
            "LAST PROBES",
        ],
        targets,
    );
    let listeners = rates.listeners.iter().map(|listener| {
        let [name, requests, client, server, failed, p50, p99] = row(&listener.row);
        let sent = bytes(listener.sent_bytes);
        [name, requests, client, server, failed, p50, p99, sent]
    });
    let listeners = grid(
        [
            "LISTENER",
            "REQUESTS/S",
            "4XX/S",
            "5XX/S",
            "FAILED/S",
            "P50",
            "P99",
            "SENT/S",
        ],
        listeners,
    );
    let groups = rates.target_groups.iter().map(|group| {
        let [name, requests, client, server, failed, p50, p99] = row(&group.row);
        let (retried, waiting) = (rate(group.retried), group.waiting.to_string());
        [
            name, requests, client, server, failed, p50, p99, retried, waiting,
        ]
    });
    let groups = grid(
        [
            "TARGET GROUP",
            "REQUESTS/S",
            "4XX/S",
            "5XX/S",
            "FAILED/S",
            "P50",
            "P99",
            "RETRIED/S",
            "WAITING",
        ],
        groups,
    );
    format!("{nodes}\n\n{listeners}\n\n{groups}\n\n{targets}")
}

fn row(row: &Row) -> [String; 7] {
    [
        row.name.clone(),
        rate(row.requests),
        rate(row.client_errors),
        rate(row.server_errors),
        rate(row.failed),
        time(row.p50),
        time(row.p99),
    ]
}

/// Small rates to a tenth, for one request in ten seconds is one too.
fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

fn time(milliseconds: Option<f64>) -> String {
    milliseconds.map_or_else(|| "-".to_owned(), |time| format!("{time:.1} ms"))
}

fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    let (mut amount, mut unit) = (bytes, "B");
    for larger in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    format!("{amount:.0} {unit}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::top::rates::{GroupRow, ListenerRow, TargetRow};

    #[test]
    fn rates_as_a_page() {
        let row = |name: &str, failed| Row {
            name: name.to_owned(),
            requests: 1234.4,
            client_errors: 0.25,
            failed,
            p50: Some(1.25),
            p99: Some(20.0),
            server_errors: 0.0,
        };
        let rates = Rates {
            load_balancer_nodes: 2,
            listeners: vec![ListenerRow {
                row: row("80", 2.0),
                sent_bytes: 3_500_000.0,
            }],
            target_groups: vec![GroupRow {
                row: row("web", 0.0),
                retried: 0.0,
                waiting: 12,
            }],
            targets: vec![TargetRow {
                target_group: "web".to_owned(),
                target: "a1b2".to_owned(),
                state: "healthy".to_owned(),
                requests: 617.2,
                mean: Some(2.0),
                under_way: 3,
                last_probes: vec!["200 in 0.4 ms".to_owned(), "200 in 0.5 ms".to_owned()],
                ..TargetRow::default()
            }],
        };
        expect![[r#"
            2 load balancers

            LISTENER  REQUESTS/S  4XX/S  5XX/S  FAILED/S  P50     P99      SENT/S
            80        1234        0.2    0      2.0       1.2 ms  20.0 ms  3 MiB

            TARGET GROUP  REQUESTS/S  4XX/S  5XX/S  FAILED/S  P50     P99      RETRIED/S  WAITING
            web           1234        0.2    0      0         1.2 ms  20.0 ms  0          12

            TARGET GROUP  TARGET  STATE    REQUESTS/S  FAILED/S  MEAN    UNDER WAY  LAST PROBES
            web           a1b2    healthy  617         0         2.0 ms  3          200 in 0.4 ms, 200 in 0.5 ms"#]].assert_eq(&page(&rates));
    }
}
