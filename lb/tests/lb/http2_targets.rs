//! Targets that speak HTTP/2; `limits` is about what they refuse, and what others may hold up.

mod limits;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use roadstead_lb::Config;
use roadstead_proto::lb;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::frames::{DATA, Frames, RST_STREAM, get as get_frame};
use crate::harness::{
    Backend, Http2, Lb, body_of, draining, free_address, get, http2, target, within,
};

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn text(text: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(text.into()).boxed_unsync())
}

async fn echo(request: Request<Incoming>) -> Reply {
    text(body_of(request).await)
}

/// Starts a load balancer with one worker, whose targets speak HTTP/2.
async fn start(targets: &[lb::Target], change: impl FnOnce(&mut Config)) -> Lb {
    let mut lb = Lb::start_with(&[], |config| {
        config.workers = 1;
        change(config);
    })
    .await;
    let revision = lb.change(|table| {
        table.target_groups[0].protocol_version = "HTTP2".to_owned();
        table.target_groups[0].targets = targets.to_vec();
    });
    lb.until(|report| report.table_revision == revision).await;
    lb
}

#[tokio::test]
async fn what_a_guess_could_find_out_is_never_indexed() {
    // RFC 7541 6.2.3, with the indexes of the names (A).
    const AUTHORIZATION: &[u8] = &[0x1f, 23 - 15];
    const COOKIE: &[u8] = &[0x1f, 32 - 15];
    let (read, mut bytes) = watch::channel(Vec::new());
    let backend = Backend::raw(move |mut stream, _number| {
        let read = read.clone();
        async move {
            let mut all = Vec::new();
            while matches!(stream.read_buf(&mut all).await, Ok(1..)) {
                read.send_replace(all.clone());
            }
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut connection = lb.connect().await;
    connection
        .send("GET / HTTP/1.1\r\nHost: lb\r\nAuthorization: Basic a\r\nCookie: b=c\r\n\r\n")
        .await;
    let is_there = |bytes: &Vec<u8>| {
        [AUTHORIZATION, COOKIE]
            .iter()
            .all(|begin| bytes.windows(2).any(|two| two == *begin))
    };
    within(bytes.wait_for(is_there)).await.unwrap();
}

#[tokio::test]
async fn a_request_is_a_call_with_all_that_it_has() {
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value
                .map_or("-", |value| value.to_str().unwrap())
                .to_owned()
        };
        let names = [
            "x-own",
            "te",
            "x-forwarded-for",
            "x-forwarded-proto",
            "host",
        ];
        let headers = names.map(header).join(" ");
        let uri = request.uri().clone();
        text(format!("{:?} {uri} {headers}", request.version()))
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut connection = lb.connect().await;
    connection
        .send("GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Own: 1\r\nConnection: x-private\r\nX-Private: 1\r\n\r\n")
        .await;
    assert_eq!(
        connection.answer().await.text(),
        "HTTP/2.0 http://shop.example/a?b=c 1 trailers 127.0.0.1 http -"
    );
}

#[tokio::test]
async fn white_space_around_values_ends_with_us() {
    let shown = |request: Request<Incoming>| async move {
        let own = request.headers()["x-own"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().unwrap()["x-sum"].to_str().unwrap();
        text(format!("[{own}] [{sum}]"))
    };
    let backend = Backend::http2(usize::MAX, shown).await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let odd = HeaderValue::from_static(" \t1 ");
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), odd.clone())]);
    let frames = [
        Ok(Frame::data("body".into())),
        Ok(Frame::trailers(trailers)),
    ];
    let (mut head, _) = http2::post("/", "").into_parts();
    head.headers.insert("x-own", odd);
    let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
    let mut client = Http2::connect(lb.address).await;
    let answer = within(client.send(Request::from_parts(head, body))).await;
    let body = within(answer.unwrap().into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "[1] [1]");
}

