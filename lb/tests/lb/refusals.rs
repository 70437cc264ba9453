use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::harness::{Backend, Lb, body_of, free_address, get, request, rule, target, text};

#[tokio::test]
async fn without_a_target_the_answer_is_503() {
    let mut lb = Lb::start(&[]).await;
    let answer = get(lb.address, "/").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text(), "503 Service Unavailable\n");
    assert_eq!(answer.header("server"), Some("roadstead"));
    assert!(answer.header("date").is_some());
    lb.until_counts([0, 0, 1, 0]).await;
}

#[tokio::test]
async fn what_has_passed_more_than_thirty_proxies_is_a_463() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for (first, others, status) in [(30, 0, 200), (31, 0, 463), (15, 16, 463), (15, 15, 200)] {
        let mut request = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
        for proxies in [first, others].into_iter().filter(|count| *count > 0) {
            let addresses = vec!["192.0.2.1"; proxies].join(", ");
            request += &format!("X-Forwarded-For: {addresses}\r\n");
        }
        connection.send(request + "\r\n").await;
        assert_eq!(
            connection.answer().await.status,
            status,
            "{first} and {others}"
        );
    }
}

#[tokio::test]
async fn with_no_weight_but_zero_the_answer_is_503() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision =
        lb.change(|table| table.listeners[0].rules = vec![rule(&[], &[], &[("web", 0)])]);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 503);
}

#[tokio::test]
async fn a_target_that_refuses_is_a_502() {
    let mut lb = Lb::start(&[target("gone", free_address())]).await;
    assert_eq!(get(lb.address, "/").await.status, 502);
    lb.until_counts([0, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_target_that_answers_nonsense_is_a_502() {
    let backend = Backend::raw(|mut stream, _| async move {
        stream
            .write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            .await
            .unwrap();
        assert!(request(&mut stream).await);
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 502);
    assert_eq!(
        connection.get("/").await.status,
        502,
        "the client's connection stays"
    );
}

#[tokio::test]
async fn a_target_that_keeps_silent_is_a_504() {
    let backend = Backend::http(|_request| std::future::pending()).await;
    let change = |config: &mut roadstead_lb::Config| {
        config.target_timeout = Duration::from_millis(200);
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let answer = get(lb.address, "/").await;
    assert_eq!(answer.status, 504);
    lb.until_counts([0, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_target_that_falls_silent_in_mid_answer_ends_the_connection() {
    let backend = Backend::raw(|mut stream, _| async move {
        assert!(request(&mut stream).await);
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(begun).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let change = |config: &mut roadstead_lb::Config| {
        config.target_timeout = Duration::from_millis(200);
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert!(connection.try_answer().await.is_none());
    lb.until_counts([0, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_a_431() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut roadstead_lb::Config| config.max_header_bytes = 4096;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    for (bytes, status) in [(3000, 200), (5000, 431)] {
        let mut connection = lb.connect().await;
        let filler = "x".repeat(bytes);
        connection
            .send(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX-Filler: {filler}\r\n\r\n"
            ))
            .await;
        assert_eq!(connection.answer().await.status, status);
    }
}

#[tokio::test]
async fn every_head_of_a_connection_is_looked_at() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    for first in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n",
    ] {
        let mut connection = lb.connect().await;
        connection.send(first).await;
        assert_eq!(connection.answer().await.status, 200, "{first:?}");
        connection
            .send("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")
            .await;
        assert_eq!(connection.answer().await.status, 400, "after {first:?}");
        connection.closed().await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_end_of_a_body_is_the_last() {
    let mut lb = Lb::start(&[]).await;
    lb.answer_itself().await;
    let mut connection = lb.connect().await;
    connection
        .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        .await;
    let answer = connection.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(lb.connect().await.get("/").await.header("connection"), None);
}

#[tokio::test]
async fn what_is_in_bodies_stays_as_it_is_however_requests_are_cut() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "4\r\n\n\n\na\r\n0\r\n\r\n";
    let all = format!("{get}{head}{body}{get}");
    for cut in 1..all.len() {
        let (first, second) = all.split_at(cut);
        let mut connection = lb.connect().await;
        connection.send(first).await;
        if cut >= get.len() {
            assert_eq!(connection.answer().await.text(), "");
        }
        connection.send(second).await;
        if cut < get.len() {
            assert_eq!(connection.answer().await.text(), "");
        }
        assert_eq!(connection.answer().await.text(), "\n\n\na", "cut at {cut}");
    }
}
