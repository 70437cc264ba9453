//! Clients of HTTP/2 that wait to be told to send the bodies of their requests (RFC 9110 10.1.1).

use crate::harness::frames::{
    DATA, END_STREAM, Frame, Frames, HEADERS, RST_STREAM, frame, headers,
};
use crate::harness::{Backend, Lb, body_of, target, text};

/// How heads begin: a status by its index (RFC 7541 A), or one whose digits are in Huffman's code (B).
const OK: &[u8] = &[0x88];
const CONTINUE: &[u8] = &[0x48, 0x82, 0x08, 0x01];
const SERVICE_UNAVAILABLE: &[u8] = &[0x48, 0x83, 0x6c, 0x0c, 0xff];

/// The head of a request whose client waits.
fn waiting() -> Frame {
    headers(1, 0, &[("expect", "100-continue"), ("content-length", "2")])
}

fn body() -> Frame {
    frame(DATA, END_STREAM, 1, *b"ok")
}

/// Sends a body when it is asked for, and gets it back.
async fn exchange(lb: &Lb) {
    let mut connection = Frames::open(lb.address).await;
    connection.send(waiting().bytes()).await;
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
    exchange(&Lb::start(&[target("b", backend.address)]).await).await;
}

#[tokio::test]
async fn so_it_is_when_the_target_takes_it_in_a_task_of_its_own() {
    let backend =
        Backend::http2(usize::MAX, |request| async { text(body_of(request).await) }).await;
    let mut lb = Lb::start(&[]).await;
    let revision = lb.change(|table| {
        table.target_groups[0].protocol_version = "HTTP2".to_owned();
        table.target_groups[0].targets = vec![target("b", backend.address)];
    });
    lb.until(|report| report.table_revision == revision).await;
    exchange(&lb).await;
}

#[tokio::test]
async fn who_waits_is_told_the_answer_if_there_is_one_before() {
    let lb = Lb::start(&[]).await;
    let mut connection = Frames::open(lb.address).await;
    connection.send(waiting().bytes()).await;
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
        .send([waiting().bytes(), body().bytes()].concat())
        .await;
    let answer = connection
        .next_of(&[HEADERS, RST_STREAM], "an answer")
        .await;
    assert!(answer.payload.starts_with(OK), "{answer:?}");
}
