//! What a client is told of its connection, and what becomes of it.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Backend, Connection, Lb, body_of, get, request, target, text, within};

/// Reads until the load balancer closes; fails if it resets the connection.
async fn rest(connection: &mut Connection) -> String {
    let mut rest = String::new();
    let read = connection.stream.read_to_string(&mut rest);
    within(read).await.expect("the connection is not reset");
    rest
}

#[tokio::test]
async fn a_client_that_still_sends_gets_its_answer_and_no_reset() {
    let lb = Lb::start(&[]).await;
    let mut connection = lb.connect().await;
    let length = 512 * 1024;
    connection
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
    // Part by part: the answer comes in their midst.
    for _ in 0..length / 4096 {
        let part = within(connection.stream.write_all(&[b'x'; 4096])).await;
        // The load balancer may have heard the end of the body before the kernel has sent its own.
        assert!(part.is_ok() || part.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
    }
    let answer = rest(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told_the_answer_if_there_is_one_before() {
    let lb = Lb::start(&[]).await;
    let mut connection = lb.connect().await;
    connection
        .send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let answer = rest(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn an_older_client_keeps_its_connection_if_it_asks_for_that() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for _ in 0..3 {
        connection
            .send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await;
        let answer = connection.answer().await;
        assert_eq!(answer.header("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "hello");
    }
    connection.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(
        connection.answer().await.header("connection"),
        Some("close")
    );
    connection.closed().await;
}

#[tokio::test]
async fn requests_wait_behind_bodies_of_either_framing() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    let length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none";
    let chunks =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    connection.send([length, chunks].concat().repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(connection.answer().await.text(), "one");
        assert_eq!(connection.answer().await.text(), "two");
    }
    assert_eq!(get(lb.address, "/").await.text(), "");
}

/// Returns a load balancer that answers by itself, with a client timeout that a test can wait for.
async fn answering_itself() -> Lb {
    let change = |config: &mut roadstead_lb::Config| {
        config.client_timeout = Duration::from_millis(500);
    };
    let mut lb = Lb::start_with(&[], change).await;
    lb.answer_itself().await;
    lb
}

#[tokio::test]
async fn a_client_that_asks_for_much_at_once_still_has_its_time_to_keep() {
    let lb = answering_itself().await;
    let mut connection = lb.connect().await;
    // Until it has given its buffers back: all that follows is one turn of its task.
    for _ in 0..20 {
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
    let requests = "GET / HTTP/1.1\r\nHost:a\r\n\r\n".repeat(300);
    connection.send(requests + "GET / HT").await;
    for _ in 0..300 {
        assert_eq!(connection.answer().await.status, 200);
    }
    assert_eq!(connection.answer().await.status, 408);
    connection.closed().await;
}

#[tokio::test]
async fn empty_lines_are_no_request_that_takes_too_long() {
    let lb = answering_itself().await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    connection.send("\r\n\r\n").await;
    assert_eq!(rest(&mut connection).await, "");
}

#[tokio::test]
async fn a_body_that_came_with_its_head_does_not_end_the_connection_of_who_is_refused() {
    let lb = Lb::start(&[]).await;
    let mut connection = lb.connect().await;
    for _ in 0..3 {
        let answer = connection.post("/", "a short body").await;
        assert_eq!((answer.status, answer.header("connection")), (503, None));
    }
}

#[tokio::test]
async fn an_answer_says_when_it_was_given_and_by_whom_if_no_target_says_it() {
    let backend = Backend::raw(|mut stream, _number| async move {
        request(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let relayed = get(lb.address, "/").await;
    assert!(relayed.header("date").is_some() && relayed.header("server").is_none());
    lb.retarget(&[]).await;
    let own = get(lb.address, "/").await;
    assert!(own.header("date").is_some());
    assert_eq!(own.header("server"), Some("roadstead"));
    let mut connection = lb.connect().await;
    connection.send("nonsense\r\n\r\n").await;
    let refused = connection.answer().await;
    assert_eq!(
        (refused.status, refused.header("connection")),
        (400, Some("close"))
    );
    assert!(refused.header("date").is_some());
}
