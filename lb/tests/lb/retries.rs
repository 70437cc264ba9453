use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use roadstead_proto::lb::NodeReport;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::harness::{Backend, Lb, free_address, get, request, target};

async fn reply(stream: &mut TcpStream) {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    stream.write_all(answer).await.unwrap();
}

/// A target that answers the first request on each connection, and hangs up on the second one after
/// it has read it. Counts what it has read.
async fn fickle() -> (Backend, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let backend = Backend::raw(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            if request(&mut stream).await {
                counter.fetch_add(1, SeqCst);
                reply(&mut stream).await;
                if request(&mut stream).await {
                    counter.fetch_add(1, SeqCst);
                }
            }
        }
    })
    .await;
    (backend, requests)
}

#[tokio::test]
async fn a_request_goes_to_another_target_when_the_first_refuses_the_connection() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("gone", free_address()), target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for _ in 0..4 {
        assert_eq!(connection.post("/", "body").await.text(), "hello");
    }
    let served = |report: &NodeReport| report.counts.iter().any(|counts| counts.served == 4);
    let counts = lb.until(served).await.counts.remove(0);
    assert_eq!((counts.failed, counts.cut), (0, 0));
    assert!(counts.retried > 0, "no request met the target that is gone");
}

#[tokio::test]
async fn a_get_is_sent_again_when_a_reused_connection_ends_without_an_answer() {
    let (backend, requests) = fickle().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    assert_eq!(connection.get("/").await.status, 200);
    assert_eq!(requests.load(SeqCst), 3);
    lb.until_counts([2, 1, 0, 0]).await;
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let (backend, requests) = fickle().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    assert_eq!(connection.post("/", "body").await.status, 502);
    assert_eq!(requests.load(SeqCst), 2);
    lb.until_counts([1, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_delete_that_was_sent_is_not_sent_again_though_it_has_no_body() {
    let (backend, requests) = fickle().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    connection
        .send("DELETE / HTTP/1.1\r\nHost: lb\r\n\r\n")
        .await;
    assert_eq!(connection.answer().await.status, 502);
    assert_eq!(requests.load(SeqCst), 2);
    lb.until_counts([1, 0, 1, 0]).await;
}

/// A target that hangs up on each request after it has read it. Counts what it has read.
async fn deadly(requests: &Arc<AtomicUsize>) -> Backend {
    let counter = Arc::clone(requests);
    Backend::raw(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            if request(&mut stream).await {
                counter.fetch_add(1, SeqCst);
            }
        }
    })
    .await
}

/// Whichever target is drawn for the second time.
#[tokio::test]
async fn a_get_goes_to_another_target_when_a_new_connection_ends_without_an_answer() {
    for _round in 0..4 {
        let requests = Arc::default();
        let backend = deadly(&requests).await;
        let other = Backend::text("other").await;
        let mut lb = Lb::start(&[target("a", backend.address), target("b", other.address)]).await;
        let revision = lb.change(|table| {
            table.target_groups[0].algorithm = "weighted_random".to_owned();
        });
        lb.until(|report| report.table_revision == revision).await;
        let mut connection = lb.connect().await;
        // Until it is ejected for that.
        let mut made = 0;
        while requests.load(SeqCst) < 5 {
            assert_eq!(connection.get("/").await.text(), "other");
            made += 1;
        }
        lb.until_counts([made, 5, 0, 0]).await;
    }
}

#[tokio::test]
async fn a_get_that_ends_whoever_reads_it_is_read_twice_and_no_more() {
    for number in [1, 2, 4] {
        let requests = Arc::default();
        let mut backends = Vec::new();
        let mut targets = Vec::new();
        for index in 0..number {
            let backend = deadly(&requests).await;
            targets.push(target(&format!("t{index}"), backend.address));
            backends.push(backend);
        }
        let mut lb = Lb::start(&targets).await;
        assert_eq!(get(lb.address, "/").await.status, 502);
        assert_eq!(requests.load(SeqCst), 2, "of {number} targets");
        lb.until_counts([0, 1, 1, 0]).await;
    }
}

#[tokio::test]
async fn a_get_is_not_sent_again_once_the_answer_has_begun() {
    let backend = Backend::raw(|mut stream, _| async move {
        if request(&mut stream).await {
            reply(&mut stream).await;
            if request(&mut stream).await {
                stream.write_all(b"HTTP/1.1 2").await.unwrap();
            }
        }
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    assert_eq!(connection.get("/").await.status, 502);
    lb.until_counts([1, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_post_survives_that_the_target_has_closed_its_unused_connection() {
    let (closed, mut is_closed) = watch::channel(false);
    let backend = Backend::raw(move |mut stream, number| {
        let closed = closed.clone();
        async move {
            while request(&mut stream).await {
                reply(&mut stream).await;
                if number == 0 {
                    break;
                }
            }
            drop(stream);
            closed.send_replace(true);
        }
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    is_closed.wait_for(|closed| *closed).await.unwrap();
    assert_eq!(connection.post("/", "body").await.status, 200);
    let report = lb
        .until(|report| report.counts.iter().any(|counts| counts.served == 2))
        .await;
    assert_eq!(report.counts[0].failed, 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_passed_on_as_broken_and_counted() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n\r\n\r\n",
    ] {
        let backend = Backend::raw(move |mut stream, _| async move {
            if request(&mut stream).await {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let mut lb = Lb::start(&[target("b", backend.address)]).await;
        let mut connection = lb.connect().await;
        connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
        assert!(connection.try_answer().await.is_none(), "{answer}");
        lb.until_counts([0, 0, 1, 0]).await;
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_counted_nowhere_and_frees_the_target() {
    let (arrived, mut arrivals) = watch::channel(0);
    let backend = Backend::http(move |request| {
        let arrived = arrived.clone();
        async move {
            if request.uri() == "/slow" {
                arrived.send_modify(|number| *number += 1);
                std::future::pending::<()>().await;
            }
            crate::harness::text("hello")
        }
    })
    .await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    for number in 1..=3 {
        let mut connection = lb.connect().await;
        connection
            .send("GET /slow HTTP/1.1\r\nHost: lb\r\n\r\n")
            .await;
        arrivals
            .wait_for(|arrived| *arrived == number)
            .await
            .unwrap();
    }
    assert_eq!(get(lb.address, "/").await.text(), "hello");
    lb.until_counts([1, 0, 0, 0]).await;
    lb.retarget(&[crate::harness::draining(
        &leaving,
        std::time::Duration::from_secs(300),
    )])
    .await;
    lb.until(|report| report.targets[0].drained).await;
}
