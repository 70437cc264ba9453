//! Targets that speak TLS; how connections to them begin and end is in `connections`.

mod connections;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use roadstead_lb::Config;
use roadstead_proto::lb;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::drain::swap_under_load;
use crate::harness::{Backend, Lb, Load, acceptor, body_of, get, target, within};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LARGE: usize = 4 * 1024 * 1024;

/// Starts a load balancer with one worker, whose targets speak TLS and that version of HTTP.
async fn start(backend: &Backend, version: &str, check: Option<lb::HealthCheck>) -> Lb {
    start_with(backend, version, check, |_config| {}).await
}

async fn start_with(
    backend: &Backend,
    version: &str,
    check: Option<lb::HealthCheck>,
    change: impl FnOnce(&mut Config),
) -> Lb {
    let mut lb = Lb::start_with(&[], |config| {
        config.workers = 1;
        change(config);
    })
    .await;
    let revision = lb.change(|table| {
        let group = &mut table.target_groups[0];
        group.protocol = "HTTPS".to_owned();
        group.protocol_version = version.to_owned();
        group.targets = vec![target("b", backend.address)];
        group.health_check = check;
    });
    lb.until(|report| report.table_revision == revision).await;
    lb
}

/// Returns what a target needs to agree upon one of these protocols.
fn offering(protocols: &[&[u8]]) -> TlsAcceptor {
    let mut config = ServerConfig::clone(acceptor("target.example").config());
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers with the URI and the body of a request, and calls of gRPC with 12; in HTTP/2 where that is agreed upon.
async fn answer(stream: TlsStream<TcpStream>) {
    async fn answered(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let uri = request.uri().clone();
        let body = body_of(request).await;
        let mut answer = Response::new(Full::new(body));
        let value = uri.to_string().parse().unwrap();
        answer.headers_mut().insert("x-uri", value);
        answer.headers_mut().insert("grpc-status", 12.into());
        Ok(answer)
    }
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let service = service_fn(answered);
    // The load balancer closes connections as it likes.
    if is_http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(stream, service).await);
    } else {
        let builder = http1::Builder::new();
        drop(builder.serve_connection(stream, service).await);
    }
}

async fn https(acceptor: TlsAcceptor) -> Backend {
    secured(acceptor, |stream, _number| answer(stream)).await
}

/// Gives each connection to `serve` when it has shaken hands.
async fn secured<F>(
    acceptor: TlsAcceptor,
    serve: impl Fn(TlsStream<TcpStream>, usize) -> F + Clone + Send + Sync + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    Backend::raw(move |stream, number| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            // What is written has come when that returns, and is not held back until something before it is acknowledged.
            stream.set_nodelay(true).unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, number).await;
            }
        }
    })
    .await
}

/// Reads the head of a request.
async fn head(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    head
}

