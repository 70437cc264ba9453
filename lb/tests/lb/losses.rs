//! Targets die and hang without notice, under load.

use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use roadstead_proto::lb;
use tokio::sync::watch;

use crate::harness::{Backend, Lb, Load, target, text};

const CLIENTS: usize = 16;

/// Each second one closes its connections after an answer, so that requests meet a death on new connections and on used ones.
async fn server(number: usize) -> Backend {
    let closes = number.is_multiple_of(2);
    Backend::http(move |_request| async move {
        // That takes a moment, so that requests are under way when it dies.
        tokio::task::yield_now().await;
        let mut answer = text("");
        if closes {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        answer
    })
    .await
}

/// Nobody probes these targets, and the table knows of a death only later: the requests find out, and none is lost for it.
#[tokio::test]
async fn targets_that_die_without_notice_cost_no_get() {
    let mut servers = Vec::new();
    let mut targets = Vec::new();
    for number in 0..3 {
        let server = server(number).await;
        targets.push(target(&format!("t{number}"), server.address));
        servers.push(server);
    }
    let mut lb = Lb::start(&targets).await;
    let load = Load::start(lb.address, CLIENTS, &["GET"]);
    for death in 3..23 {
        load.until_more(100).await;
        drop(servers.remove(0));
        load.until_more(100).await;
        let server = server(death).await;
        targets.remove(0);
        targets.push(target(&format!("t{death}"), server.address));
        servers.push(server);
        lb.retarget(&targets).await;
    }
    let answers = load.end().await;
    assert!(answers.keys().eq(&[200]), "{answers:?}");
    let made = answers[&200];
    let retried = |report: &lb::NodeReport| {
        let counts = report.counts.iter();
        let mut found = counts.filter(|counts| (counts.served, counts.failed) == (made, 0));
        found.any(|counts| counts.retried > 0)
    };
    lb.until(retried).await;
}

/// What was sent to it, and may have been acted on, is told to its clients as 504; with its probes that ends.
#[tokio::test]
async fn a_target_that_hangs_costs_no_request_once_its_probes_have_failed() {
    let (hang, hangs) = watch::channel(false);
    let hanging = Backend::http(move |_request| {
        let hangs = hangs.clone();
        async move {
            if *hangs.borrow() {
                std::future::pending::<()>().await;
            }
            text("")
        }
    })
    .await;
    let other = Backend::echo().await;
    let targets = [
        target("hanging", hanging.address),
        target("other", other.address),
    ];
    let patience = Duration::from_millis(300);
    let mut lb = Lb::start_with(&targets, |config| config.target_timeout = patience).await;
    lb.change(|table| {
        table.target_groups[0].health_check = Some(lb::HealthCheck {
            interval_seconds: 1,
            timeout_seconds: 1,
            ..lb::HealthCheck::default()
        });
    });
    for id in ["hanging", "other"] {
        lb.until_state(id, "healthy").await;
    }
    let load = Load::start(lb.address, CLIENTS, &["GET"]);
    load.until_more(100).await;
    assert_eq!(load.answers().len(), 1, "{:?}", load.answers());
    hang.send_replace(true);
    lb.until_state("hanging", "unhealthy").await;
    let before = load.answers()[&504];
    load.until_more(2000).await;
    let answers = load.end().await;
    assert_eq!(answers.len(), 2, "{answers:?}");
    let since = answers[&504] - before;
    assert!(
        since <= CLIENTS as u64,
        "{since} requests were sent to it though its probes had failed"
    );
}
