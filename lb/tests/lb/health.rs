use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use roadstead_proto::lb;
use tokio::net::TcpListener;

use crate::harness::{Backend, Lb, free_address, get, target, text};

fn check(path: &str) -> Option<lb::HealthCheck> {
    Some(lb::HealthCheck {
        path: path.to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        healthy_threshold: 2,
        unhealthy_threshold: 2,
        success_codes: vec![lb::CodeRange { from: 200, to: 299 }],
    })
}

/// A target whose health is what the test says.
async fn moody() -> (Backend, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(204));
    let status = Arc::clone(&mood);
    let backend = Backend::http(move |request| {
        let status = Arc::clone(&status);
        async move {
            let mut reply = text("moody");
            if request.uri() == "/health" {
                *reply.status_mut() = status.load(SeqCst).try_into().unwrap();
            }
            reply
        }
    })
    .await;
    (backend, mood)
}

#[tokio::test]
async fn a_target_is_used_while_it_is_healthy_and_avoided_while_it_is_not() {
    let (backend, mood) = moody().await;
    let other = Backend::text("other").await;
    let mut lb = Lb::start(&[
        target("moody", backend.address),
        target("other", other.address),
    ])
    .await;
    lb.change(|table| table.target_groups[0].health_check = check("/health"));
    lb.until_state("moody", "healthy").await;
    lb.until_state("other", "healthy").await;
    mood.store(503, SeqCst);
    let report = lb.until_state("moody", "unhealthy").await;
    assert_eq!(report.reason, "Target.ResponseCodeMismatch");
    assert_eq!(
        report.description,
        "Health checks failed with these codes: [503]"
    );
    for _ in 0..6 {
        assert_eq!(get(lb.address, "/").await.text(), "other");
    }
    mood.store(200, SeqCst);
    lb.until_state("moody", "healthy").await;
}

#[tokio::test]
async fn a_new_target_is_healthy_as_soon_as_it_listens() {
    let address = free_address();
    let mut lb = Lb::start(&[]).await;
    lb.change(|table| {
        table.target_groups[0].health_check = check("/");
        table.target_groups[0].targets = vec![target("late", address)];
    });
    lb.until(|report| {
        report
            .targets
            .iter()
            .any(|target| target.reason == "Elb.InitialHealthChecking")
    })
    .await;
    let begun = std::time::Instant::now();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
            }
        }
    });
    lb.until_state("late", "healthy").await;
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "it waited for the interval"
    );
}

#[tokio::test]
async fn a_new_target_gets_no_request_before_it_is_healthy_when_another_one_is() {
    let old = Backend::text("old").await;
    let mut lb = Lb::start(&[target("old", old.address)]).await;
    lb.change(|table| table.target_groups[0].health_check = check("/"));
    lb.until_state("old", "healthy").await;
    lb.retarget(&[target("old", old.address), target("new", free_address())])
        .await;
    for _ in 0..10 {
        assert_eq!(get(lb.address, "/").await.text(), "old");
    }
    lb.until_counts([10, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_group_without_a_healthy_target_fails_open() {
    let backend = Backend::http(|request| async move {
        let mut reply = text("answered");
        if request.headers()["user-agent"] == "roadstead-health-check" {
            *reply.status_mut() = 500.try_into().unwrap();
        }
        reply
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    lb.change(|table| table.target_groups[0].health_check = check("/"));
    lb.until_state("b", "unhealthy").await;
    let mut connection = lb.connect().await;
    connection
        .send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n\r\n")
        .await;
    assert_eq!(connection.answer().await.text(), "answered");
}
