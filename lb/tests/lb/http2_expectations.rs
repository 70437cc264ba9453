//! Clients of HTTP/2 that wait to be told to send the bodies of their requests (RFC 9110 10.1.1).

use crate::harness::frames::{
    CONTINUE, DATA, END_STREAM, Frame, Frames, HEADERS, OK, RST_STREAM, SERVICE_UNAVAILABLE, frame,
    headers,
};
use crate::harness::{Backend, Lb, body_of, target, text};

/// The head of a request whose client waits.
fn waiting(expectations: &[&str]) -> Frame {
    let expectations = expectations.iter().map(|expected| ("expect", *expected));
    let fields: Vec<_> = expectations.chain([("content-length", "2")]).collect();
    headers(1, 0, &fields)
}

fn body() -> Frame {
    frame(DATA, END_STREAM, 1, *b"ok")
}

/// Sends a body when it is asked for, and gets it back.
async fn exchange(lb: &Lb, expectations: &[&str]) {
    let mut connection = Frames::open(lb.address).await;
    connection.send(waiting(expectations).bytes()).await;
    let interim = connection
        .next_of(&[HEADERS, RST_STREAM], "an interim answer")
        .await;
    assert_eq!((interim.kind, interim.flags & END_STREAM), (HEADERS, 0));
    assert!(interim.payload.starts_with(CONTINUE), "{interim:?}");
    connection.send(body().bytes()).await;
    let answer = connection
        .next_of(&[HEADERS, RST_STREAM], "an answer")
        .await;
    assert!(answer.payload.starts_with(OK), "{answer:?}");
    assert_eq!(connection.next_of(&[DATA], "a body").await.payload, b"ok");
}

#[tokio::test]
async fn who_waits_is_told_to_go_on_when_a_target_takes_the_body() {
    let backend = Backend::echo().await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    for expectations in [
        &["100-continue"][..],
        &["x, 100-Continue"],
        &["x", "100-continue"],
    ] {
        exchange(&lb, expectations).await;
    }
}

#[tokio::test]
async fn who_waits_is_told_to_go_on_when_a_target_takes_the_body_in_a_task_of_its_own() {
    let backend =
        Backend::http2(usize::MAX, |request| async { text(body_of(request).await) }).await;
    let mut lb = Lb::start(&[]).await;
    let revision = lb.change(|table| {
        table.target_groups[0].protocol_version = "HTTP2".to_owned();
        table.target_groups[0].targets = vec![target("b", backend.address)];
    });
    lb.until(|report| report.table_revision == revision).await;
    exchange(&lb, &["100-continue"]).await;
}

#[tokio::test]
async fn who_waits_is_told_the_answer_if_there_is_one_before() {
    let lb = Lb::start(&[]).await;
    let mut connection = Frames::open(lb.address).await;
    connection.send(waiting(&["100-continue"]).bytes()).await;
    let answer = connection
        .next_of(&[HEADERS, RST_STREAM], "an answer")
        .await;
    assert!(
        answer.payload.starts_with(SERVICE_UNAVAILABLE),
        "{answer:?}"
    );
}

#[tokio::test]
async fn who_does_not_wait_is_not_told() {
    let backend = Backend::echo().await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = Frames::open(lb.address).await;
    connection
        .send([waiting(&["100-continue"]).bytes(), body().bytes()].concat())
        .await;
    let answer = connection
        .next_of(&[HEADERS, RST_STREAM], "an answer")
        .await;
    assert!(answer.payload.starts_with(OK), "{answer:?}");
}
