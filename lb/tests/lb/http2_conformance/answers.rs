//! Answers of targets that are malformed (RFC 9113 8.1.1), or break the rules of their connection: nobody may take them for good.

mod mended;
mod refused;

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use tokio::io::AsyncReadExt as _;

use crate::harness::frames::{
    self, ACK, BAD_GATEWAY, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS,
    RST_STREAM, SETTINGS, frame, get, literals,
};
use crate::harness::{Backend, Http2, Lb, http2, target, within};
use mended::{mended, odd};
use refused::{breaking, malformed};

const OK: (&str, &str) = (":status", "200");

/// What a target does with each request: its frames are of the stream 1 of the table, whichever stream the request is.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Vec<Frame>>>);

impl Script {
    fn set(&self, frames: &[Frame]) {
        *self.0.lock().unwrap() = frames.to_vec();
    }

    fn bytes(&self, stream: u32) -> Vec<u8> {
        let frames = self.0.lock().unwrap().clone();
        let on_it = |frame: Frame| match frame.stream {
            1 => Frame { stream, ..frame },
            _ => frame,
        };
        let frames = frames.into_iter().map(|frame| on_it(frame).bytes());
        frames.collect::<Vec<_>>().concat()
    }
}

/// A target that speaks HTTP/2 frame by frame, as its script says, and a load balancer before it.
pub(super) async fn scripted() -> (Lb, Backend, Script) {
    let script = Script::default();
    let own = script.clone();
    let backend = Backend::raw(move |stream, _number| {
        let script = own.clone();
        async move {
            let Some(mut connection) = Frames::accept(stream).await else {
                return;
            };
            while let Some(next) = connection.next().await {
                match (next.kind, next.flags & ACK) {
                    (SETTINGS, 0) => connection.send(frame(SETTINGS, ACK, 0, []).bytes()).await,
                    (HEADERS, _) => connection.send(script.bytes(next.stream)).await,
                    _ => {}
                }
            }
        }
    })
    .await;
    let mut lb = Lb::start(&[]).await;
    let revision = lb.change(|table| {
        table.target_groups[0].protocol_version = "HTTP2".to_owned();
        table.target_groups[0].targets = vec![target("b", backend.address)];
    });
    lb.until(|report| report.table_revision == revision).await;
    (lb, backend, script)
}

fn head(fields: &[(&str, &str)]) -> Frame {
    frame(HEADERS, END_HEADERS, 1, literals(fields))
}

fn last_head(fields: &[(&str, &str)]) -> Frame {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, literals(fields))
}

fn last_data(data: &str) -> Frame {
    frame(DATA, END_STREAM, 1, data)
}

/// Whether a client has an answer, and which.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    BadGateway,
    /// It has no end: the connection is closed, or the stream is reset.
    BrokenOff,
    /// With its status and its body.
    Whole(u16, String),
}

async fn outcome_of_http1(lb: &Lb) -> Outcome {
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    match connection.try_answer().await {
        None => Outcome::BrokenOff,
        Some(answer) if answer.status == 502 => Outcome::BadGateway,
        Some(answer) => Outcome::Whole(answer.status, answer.text().to_owned()),
    }
}

/// Reads frames: a library might find the error that we have passed on.
async fn outcome_of_http2(lb: &Lb) -> Outcome {
    let mut connection = Frames::open(lb.address).await;
    connection.send(get(1).bytes()).await;
    let mut answer: Vec<Frame> = Vec::new();
    while answer
        .last()
        .is_none_or(|last| last.flags & END_STREAM == 0)
    {
        match connection.next().await {
            Some(frame) if [HEADERS, DATA].contains(&frame.kind) => answer.push(frame),
            Some(frame) if ![RST_STREAM, GOAWAY].contains(&frame.kind) => {}
            Some(_) | None => return Outcome::BrokenOff,
        }
    }
    let status = match &answer[0].payload {
        head if head.starts_with(BAD_GATEWAY) => return Outcome::BadGateway,
        head if head.starts_with(frames::OK) => 200,
        _ => 0,
    };
    let data = answer.iter().filter(|frame| frame.kind == DATA);
    let data: Vec<u8> = data.flat_map(|frame| frame.payload.clone()).collect();
    Outcome::Whole(status, String::from_utf8_lossy(&data).into_owned())
}

