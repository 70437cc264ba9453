//! Interim answers of targets: they are passed on at once (RFC 9110 15.2).

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::harness::frames::{EARLY_HINTS, END_STREAM, Frames, HEADERS, OK, RST_STREAM, get};
use crate::harness::{Backend, Lb, request, target};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: 9\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A target that answers with these interim answers, and for good when it is let go.
async fn hinting(interim: String) -> (Backend, watch::Sender<bool>) {
    let (release, gate) = watch::channel(false);
    let backend = Backend::raw(move |mut stream, _number| {
        let (interim, mut gate) = (interim.clone(), gate.clone());
        async move {
            while request(&mut stream).await {
                stream.write_all(interim.as_bytes()).await.unwrap();
                gate.wait_for(|open| *open).await.unwrap();
                stream.write_all(ANSWER.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (backend, release)
}

#[tokio::test]
async fn an_interim_answer_comes_before_the_final_one_and_is_not_taken_for_it() {
    let (backend, release) = hinting(HINTS.to_owned()).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for _ in 0..2 {
        release.send_replace(false);
        connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
        let hints = connection.head().await.unwrap();
        assert_eq!(hints.status, 103);
        assert_eq!(hints.headers, [("Link".to_owned(), "a".to_owned())]);
        release.send_replace(true);
        assert_eq!(connection.answer().await.text(), "ok");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn an_interim_answer_comes_before_the_final_one_over_http_2_too() {
    let (backend, release) = hinting(HINTS.to_owned()).await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = Frames::open(lb.address).await;
    connection.send(get(1).bytes()).await;
    let hints = connection.next_of(&[HEADERS, RST_STREAM], "hints").await;
    assert_eq!((hints.kind, hints.flags & END_STREAM), (HEADERS, 0));
    assert!(hints.payload.starts_with(EARLY_HINTS), "{hints:?}");
    release.send_replace(true);
    let answer = connection
        .next_of(&[HEADERS, RST_STREAM], "an answer")
        .await;
    assert!(answer.payload.starts_with(OK), "{answer:?}");
}

#[tokio::test]
async fn a_target_that_hints_without_end_is_heard_for_a_while() {
    let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{}", HINTS.repeat(100));
    let (backend, release) = hinting(interim).await;
    release.send_replace(true);
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    let mut hints = 0;
    while connection.head().await.unwrap().status == 103 {
        hints += 1;
    }
    assert_eq!(hints, 16);
}
