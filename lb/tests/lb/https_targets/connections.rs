//! How connections to targets that speak TLS begin and end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use roadstead_lb::Config;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::{OK, SWITCH, answer, head, https, secured, start, start_with};
use crate::harness::{Backend, acceptor, get, target, within};

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
            stream.write_all(OK).await.unwrap();
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
            head(&mut stream).await;
            stream.write_all(OK).await.unwrap();
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
            head(&mut stream).await;
            stream.write_all(OK).await.unwrap();
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
        let head = head(&mut stream).await;
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
async fn a_tunnel_whose_client_breaks_off_is_not_whole_for_its_target() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let backend = secured(acceptor("target.example"), move |mut stream, _| {
        let tell = tell.clone();
        async move {
            head(&mut stream).await;
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