#[tokio::test]
async fn bodies_stream_both_ways_from_either_kind_of_client() {
    let backend = Backend::http2(usize::MAX, echo).await;
    let mut lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut client = Http2::connect(lb.address).await;
    for size in [0, 1, 3 * 1024 * 1024] {
        let answer = within(client.send(http2::post("/", vec![b'x'; size]))).await;
        let body = within(answer.unwrap().into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes().len(), size);
    }
    let large = "y".repeat(1024 * 1024);
    assert_eq!(lb.connect().await.post("/", &large).await.text(), large);
    lb.until_counts([4, 0, 0, 0]).await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap();
        let mut trailers = HeaderMap::new();
        let sum = body.trailers().unwrap()["x-sum"].clone();
        trailers.insert("x-sum-again", sum);
        // RFC 9110 6.5.1: too late for any of these.
        assert_eq!(body.trailers().unwrap().len(), 1);
        let frames = [
            Ok::<_, Infallible>(Frame::data(body.to_bytes())),
            Ok(Frame::trailers(trailers)),
        ];
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut client = Http2::connect(lb.address).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    for name in ["host", "content-length", "te"] {
        trailers.insert(name, HeaderValue::from_static("trailers"));
    }
    let frames = [
        Ok::<_, Infallible>(Frame::data(Bytes::from("data"))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let request = Request::post("https://shop.example/").body(body).unwrap();
    let answer = within(client.send(request)).await.unwrap();
    let body = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum-again"], "7");
    assert_eq!(body.to_bytes(), "data");
}

#[tokio::test]
async fn requests_share_a_connection_to_their_target() {
    let backend = Backend::http2(usize::MAX, echo).await;
    let mut lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut client = Http2::connect(lb.address).await;
    let mut answers = JoinSet::new();
    for number in 0..50 {
        let answer = client.send(http2::post("/", format!("{number}")));
        answers.spawn(async move { answer.await.unwrap().status() });
    }
    while let Some(answer) = within(answers.join_next()).await {
        assert_eq!(answer.unwrap(), 200);
    }
    lb.until_counts([50, 0, 0, 0]).await;
    let before = backend.connections();
    for _ in 0..50 {
        assert_eq!(client.get("/").await.0, 200);
    }
    assert_eq!(backend.connections(), before, "no further one was needed");
}

#[tokio::test]
async fn a_target_that_says_goodbye_costs_no_request() {
    let backend = Backend::http2(3, echo).await;
    let mut lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut client = Http2::connect(lb.address).await;
    for _ in 0..60 {
        assert_eq!(client.get("/").await.0, 200);
    }
    assert!(backend.connections() > 1);
    lb.until_counts([60, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_target_that_is_gone_is_passed_over_and_a_target_without_another_is_a_502() {
    let backend = Backend::http2(usize::MAX, echo).await;
    let gone = target("gone", free_address());
    let mut lb = start(&[gone.clone(), target("b", backend.address)], |_config| {}).await;
    for _ in 0..4 {
        assert_eq!(lb.connect().await.post("/", "body").await.status, 200);
    }
    let revision = lb.change(|table| table.target_groups[0].targets = vec![gone]);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 502);
}

/// A target that ends the connection when it has read a call. Counts what it has read.
async fn deadly(requests: &Arc<AtomicUsize>) -> Backend {
    let counter = Arc::clone(requests);
    Backend::raw(move |stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            let (has_read, mut reads) = watch::channel(false);
            let service = service_fn(move |_request| {
                counter.fetch_add(1, SeqCst);
                has_read.send_replace(true);
                std::future::pending::<Result<Reply, Infallible>>()
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ended = connection => {}
                _ = reads.wait_for(|has_read| *has_read) => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_get_goes_to_another_target_when_the_connection_ends_and_a_post_does_not() {
    let requests = Arc::default();
    let backend = deadly(&requests).await;
    let other = Backend::http2(usize::MAX, echo).await;
    let targets = [target("a", backend.address), target("b", other.address)];
    let mut lb = start(&targets, |_config| {}).await;
    for _ in 0..2 {
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
    let read = requests.load(SeqCst) as u64;
    assert!(read > 0, "no request met the target that hangs up");
    lb.until_counts([2, read, 0, 0]).await;
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(lb.connect().await.post("/", "body").await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502]);
}

#[tokio::test]
async fn a_drain_waits_for_calls_and_cuts_them_at_its_end() {
    let (arrived, mut arrivals) = watch::channel(0);
    let (release, gate) = watch::channel(false);
    let backend = Backend::http2(usize::MAX, move |_request: Request<Incoming>| {
        let (arrived, mut gate) = (arrived.clone(), gate.clone());
        async move {
            arrived.send_modify(|number| *number += 1);
            gate.wait_for(|open| *open).await.unwrap();
            text("slow")
        }
    })
    .await;
    let leaving = target("b", backend.address);
    let mut lb = start(std::slice::from_ref(&leaving), |_config| {}).await;
    let address = lb.address;
    let slow = tokio::spawn(async move { get(address, "/").await.status });
    within(arrivals.wait_for(|number| *number == 1))
        .await
        .unwrap();
    let long = Duration::from_secs(300);
    lb.retarget(&[draining(&leaving, long)]).await;
    let report = lb.until_state("b", "draining").await;
    assert!(!report.drained);
    lb.retarget(&[draining(&leaving, Duration::ZERO)]).await;
    assert_eq!(within(slow).await.unwrap(), 502, "its time is over");
    lb.until_counts([0, 0, 0, 1]).await;
    drop(release);
}

#[tokio::test]
async fn a_call_on_which_nothing_moves_is_a_504_and_one_whose_client_stops_a_408() {
    let backend = Backend::http2(usize::MAX, |request: Request<Incoming>| async move {
        body_of(request).await;
        std::future::pending::<Reply>().await
    })
    .await;
    let change = |config: &mut Config| config.target_timeout = Duration::from_millis(300);
    let lb = start(&[target("b", backend.address)], change).await;
    assert_eq!(get(lb.address, "/").await.status, 504);
    let mut halting = lb.connect().await;
    halting
        .send("POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 10\r\n\r\nhalf")
        .await;
    assert_eq!(halting.answer().await.status, 408);
}

#[tokio::test]
async fn a_client_is_told_for_which_reason_a_target_has_broken_its_answer_off() {
    let (release, gate) = watch::channel(false);
    let backend = Backend::http2(usize::MAX, move |_request: Request<Incoming>| {
        let mut gate = gate.clone();
        async move {
            let begun = stream::iter([Ok(Frame::data(Bytes::from("begun")))]);
            let broken = stream::once(async move {
                gate.wait_for(|open| *open).await.unwrap();
                Err(h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM))
            });
            Response::new(StreamBody::new(Box::pin(begun.chain(broken))))
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut connection = Frames::open(lb.address).await;
    connection.send(get_frame(1).bytes()).await;
    connection.next_of(&[DATA], "the beginning").await;
    release.send_replace(true);
    let reset = connection.next_of(&[RST_STREAM], "a reset").await;
    assert_eq!(reset.error(), u32::from(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn an_answer_that_its_target_resets_without_an_error_is_not_whole() {
    let (release, gate) = watch::channel(false);
    let backend = Backend::raw(move |stream, _number| {
        let gate = gate.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                let mut gate = gate.clone();
                tokio::spawn(async move {
                    let head = Response::builder().header("content-length", "9");
                    let answer = respond.send_response(head.body(()).unwrap(), false);
                    let mut answer = answer.unwrap();
                    answer.send_data(Bytes::from("half"), false).unwrap();
                    gate.wait_for(|open| *open).await.unwrap();
                    answer.send_reset(h2::Reason::NO_ERROR);
                });
            }
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_config| {}).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    let mut half = [0; 4];
    within(connection.stream.read_exact(&mut half))
        .await
        .unwrap();
    release.send_replace(true);
    connection.closed().await;
}
