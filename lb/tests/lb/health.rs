use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use roadstead_proto::lb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Backend, Lb, acceptor, body_of, free_address, get, request, target, text};

fn check(path: &str) -> Option<lb::HealthCheck> {
    Some(lb::HealthCheck {
        path: path.to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        healthy_threshold: 2,
        unhealthy_threshold: 2,
        success_codes: vec![lb::CodeRange { from: 200, to: 299 }],
        protocol: String::new(),
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

/// Waits for the health of a target that is asked in its own way; returns what the last probe came to.
async fn asked(
    backend: &Backend,
    version: &str,
    check: lb::HealthCheck,
    state: &str,
) -> lb::TargetReport {
    let mut lb = Lb::start(&[]).await;
    lb.change(|table| {
        let group = &mut table.target_groups[0];
        group.protocol_version = version.to_owned();
        group.health_check = Some(check);
        group.targets = vec![target("b", backend.address)];
    });
    lb.until_state("b", state).await
}

fn by(protocol: &str) -> lb::HealthCheck {
    lb::HealthCheck {
        protocol: protocol.to_owned(),
        interval_seconds: 1,
        ..lb::HealthCheck::default()
    }
}

#[tokio::test]
async fn a_target_of_http_2_is_asked_in_http_2() {
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/");
        text("well")
    })
    .await;
    let report = asked(&backend, "HTTP2", by("HTTP"), "healthy").await;
    assert!(report.last_probe.starts_with("200 in "), "{report:?}");
}

#[tokio::test]
async fn a_target_of_grpc_is_asked_by_a_call_and_its_status_decides() {
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/AWS.ALB/healthcheck");
        assert_eq!(body_of(request).await.as_ref(), [0; 5]);
        tonic::Status::unimplemented("no such method").into_http::<tonic::body::Body>()
    })
    .await;
    let report = asked(&backend, "GRPC", by(""), "healthy").await;
    assert!(report.last_probe.starts_with("12 in "), "{report:?}");
    let other = lb::HealthCheck {
        success_codes: vec![lb::CodeRange { from: 0, to: 0 }],
        unhealthy_threshold: 1,
        ..by("")
    };
    let report = asked(&backend, "GRPC", other, "unhealthy").await;
    assert_eq!(
        report.description,
        "Health checks failed with these codes: [12]"
    );
}

#[tokio::test]
async fn a_target_may_be_asked_for_a_connection_and_nothing_more() {
    let backend = Backend::raw(|mut stream, _| async move {
        assert!(!request(&mut stream).await, "nothing is sent");
    })
    .await;
    let report = asked(&backend, "", by("TCP"), "healthy").await;
    assert!(report.last_probe.starts_with("connected in "), "{report:?}");
}

#[tokio::test]
async fn a_target_may_be_asked_over_tls_whoever_its_certificate_is_of() {
    let acceptor = acceptor("some.example");
    let backend = Backend::raw(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"GET / HTTP/1.1\r\n"));
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            drop(stream.shutdown().await);
        }
    })
    .await;
    let report = asked(&backend, "", by("HTTPS"), "healthy").await;
    assert!(report.last_probe.starts_with("200 in "), "{report:?}");
}

#[tokio::test]
async fn targets_of_the_own_zone_come_first_and_others_when_none_is_healthy_there() {
    let (near, mood) = moody().await;
    let far = Backend::text("far").await;
    let change = |config: &mut roadstead_lb::Config| config.zone = "a".to_owned();
    let mut lb = Lb::start_with(&[], change).await;
    lb.change(|table| {
        let group = &mut table.target_groups[0];
        group.prefers_own_zone = true;
        group.health_check = check("/health");
        let mut here = target("near", near.address);
        here.zone = "a".to_owned();
        let mut there = target("far", far.address);
        there.zone = "b".to_owned();
        group.targets = vec![here, there];
    });
    lb.until_state("near", "healthy").await;
    lb.until_state("far", "healthy").await;
    for _ in 0..4 {
        assert_eq!(get(lb.address, "/").await.text(), "moody");
    }
    mood.store(503, SeqCst);
    lb.until_state("near", "unhealthy").await;
    assert_eq!(get(lb.address, "/").await.text(), "far");
}
