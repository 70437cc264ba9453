use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use crate::harness::{Backend, Lb, body_of, get, target, text, within};

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test]
async fn one_connection_on_either_side_carries_many_requests() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for _ in 0..20 {
        assert_eq!(connection.get("/").await.text(), "hello");
        assert_eq!(connection.post("/", "x").await.text(), "hello");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let backend =
        Backend::http(|request| async move { text(request.uri().path().to_owned()) }).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    let requests: Vec<_> = (0..30)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nHost: lb\r\n\r\n"))
        .collect();
    connection.send(requests.concat()).await;
    for number in 0..30 {
        assert_eq!(connection.answer().await.text(), format!("/{number}"));
    }
}

#[tokio::test]
async fn a_chunked_body_arrives_whole_and_so_does_a_chunked_answer() {
    let backend = Backend::http(|request| async move {
        assert!(!request.headers().contains_key("content-length"));
        let body = body_of(request).await;
        let chunks = body
            .chunks(3)
            .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))));
        let stream = futures_util::stream::iter(chunks.collect::<Vec<_>>());
        Response::new(BodyExt::boxed_unsync(StreamBody::new(stream)))
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection
        .send(
            "POST / HTTP/1.1\r\nHost: lb\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        )
        .await;
    let answer = connection.answer().await;
    assert_eq!(answer.text(), "hello world");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(connection.get("/").await.text(), "");
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send("HEAD / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    let head = connection.head().await.unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("5"))
    );
    assert_eq!(connection.get("/").await.text(), "hello");
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_mebibyte_streams_in_both_directions() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    let body: String = ('a'..='z').cycle().take(MEBIBYTE).collect();
    for _ in 0..3 {
        let answer = connection.post("/", &body).await;
        assert!(answer.text() == body, "the body came back changed");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_back_the_target() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let backend = Backend::http(move |request| {
        let counter = Arc::clone(&counter);
        async move {
            if request.uri() == "/small" {
                return text("small");
            }
            let chunks = (0..64).map(move |_| {
                counter.fetch_add(1, SeqCst);
                Ok(Frame::data(Bytes::from(vec![b'x'; MEBIBYTE])))
            });
            Response::new(BodyExt::boxed_unsync(StreamBody::new(
                futures_util::stream::iter(chunks),
            )))
        }
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.0\r\nHost: lb\r\n\r\n").await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    // Another client is served meanwhile, and what the kernel's buffers hold is all that was sent.
    for _ in 0..20 {
        assert_eq!(get(lb.address, "/small").await.text(), "small");
    }
    assert!(
        sent.load(SeqCst) < 64,
        "all 64 MiB were taken from the target"
    );
    let mut body = Vec::new();
    within(connection.stream.read_to_end(&mut body))
        .await
        .unwrap();
    assert_eq!(body.len(), 64 * MEBIBYTE);
}

#[tokio::test]
async fn the_head_of_an_answer_does_not_wait_for_its_body() {
    let (release, gate) = watch::channel(false);
    let backend = Backend::http(move |_request| {
        let mut gate = gate.clone();
        async move {
            let later = futures_util::stream::once(async move {
                gate.wait_for(|open| *open).await.unwrap();
                Ok(Frame::data(Bytes::from("late")))
            });
            Response::new(BodyExt::boxed_unsync(StreamBody::new(Box::pin(later))))
        }
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.0\r\nHost: lb\r\n\r\n").await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    release.send_replace(true);
    let mut body = String::new();
    within(connection.stream.read_to_string(&mut body))
        .await
        .unwrap();
    assert_eq!(body, "late");
    assert_eq!(get(lb.address, "/").await.text(), "late");
}
