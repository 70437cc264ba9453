//! What RFC 9113 and RFC 7541 make an error, frame by frame.
//!
//! Three rules for requests are not kept by h2, and by us with it: a client that does not begin with SETTINGS is served (3.4), and pseudo-headers
//! in trailers are dropped, where they are malformed (8.1); neither reaches a target. And h2 does not say which fields must never be
//! indexed (RFC 7541 6.2.3), so that towards targets of HTTP/2 only `Authorization` and `Cookie` never are.

mod answers;
mod connection_errors;
mod malformed;
mod stream_errors;

use http_body_util::{BodyExt as _, Collected};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING,
    PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, headers, literals,
};
use crate::harness::{Backend, Lb, get as get_http1, target, text, within};
use connection_errors::connection_errors;
use malformed::malformed;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The first byte of an answer with 200, and of one with 400: an index of the static table (RFC 7541 A).
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;
/// How one with 405 begins, in Huffman's code (B).
const METHOD_NOT_ALLOWED: &[u8] = &[0x48, 0x83, 0x68, 0x0d, 0xff];

async fn served() -> (Lb, Backend) {
    let backend = Backend::http(|request| async move {
        // Some of them end before their end.
        let body = request.into_body().collect().await;
        text(body.map(Collected::to_bytes).unwrap_or_default())
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    (lb, backend)
}

fn setting(identifier: u16, value: u32) -> Frame {
    let payload = [&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, payload)
}

fn window(stream: u32, increment: u32) -> Frame {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

#[tokio::test]
async fn what_breaks_a_connection_ends_it_with_its_code() {
    let (lb, _backend) = served().await;
    let mut others = Vec::new();
    for (name, frames, exact) in connection_errors() {
        let mut connection = Frames::open(lb.address).await;
        for frame in &frames {
            connection.send(frame.bytes()).await;
        }
        let code = connection.next_of(&[GOAWAY], name).await.error();
        if ![exact, PROTOCOL_ERROR].contains(&code) {
            others.push((name, code));
        }
        while connection.next().await.is_some() {}
    }
    assert_eq!(others, []);
}

#[tokio::test]
async fn a_malformed_request_is_refused_and_the_next_one_served() {
    let (lb, _backend) = served().await;
    for (name, frames) in malformed() {
        let mut connection = Frames::open(lb.address).await;
        for frame in &frames {
            connection.send(frame.bytes()).await;
        }
        let answer = connection
            .next_of(&[RST_STREAM, HEADERS, GOAWAY], name)
            .await;
        let refused = match answer.kind {
            RST_STREAM => answer.error() == PROTOCOL_ERROR,
            // 8.1.1 lets a server answer; CONNECT is a 405, which has no index.
            HEADERS if name.starts_with("CONNECT") => answer.payload[0] != OK,
            HEADERS => answer.payload[0] == BAD_REQUEST,
            _ => answer.error() == PROTOCOL_ERROR,
        };
        assert!(refused, "{name}: {answer:?}");
        if answer.kind != GOAWAY {
            connection.send(get(3).bytes()).await;
            let next = connection.next_of(&[HEADERS, GOAWAY], name).await;
            assert_eq!((next.kind, next.stream), (HEADERS, 3), "{name}");
        }
    }
}

#[tokio::test]
async fn connect_is_not_for_a_proxy_of_none() {
    for flags in [END_HEADERS, END_HEADERS | END_STREAM] {
        let (lb, backend) = served().await;
        let mut connection = Frames::open(lb.address).await;
        let block = literals(&[(":method", "CONNECT"), (":authority", "a:80")]);
        connection
            .send(frame(HEADERS, flags, 1, block).bytes())
            .await;
        let answer = connection
            .next_of(&[HEADERS, RST_STREAM, GOAWAY], "CONNECT")
            .await;
        assert!(answer.payload.starts_with(METHOD_NOT_ALLOWED), "{answer:?}");
        assert_eq!(backend.connections(), 0, "no target hears of it");
        connection.send(get(3).bytes()).await;
        let next = connection.next_of(&[HEADERS, GOAWAY], "the next").await;
        assert_eq!((next.kind, next.payload[0]), (HEADERS, OK));
    }
}

#[tokio::test]
async fn who_says_nothing_for_a_while_may_still_begin() {
    let (lb, _backend) = served().await;
    let mut connection = Frames::silent(lb.address).await;
    // Another connection is served meanwhile, so that this one waits with its buffers given back.
    for _ in 0..20 {
        assert_eq!(get_http1(lb.address, "/").await.status, 200);
    }
    connection.begin().await;
    connection.send(get(1).bytes()).await;
    let answer = connection.next_of(&[HEADERS, GOAWAY], "a request").await;
    assert_eq!(answer.kind, HEADERS);
}

#[tokio::test]
async fn what_must_be_ignored_or_answered_is() {
    let (lb, _backend) = served().await;
    let mut connection = Frames::open(lb.address).await;
    // 4.1: an unknown kind, and unknown flags; 5.3.2: priorities; 6.5.2: an unknown setting.
    connection
        .send(frame(0xbb, 0xff, 0, [1, 2, 3]).bytes())
        .await;
    connection
        .send(frame(PING, 0xf0, 0, *b"whatever").bytes())
        .await;
    connection
        .send(frame(PRIORITY, 0, 9, [0, 0, 0, 1, 7]).bytes())
        .await;
    connection.send(setting(0xeeee, 7).bytes()).await;
    let pong = connection.next_of(&[PING], "a ping").await;
    assert_eq!((pong.flags, pong.payload), (ACK, b"whatever".to_vec()));
    connection.send(get(1).bytes()).await;
    let answer = connection
        .next_of(&[HEADERS, GOAWAY, RST_STREAM], "a request")
        .await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
}

#[tokio::test]
async fn no_more_is_sent_than_the_windows_allow() {
    let backend = Backend::text("hello").await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = Frames::open(lb.address).await;
    // 6.9.2: three bytes of each stream.
    connection.send(setting(4, 3).bytes()).await;
    connection.send(get(1).bytes()).await;
    let part = connection.next_of(&[DATA], "an answer").await;
    assert_eq!(
        (part.flags & END_STREAM, &part.payload[..]),
        (0, &b"hel"[..])
    );
    // Nothing but what was asked for comes before the window grows.
    connection.send(frame(PING, 0, 0, [0; 8]).bytes()).await;
    assert_eq!(connection.next_of(&[DATA, PING], "a ping").await.kind, PING);
    connection.send(window(1, 9).bytes()).await;
    let mut rest = connection.next_of(&[DATA], "an answer").await;
    assert_eq!(rest.payload, b"lo");
    if rest.flags & END_STREAM == 0 {
        rest = connection.next_of(&[DATA], "an answer").await;
    }
    assert_eq!(rest.flags & END_STREAM, END_STREAM);
}

#[tokio::test]
async fn a_body_that_is_reset_is_never_whole_for_its_target() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = Backend::raw(move |mut stream, _number| {
        let tell = tell.clone();
        async move {
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all).await);
            tell.send(String::from_utf8(all).unwrap()).unwrap();
        }
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    // 8.1: only servers end a body by a reset without an error.
    for code in [0, 8] {
        let mut connection = Frames::open(lb.address).await;
        connection.send(headers(1, 0, &[]).bytes()).await;
        connection.send(frame(DATA, 0, 1, *b"half").bytes()).await;
        let reset = u32::to_be_bytes(code);
        connection
            .send(frame(RST_STREAM, 0, 1, reset).bytes())
            .await;
        let request = within(told.recv()).await.unwrap();
        assert!(!request.contains("0\r\n\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_block_of_fields_may_come_in_pieces() {
    let (lb, _backend) = served().await;
    let mut connection = Frames::open(lb.address).await;
    let block = headers(1, 0, &[("x-long", &"x".repeat(100))]).payload;
    connection
        .send(frame(HEADERS, END_STREAM, 1, &block[..1]).bytes())
        .await;
    for piece in block[1..].chunks(50) {
        connection
            .send(frame(CONTINUATION, 0, 1, piece).bytes())
            .await;
    }
    connection
        .send(frame(CONTINUATION, END_HEADERS, 1, []).bytes())
        .await;
    let answer = connection
        .next_of(&[HEADERS, GOAWAY, RST_STREAM], "a request")
        .await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
}

#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_their_connection() {
    let (lb, _backend) = served().await;
    let mut connection = Frames::open(lb.address).await;
    let cancel = u32::to_be_bytes(8);
    let stream = |number: u32| 2 * number + 1;
    // At once: only what has not been looked at counts.
    let resets = (0..1_000).flat_map(|number| {
        let reset = frame(RST_STREAM, 0, stream(number), cancel);
        [get(stream(number)).bytes(), reset.bytes()]
    });
    connection.send(resets.collect::<Vec<_>>().concat()).await;
    let end = connection.next_of(&[GOAWAY], "rapid reset").await;
    assert_eq!(end.error(), ENHANCE_YOUR_CALM);
    while connection.next().await.is_some() {}
    assert_eq!(get_http1(lb.address, "/").await.status, 200);
}

#[tokio::test]
async fn a_block_of_fields_without_an_end_ends_its_connection() {
    let (lb, _backend) = served().await;
    let mut connection = Frames::open(lb.address).await;
    let block = headers(1, 0, &[]).payload;
    connection
        .send(frame(HEADERS, END_STREAM, 1, block).bytes())
        .await;
    let field = literals(&[("x-long", &"x".repeat(120))]);
    for _ in 0..2_000 {
        connection
            .send(frame(CONTINUATION, 0, 1, field.clone()).bytes())
            .await;
    }
    let mut last = None;
    while let Some(frame) = connection.next().await {
        last = Some(frame);
    }
    let last = last.unwrap();
    assert_eq!((last.kind, last.error()), (GOAWAY, ENHANCE_YOUR_CALM));
    assert_eq!(get_http1(lb.address, "/").await.status, 200);
}
