//! The exchange with a target that does what no well-behaved server library would.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Backend, Lb, body_of, draining, request, target, text};

/// A target that answers each request with these bytes, and closes the connection after it if asked to.
async fn answering(answer: &'static str, close: bool) -> Backend {
    Backend::raw(move |mut stream, _| async move {
        while request(&mut stream).await {
            stream.write_all(answer.as_bytes()).await.unwrap();
            if close {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n";
    let backend = answering(answer, true).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection
        .send("POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.text()), (413, "no\n"));
}

#[tokio::test]
async fn a_connection_on_which_a_request_was_not_sent_to_its_end_is_not_used_again() {
    let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n";
    let backend = answering(answer, false).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut cut_short = lb.connect().await;
    cut_short
        .send("POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    assert_eq!(cut_short.answer().await.status, 413);
    assert_eq!(lb.connect().await.get("/").await.status, 413);
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_client_that_breaks_off_its_request_is_no_failure_of_the_target() {
    let backend = Backend::raw(|mut stream, _| async move {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"hi\r\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(begun).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection
        .send("POST / HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        .await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    connection.send("no chunk\r\n").await;
    connection.closed().await;
    lb.retarget(&[draining(&leaving, Duration::from_secs(60))])
        .await;
    let report = lb.until(|report| report.targets[0].drained).await;
    let failed = report.counts.iter().map(|counts| counts.failed);
    assert_eq!(failed.sum::<u64>(), 0, "{report:?}");
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_keeps_it() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection
        .send(
            "GET / HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(connection.answer().await.text(), "hi");
}

#[tokio::test]
async fn what_is_no_sound_answer_is_a_failure_of_its_target() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk";
    let backend = answering(answer, false).await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    assert_eq!(lb.connect().await.get("/").await.status, 502);
    lb.until_counts([0, 0, 1, 0]).await;
}
