//! Targets that speak TLS.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

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
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::drain::swap_under_load;
use crate::harness::{Backend, Lb, Load, acceptor, body_of, get, target, within};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
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
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
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
async fn a_connection_that_its_target_has_closed_gets_no_request() {
    let (closed, mut closings) = watch::channel(0);
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let closed = closed.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"body") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            closed.send_modify(|number| *number += 1);
        }
    })
    .await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    for number in 1..=5 {
        // One that must not be repeated.
        assert_eq!(client.post("/", "body").await.text(), "ok");
        within(closings.wait_for(|closed| *closed == number))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_target_that_says_that_it_closes_gets_no_request_either() {
    let (closed, mut closings) = watch::channel(0);
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let closed = closed.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream.get_mut().1.send_close_notify();
            stream.flush().await.unwrap();
            closed.send_modify(|number| *number += 1);
            // The connection below stays open.
            std::future::pending::<()>().await;
        }
    })
    .await;
    let mut lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    for number in 1..=3 {
        assert_eq!(client.get("/").await.text(), "ok");
        within(closings.wait_for(|closed| *closed == number))
            .await
            .unwrap();
    }
    lb.until_counts([3, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_connection_that_is_not_needed_any_more_is_closed_in_order() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            stream.flush().await.unwrap();
            // Without a word the end is an error.
            tell.send(stream.read(&mut [0]).await).unwrap();
        }
    })
    .await;
    let unused = Duration::from_millis(1);
    let change = |config: &mut Config| config.pool_timeout = unused;
    let lb = start_with(&backend, "HTTP1", None, change).await;
    assert_eq!(get(lb.address, "/").await.text(), "ok");
    let end = within(told.recv()).await.unwrap();
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn each_target_has_its_own_sessions_though_all_have_one_address() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut backends = Vec::new();
    for number in 0..2 {
        let tell = tell.clone();
        let backend = secured(acceptor("target.example"), move |stream, _| {
            let kind = stream.get_ref().1.handshake_kind();
            tell.send((number, kind == Some(HandshakeKind::Resumed)))
                .unwrap();
            answer(stream)
        });
        backends.push(backend.await);
    }
    let unused = Duration::ZERO;
    let change = |config: &mut Config| config.pool_timeout = unused;
    let mut lb = start_with(&backends[0], "HTTP1", None, change).await;
    let revision = lb.change(|table| {
        let targets = &mut table.target_groups[0].targets;
        targets.push(target("c", backends[1].address));
    });
    lb.until(|report| report.table_revision == revision).await;
    let mut resumed = [Vec::new(), Vec::new()];
    for _ in 0..6 {
        assert_eq!(get(lb.address, "/").await.status, 200);
        let (number, is_resumed): (usize, bool) = within(told.recv()).await.unwrap();
        resumed[number].push(is_resumed);
    }
    assert_eq!(resumed, [[false, true, true], [false, true, true]]);
}

#[tokio::test]
async fn an_answer_without_a_length_is_whole_if_its_target_ends_tls() {
    let backend = secured(acceptor("target.example"), |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\nthe whole")
            .await
            .unwrap();
        stream.flush().await.unwrap();
        if head.starts_with(b"GET /whole ") {
            stream.shutdown().await.unwrap();
        }
    })
    .await;
    let lb = start(&backend, "HTTP1", None).await;
    assert_eq!(get(lb.address, "/whole").await.text(), "the whole");
    let mut client = lb.connect().await;
    client.send("GET /cut HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert!(client.try_answer().await.is_none());
}

#[tokio::test]
async fn a_handshake_that_fails_is_made_with_another_target_and_one_that_stalls_is_too_late() {
    let plain = Backend::text("plain").await;
    let backend = https(acceptor("target.example")).await;
    let mut lb = start(&backend, "HTTP1", None).await;
    let revision = lb.change(|table| {
        let targets = &mut table.target_groups[0].targets;
        targets.push(target("plain", plain.address));
    });
    lb.until(|report| report.table_revision == revision).await;
    let mut client = lb.connect().await;
    for _ in 0..4 {
        assert_eq!(client.post("/", "body").await.text(), "body");
    }
    assert!(plain.connections() > 0);
    let silent = Backend::raw(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let lb = start_with(&silent, "HTTP1", None, |config| {
        config.connect_timeout = Duration::from_millis(50);
    });
    assert_eq!(get(lb.await.address, "/").await.status, 504);
}

#[tokio::test]
async fn nobody_reads_what_certificate_a_target_has() {
    let made = rcgen::generate_simple_self_signed(["target.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let certificate = CertificateDer::from(&b"no certificate at all"[..]);
    let certified = CertifiedKey::new(vec![certificate], key);
    for version in [&TLS12, &TLS13] {
        let shown = SingleCertAndKey::from(certified.clone());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        let backend = https(TlsAcceptor::from(Arc::new(config))).await;
        let lb = start(&backend, "HTTP1", None).await;
        assert_eq!(get(lb.address, "/").await.status, 200);
    }
}

#[tokio::test]
async fn websockets_go_over_tls() {
    let backend = secured(acceptor("target.example"), |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
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
async fn a_tunnel_whose_client_breaks_off_is_not_whole_for_its_target() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            tell.send(stream.read(&mut [0]).await).unwrap();
        }
    })
    .await;
    let lb = start(&backend, "HTTP1", None).await;
    let mut client = lb.connect().await;
    client
        .send("GET / HTTP/1.1\r\nHost: lb\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert_eq!(client.head().await.unwrap().status, 101);
    // A reset, as of a client that was killed.
    let socket = socket2::SockRef::from(client.stream.get_ref());
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let end = within(told.recv()).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
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
