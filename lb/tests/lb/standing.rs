//! What requests themselves tell of a target, and what that means for those after them.

use std::time::Duration;

use roadstead_proto::lb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::harness::{Backend, Lb, free_address, get, target, within};
use crate::sight::metric;

const GET: &str = "GET / HTTP/1.1\r\nHost: lb\r\n\r\n";

#[tokio::test]
async fn requests_that_wait_together_do_not_use_up_their_attempts_on_a_target_that_is_away() {
    let away = free_address();
    let mut lb = Lb::start(&[target("b", away)]).await;
    let revision = lb.change(|table| {
        table.target_groups[0].waiting = 10;
        table.target_groups[0].waiting_seconds = 60;
    });
    lb.until(|report| report.table_revision == revision).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut connection = lb.connect().await;
        connection.send(GET).await;
        waiting.push(connection);
    }
    for connection in &mut waiting {
        assert!(!connection.has_answer(Duration::from_millis(700)).await);
    }
    // It is back.
    let listener = TcpListener::bind(away).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                while matches!(stream.read(&mut head).await, Ok(1..)) {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    for connection in &mut waiting {
        assert_eq!(connection.answer().await.text(), "back");
    }
}

#[tokio::test]
async fn a_target_that_lets_requests_wait_one_after_the_other_gets_none_for_a_while() {
    let hangs = Backend::raw(|mut stream, _| async move {
        let mut head = [0; 1024];
        while matches!(stream.read(&mut head).await, Ok(1..)) {}
    })
    .await;
    let answers = Backend::text("hello").await;
    let metrics = free_address();
    let targets = [
        target("hangs", hangs.address),
        target("answers", answers.address),
    ];
    let mut lb = Lb::start_with(&targets, |config| {
        config.workers = 1;
        config.target_timeout = Duration::from_millis(50);
        config.metrics = Some(metrics);
    })
    .await;
    let series = format!(
        "roadstead_lb_target_ejected{{target_group=\"web\",target=\"{}\"}}",
        hangs.address
    );
    assert_eq!(metric(metrics, &series).await, "0");
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(get(lb.address, "/").await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 5], [504; 5]].concat());
    assert_eq!(metric(metrics, &series).await, "1");
    for _ in 0..10 {
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
    let is_told = |report: &lb::TargetReport| {
        report.target_id == "hangs" && report.last_probe.contains("ejected for")
    };
    lb.until(|report| report.targets.iter().any(is_told)).await;
}

#[tokio::test]
async fn what_overflows_a_target_is_told_to_come_again_and_not_sent_where_it_fails() {
    let (slow, mut arrivals, release) = Backend::slow().await;
    let gone = free_address();
    let mut lb = Lb::start(&[target("slow", slow.address)]).await;
    let mut first = lb.connect().await;
    first.send(GET).await;
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let check = lb::HealthCheck {
        protocol: "TCP".to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        healthy_threshold: 2,
        unhealthy_threshold: 2,
        ..lb::HealthCheck::default()
    };
    lb.change(|table| {
        let group = &mut table.target_groups[0];
        group.targets.push(target("gone", gone));
        group.requests_per_target = 1;
        group.health_check = Some(check);
    });
    lb.until_state("slow", "healthy").await;
    lb.until_state("gone", "unhealthy").await;
    let answer = get(lb.address, "/").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    release.send_replace(true);
    assert_eq!(first.answer().await.status, 200);
}
