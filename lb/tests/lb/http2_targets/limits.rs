//! What a target refuses is sent to another one, and neither clients that do not take their answers nor long heads are in the way of others.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{Reply, echo, start, text};
use crate::harness::{Backend, get, target, within};

/// A target that refuses each stream: it has not acted on any.
async fn refusing() -> Backend {
    Backend::raw(|stream, _| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
    })
    .await
}

#[tokio::test]
async fn a_call_that_is_refused_goes_to_another_target_unless_its_body_is_too_long_to_be_kept() {
    let (refusing, backend) = (refusing().await, Backend::http2(usize::MAX, echo).await);
    let targets = [
        target("refusing", refusing.address),
        target("b", backend.address),
    ];
    let lb = start(&targets, |_config| {}).await;
    for _ in 0..6 {
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
    for _ in 0..4 {
        let answer = lb.connect().await.post("/", "body").await;
        assert_eq!((answer.status, answer.text()), (200, "body"));
    }
    let long = "long".repeat(100_000);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = lb.connect().await.post("/", &long).await;
        // Never one without its body.
        assert!(
            answer.status == 502 || answer.text() == long,
            "{}",
            answer.status
        );
        statuses.push(answer.status);
    }
    assert!(
        statuses.contains(&502) && statuses.contains(&200),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_up_no_others() {
    const LAGGING: usize = 8;
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        match request.uri().path() {
            // More than all buffers on the way together.
            "/large" => text(Bytes::from(vec![b'x'; 32 * 1024 * 1024])),
            _ => text(Bytes::from(vec![b'y'; 512 * 1024])),
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut lagging = Vec::new();
    for _ in 0..LAGGING {
        let mut connection = lb.connect().await;
        connection
            .send("GET /large HTTP/1.1\r\nHost: lb\r\n\r\n")
            .await;
        assert_eq!(connection.head().await.unwrap().status, 200);
        lagging.push(connection);
    }
    // Each of them comes to where it waits for its client.
    for _ in 0..20 {
        assert_eq!(get(lb.address, "/").await.body.len(), 512 * 1024);
    }
    assert_eq!(lagging.len(), LAGGING);
}

#[tokio::test]
async fn a_head_may_be_as_long_as_in_http_1() {
    let backend = Backend::http2(usize::MAX, |_request: Request<Incoming>| async move {
        let reply = Response::builder().header("x-long", "x".repeat(40_000));
        reply
            .body(Full::new(Bytes::from("hello")).boxed_unsync())
            .unwrap() as Reply
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let answer = get(lb.address, "/").await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_eq!(answer.header("x-long").unwrap().len(), 40_000);
}

#[tokio::test]
async fn an_answer_without_a_body_may_end_in_a_frame_of_its_own() {
    let (cancelled, mut seen) = watch::channel(None);
    let backend = Backend::raw(move |stream, _number| {
        let cancelled = cancelled.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut first = None;
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if request.method() == http::Method::HEAD {
                    let head = Response::builder().header("content-length", "9");
                    first = Some(
                        respond
                            .send_response(head.body(()).unwrap(), false)
                            .unwrap(),
                    );
                    continue;
                }
                // Whatever was said about the first stream came before this one.
                let mut first = first.take().unwrap();
                let reset = std::future::poll_fn(|cx| std::task::Poll::Ready(first.poll_reset(cx)));
                let is_reset = reset.await.is_ready();
                first.send_data(Bytes::new(), true).ok();
                cancelled.send_replace(Some(is_reset));
                respond.send_response(Response::new(()), true).unwrap();
            }
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut connection = lb.connect().await;
    connection.send("HEAD / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    assert_eq!(get(lb.address, "/").await.status, 200);
    let is_reset = *within(seen.wait_for(Option::is_some)).await.unwrap();
    assert_eq!(is_reset, Some(false));
}