#[tokio::test]
async fn requests_go_over_tls_on_a_connection_that_is_kept() {
    let backend = https(acceptor("target.example")).await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    for number in 0..20 {
        let answer = client.post(&format!("/{number}"), "hello").await;
        assert_eq!((answer.status, answer.text()), (200, "hello"));
        let uri = format!("/{number}");
        assert_eq!(answer.header("x-uri"), Some(uri.as_str()));
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn large_bodies_are_whole_in_both_directions() {
    let backend = https(acceptor("target.example")).await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    let body = "0123456789abcdef".repeat(LARGE / 16);
    for _ in 0..3 {
        let answer = client.post("/", &body).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == body.as_bytes());
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_body_that_comes_in_parts_is_sent_on_part_by_part() {
    let (seen, mut count) = watch::channel(0);
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let seen = seen.clone();
        async move {
            let mut read = Vec::new();
            while !read.ends_with(b"last") {
                stream.read_buf(&mut read).await.unwrap();
                seen.send_replace(read.iter().filter(|byte| **byte == b'#').count());
            }
            stream.write_all(OK).await.unwrap();
            stream.flush().await.unwrap();
        }
    })
    .await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    client
        .send("POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 6\r\n\r\n")
        .await;
    for number in 1..=2 {
        client.send("#").await;
        within(count.wait_for(|seen| *seen == number))
            .await
            .unwrap();
    }
    client.send("last").await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn requests_in_http2_are_of_https_and_share_a_connection() {
    let backend = https(offering(&[b"http/1.1", b"h2"])).await;
    let lb = start(&backend, "HTTP2", None).await;
    let mut client = lb.connect().await;
    for _ in 0..5 {
        let answer = client.post("/a", "hello").await;
        assert_eq!((answer.status, answer.text()), (200, "hello"));
        let uri: Uri = answer.header("x-uri").unwrap().parse().unwrap();
        assert_eq!(uri, "https://lb/a");
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_target_that_does_not_speak_as_it_should_is_a_bad_gateway() {
    let plain = Backend::text("plain").await;
    let lb = start(&plain, "HTTP1", None).await;
    assert_eq!(get(lb.address, "/").await.status, 502);
    let without_http2 = https(acceptor("target.example")).await;
    let lb = start(&without_http2, "HTTP2", None).await;
    assert_eq!(get(lb.address, "/").await.status, 502);
}

#[tokio::test]
async fn websockets_go_over_tls() {
    let backend = secured(acceptor("target.example"), |mut stream, _| async move {
        head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        stream.write_all(b"early").await.unwrap();
        stream.flush().await.unwrap();
        let (mut source, mut sink) = tokio::io::split(stream);
        tokio::io::copy(&mut source, &mut sink).await.unwrap();
        sink.write_all(b"goodbye").await.unwrap();
        sink.shutdown().await.unwrap();
    })
    .await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: lb\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().status, 101);
    let large = vec![b'x'; LARGE];
    let (mut source, mut sink) = tokio::io::split(client.stream);
    let writing = async {
        sink.write_all(b"hello").await.unwrap();
        sink.write_all(&large).await.unwrap();
        sink.shutdown().await.unwrap();
    };
    let mut read = Vec::new();
    let both = async { tokio::join!(writing, source.read_to_end(&mut read)).1 };
    within(both).await.unwrap();
    let expected = [&b"earlyhello"[..], &large, b"goodbye"].concat();
    assert!(read == expected, "{} bytes", read.len());
}

#[tokio::test]
async fn swaps_of_targets_under_load_lose_no_request_over_tls_either() {
    let speak = |version: &str| {
        let version = version.to_owned();
        move |group: &mut lb::TargetGroup| {
            group.protocol = "HTTPS".to_owned();
            group.protocol_version = version;
        }
    };
    let http1 = async || https(acceptor("target.example")).await;
    let load = |address| Load::start(address, 8, &["GET", "POST"]);
    swap_under_load(10, http1, speak("HTTP1"), load).await;
    let http2 = async || https(offering(&[b"h2"])).await;
    let load = |address| Load::start_over_http2(address, 4);
    swap_under_load(10, http2, speak("HTTP2"), load).await;
}

#[tokio::test]
async fn targets_are_asked_how_they_fare_as_requests_are_sent() {
    for (version, acceptor, code) in [
        ("HTTP1", acceptor("target.example"), "200"),
        ("HTTP2", offering(&[b"h2"]), "200"),
        ("GRPC", offering(&[b"h2"]), "12"),
    ] {
        let backend = https(acceptor).await;
        let mut lb = start(&backend, version, Some(lb::HealthCheck::default())).await;
        let report = lb.until_state("b", "healthy").await;
        assert!(report.last_probe.starts_with(code), "{report:?}");
    }
    // What is wrong is said.
    for (version, backend) in [
        ("HTTP1", Backend::text("plain").await),
        ("HTTP2", https(acceptor("target.example")).await),
    ] {
        let check = lb::HealthCheck {
            interval_seconds: 1,
            ..lb::HealthCheck::default()
        };
        let mut lb = start(&backend, version, Some(check)).await;
        let report = lb.until_state("b", "unhealthy").await;
        assert!(
            report.last_probe.starts_with("no TLS, or no h2 in it"),
            "{report:?}"
        );
    }
    // Who wants it otherwise can have that.
    let backend = https(acceptor("target.example")).await;
    let check = lb::HealthCheck {
        protocol: "HTTP".to_owned(),
        interval_seconds: 1,
        ..lb::HealthCheck::default()
    };
    let mut lb = start(&backend, "HTTP1", Some(check)).await;
    lb.until_state("b", "unhealthy").await;
}