#[tokio::test]
async fn an_answer_that_is_malformed_is_a_502_or_breaks_off_and_the_next_one_is_whole() {
    let (lb, _backend, script) = scripted().await;
    let mut failures = Vec::new();
    for (name, frames) in malformed().into_iter().chain(breaking()) {
        script.set(&frames);
        for outcome in [outcome_of_http1(&lb).await, outcome_of_http2(&lb).await] {
            if matches!(outcome, Outcome::Whole(..)) {
                failures.push(format!("{name}: {outcome:?}"));
            }
        }
        script.set(&[head(&[OK]), last_data("good")]);
        for outcome in [outcome_of_http1(&lb).await, outcome_of_http2(&lb).await] {
            if outcome != Outcome::Whole(200, "good".to_owned()) {
                failures.push(format!("behind {name}: {outcome:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Returns all that a client of HTTP/1.1 reads.
async fn text_of_http1(lb: &Lb) -> String {
    let mut connection = lb.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n";
    connection.send(request).await;
    let mut text = String::new();
    within(connection.stream.read_to_string(&mut text))
        .await
        .unwrap();
    text
}

/// Returns what a client of HTTP/2 reads, written as in HTTP/1.1.
async fn text_of_http2(lb: &Lb) -> hyper::Result<String> {
    let mut client = Http2::connect(lb.address).await;
    let (head, body) = within(client.send(http2::get("/"))).await?.into_parts();
    let body = within(body.collect()).await?;
    let lines = |fields: &HeaderMap| {
        let lines = fields.iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        lines.collect::<String>()
    };
    let status = head.status.as_u16();
    let (head, trailers) = (lines(&head.headers), body.trailers().map(lines));
    let data = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let trailers = trailers.unwrap_or_default();
    Ok(format!(
        "HTTP/1.1 {status}\r\n{head}\r\n{data}{trailers}\r\n\r\n"
    ))
}

#[tokio::test]
async fn an_answer_to_head_ends_with_its_head() {
    let (lb, _backend, script) = scripted().await;
    for data in ["", "data"] {
        script.set(&[head(&[OK, ("content-length", "4")]), last_data(data)]);
        let mut client = Http2::connect(lb.address).await;
        let request = Request::head("https://shop.example/").body(Empty::new().boxed_unsync());
        let answer = within(client.send(request.unwrap())).await.unwrap();
        assert_eq!(answer.headers()["content-length"], "4");
        let body = within(answer.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "");
    }
}

/// What h2 does not refuse, and we neither; but what is wrong with it ends with us.
#[tokio::test]
async fn what_is_let_through_comes_without_what_is_wrong_with_it() {
    let (lb, _backend, script) = scripted().await;
    let mut failures = Vec::new();
    let mended = mended().into_iter();
    let mended = mended.map(|(name, frames, sound, wrong)| (name, frames, sound, Some(wrong)));
    let odd = odd()
        .into_iter()
        .map(|(name, frames)| (name, frames, "data", None));
    for (name, frames, sound, wrong) in mended.chain(odd) {
        script.set(&frames);
        let of_http2 = text_of_http2(&lb).await;
        let of_http2 = of_http2.unwrap_or_else(|error| format!("{error:?}"));
        for text in [text_of_http1(&lb).await, of_http2] {
            let is_whole = text.contains(sound) && text.ends_with("\r\n\r\n");
            if !is_whole || wrong.is_some_and(|wrong| text.contains(wrong)) {
                failures.push(format!("{name}: {text:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
