//! HTTP/2 towards clients.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::frames::{PREFACE, SETTINGS, frame};
use crate::harness::{
    Backend, Http2, Lb, TlsClient, certificate, draining, free_address, http2, https, listener,
    request, target, text, within,
};

const LONG: Duration = Duration::from_secs(300);

/// A target that answers `/slow` when it is let go, and everything else at once.
async fn slow() -> (Backend, watch::Receiver<usize>, watch::Sender<bool>) {
    let (arrived, arrivals) = watch::channel(0);
    let (release, gate) = watch::channel(false);
    let backend = Backend::http(move |request| {
        let (arrived, mut gate) = (arrived.clone(), gate.clone());
        async move {
            if request.uri().path() == "/slow" {
                arrived.send_modify(|number| *number += 1);
                gate.wait_for(|open| *open).await.unwrap();
                return text("slow");
            }
            text("quick")
        }
    })
    .await;
    (backend, arrivals, release)
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let backend = Backend::echo().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    let mut client = Http2::agree(lb.address).await;
    let mut answers = JoinSet::new();
    for number in 0..500 {
        let body = format!("{number} ").repeat(number);
        let answer = client.send(http2::post("/", body.clone()));
        answers.spawn(async move {
            let answer = answer.await.unwrap().into_body();
            assert_eq!(answer.collect().await.unwrap().to_bytes(), body);
        });
    }
    while let Some(answer) = within(answers.join_next()).await {
        answer.unwrap();
    }
    lb.until_counts([500, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_client_that_knows_may_begin_with_http_2_and_another_with_http_1() {
    let backend = Backend::echo().await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut client = Http2::connect(lb.address).await;
    for size in [0, 1, 1024 * 1024] {
        let answer = within(client.send(http2::post("/", vec![b'x'; size]))).await;
        let body = within(answer.unwrap().into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes().len(), size);
    }
    assert_eq!(lb.connect().await.post("/", "body").await.text(), "body");
}

#[tokio::test]
async fn a_preface_in_two_parts_is_understood() {
    let backend = Backend::echo().await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (first, rest) = PREFACE.split_at(18);
    stream.write_all(first).await.unwrap();
    // Another one is served meanwhile, so that the first part has arrived.
    assert_eq!(lb.connect().await.get("/").await.status, 200);
    let settings = frame(SETTINGS, 0, 0, []).bytes();
    stream.write_all(&[rest, &settings].concat()).await.unwrap();
    let mut answer = [0; 9];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(
        answer[3], SETTINGS,
        "settings are expected, and no answer in text"
    );
}

#[tokio::test]
async fn http_2_in_the_middle_of_a_connection_or_without_agreement_is_nonsense() {
    let backend = Backend::echo().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.status, 200);
    connection.send(PREFACE).await;
    assert_eq!(connection.answer().await.status, 400);
    connection.closed().await;
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    let mut connection = TlsClient::new().connect(lb.address).await;
    connection.send(PREFACE).await;
    assert_eq!(connection.answer().await.status, 400);
    connection.closed().await;
}

#[tokio::test]
async fn a_target_sees_the_host_one_cookie_header_and_nothing_of_http_2() {
    let backend = Backend::http(|request| async move {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        let line = format!("{} {:?}\n", request.uri(), request.version());
        text(line + &headers.collect::<String>())
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut client = Http2::connect(lb.address).await;
    let mut request = http2::get("/a?b=c");
    for (name, value) in [("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2")] {
        let value = value.parse().unwrap();
        request.headers_mut().append(name, value);
    }
    let answer = within(client.send(request)).await.unwrap().into_body();
    let text = within(answer.collect()).await.unwrap().to_bytes();
    let mut seen: Vec<_> = str::from_utf8(&text).unwrap().lines().collect();
    seen.sort_unstable();
    let port = format!("x-forwarded-port: {}", lb.address.port());
    let expected = [
        "/a?b=c HTTP/1.1",
        "cookie: a=1; b=2",
        "host: shop.example",
        "x-forwarded-for: 127.0.0.1",
        &port,
        "x-forwarded-proto: http",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let backend = Backend::raw(|mut stream, _| async move {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"0\r\nx-sum: 7\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                      2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut client = Http2::connect(lb.address).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let frames = [Frame::data(Bytes::from("hi")), Frame::trailers(trailers)];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
    let request = Request::post("http://shop.example/").body(BodyExt::boxed_unsync(body));
    let answer = within(client.send(request.unwrap())).await.unwrap();
    let answer = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "ok");
}

#[tokio::test]
async fn at_the_deadline_a_request_is_cut_and_the_others_of_its_connection_go_on() {
    let (leaving, mut arrivals, _release) = slow().await;
    let (staying, mut stayed, release) = slow().await;
    let leaving = target("leaving", leaving.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut client = Http2::connect(lb.address).await;
    let cut = client.send(http2::get("/slow"));
    let cut = tokio::spawn(cut);
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let staying = target("staying", staying.address);
    lb.retarget(&[draining(&leaving, LONG), staying.clone()])
        .await;
    let other = tokio::spawn(client.send(http2::get("/slow")));
    within(stayed.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let soon = draining(&leaving, Duration::from_millis(100));
    lb.retarget(&[soon, staying]).await;
    assert_eq!(within(cut).await.unwrap().unwrap().status(), 502);
    lb.until(|report| report.targets.iter().any(|target| target.drained))
        .await;
    release.send_replace(true);
    assert_eq!(within(other).await.unwrap().unwrap().status(), 200);
    lb.until_counts([1, 0, 0, 1]).await;
}

#[tokio::test]
async fn at_the_deadline_an_answer_that_nobody_reads_is_cut_and_the_connection_stays() {
    let backend = Backend::http(|request| async move {
        match request.uri().path() {
            "/big" => text(vec![b'x'; 64 * 1024 * 1024]),
            _ => text("small"),
        }
    })
    .await;
    let leaving = target("big", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut client = Http2::connect(lb.address).await;
    let unread = within(client.send(http2::get("/big"))).await.unwrap();
    let soon = draining(&leaving, Duration::from_millis(100));
    lb.retarget(&[soon, target("new", backend.address)]).await;
    lb.until(|report| report.targets.iter().any(|target| target.drained))
        .await;
    lb.until_counts([0, 0, 0, 1]).await;
    assert_eq!(client.get("/").await, (200, "small".to_owned()));
    within(unread.into_body().collect()).await.unwrap_err();
}

#[tokio::test]
async fn each_request_has_its_own_clock() {
    let (backend, _arrivals, _release) = slow().await;
    let change = |config: &mut roadstead_lb::Config| {
        config.target_timeout = Duration::from_millis(400);
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut client = Http2::connect(lb.address).await;
    let silent = tokio::spawn(client.send(http2::get("/slow")));
    let mut made = 0;
    while !silent.is_finished() {
        assert_eq!(client.get("/").await, (200, "quick".to_owned()));
        made += 1;
    }
    assert_eq!(silent.await.unwrap().unwrap().status(), 504);
    assert_eq!(client.get("/").await.0, 200);
    lb.until_counts([made + 1, 0, 1, 0]).await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_one_with_a_slow_request_is_not() {
    let (backend, mut arrivals, release) = slow().await;
    let change = |config: &mut roadstead_lb::Config| {
        config.client_timeout = Duration::from_millis(200);
    };
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut busy = Http2::connect(lb.address).await;
    let answer = tokio::spawn(busy.send(http2::get("/slow")));
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let never_used = Http2::connect(lb.address).await;
    let mut used = Http2::connect(lb.address).await;
    assert_eq!(used.get("/").await.0, 200);
    never_used.closed().await;
    used.closed().await;
    release.send_replace(true);
    assert_eq!(within(answer).await.unwrap().unwrap().status(), 200);
    busy.closed().await;
}

#[tokio::test]
async fn a_listener_that_closes_tells_its_connections_and_lets_requests_end() {
    let (backend, mut arrivals, release) = slow().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let unused = Http2::connect(lb.address).await;
    let mut busy = Http2::connect(lb.address).await;
    let answer = tokio::spawn(busy.send(http2::get("/slow")));
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let port = free_address().port();
    let revision = lb.change(|table| table.listeners = vec![listener(port)]);
    lb.until(|report| report.table_revision == revision).await;
    unused.closed().await;
    assert!(!answer.is_finished());
    release.send_replace(true);
    let answer = within(answer).await.unwrap().unwrap();
    let body = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "slow");
    busy.closed().await;
}

#[tokio::test]
async fn a_request_that_its_client_takes_back_frees_the_target() {
    let (backend, mut arrivals, _release) = slow().await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut client = Http2::connect(lb.address).await;
    let taken_back = tokio::spawn(client.send(http2::get("/slow")));
    let hung_up = Http2::connect(lb.address).await.send(http2::get("/slow"));
    let hung_up = tokio::spawn(hung_up);
    within(arrivals.wait_for(|arrived| *arrived == 2))
        .await
        .unwrap();
    taken_back.abort();
    hung_up.abort();
    lb.retarget(&[draining(&leaving, LONG)]).await;
    let report = lb.until(|report| report.targets[0].drained).await;
    let counts = report.counts.iter().map(|one| one.failed + one.cut);
    assert_eq!(counts.sum::<u64>(), 0);
}

#[tokio::test]
async fn a_target_that_breaks_off_its_answer_breaks_off_the_request_alone() {
    let backend = Backend::raw(|mut stream, _| async move {
        assert!(request(&mut stream).await);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut client = Http2::connect(lb.address).await;
    for _ in 0..2 {
        // The end may overtake the head.
        if let Ok(answer) = within(client.send(http2::get("/"))).await {
            within(answer.into_body().collect()).await.unwrap_err();
        }
    }
    lb.until_counts([0, 0, 2, 0]).await;
}

#[tokio::test]
async fn what_is_refused_is_refused_for_one_request() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut roadstead_lb::Config| config.max_header_bytes = 4096;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut client = Http2::connect(lb.address).await;
    let mut other_host = http2::get("/");
    other_host
        .headers_mut()
        .insert("host", "other.example".parse().unwrap());
    let answer = within(client.send(other_host)).await.unwrap();
    assert_eq!(answer.status(), 400);
    let mut large = http2::get("/");
    let filler = "x".repeat(5000).parse().unwrap();
    large.headers_mut().insert("x-filler", filler);
    // By its settings the client knows that it may not be sent, or is told so.
    if let Ok(answer) = within(client.send(large)).await {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(client.get("/").await.0, 200);
}

#[tokio::test]
async fn an_answer_of_our_own_to_head_has_a_length_and_no_body() {
    // Without a target.
    let lb = Lb::start(&[]).await;
    let mut client = Http2::connect(lb.address).await;
    let mut head = http2::get("/");
    *head.method_mut() = http::Method::HEAD;
    let answer = within(client.send(head)).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_ne!(answer.headers()["content-length"], "0");
    let body = within(answer.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes().len(), 0);
    let (status, text) = client.get("/").await;
    assert_eq!((status, text.is_empty()), (503, false));
}

#[tokio::test]
async fn each_request_is_a_line_of_the_access_log() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = path.clone();
    let change = |config: &mut roadstead_lb::Config| config.access_log = Some(log);
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut client = Http2::connect(lb.address).await;
    assert_eq!(client.get("/a?b=c").await.0, 200);
    lb.stop.cancel();
    within(lb.task).await.unwrap().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["path"], "/a?b=c");
    assert_eq!(line["host"], "shop.example");
    assert_eq!(line["bytes_sent"], 5);
    assert_eq!(line["status"], 200);
}
