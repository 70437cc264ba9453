//! HTTPS towards clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use roadstead_proto::lb;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::harness::{
    Authority, Backend, Lb, TlsClient, certificate, get, https, target, text, within,
};

/// A load balancer whose listener speaks HTTPS with these certificates.
async fn start(backend: &Backend, certificates: &[lb::Certificate]) -> Lb {
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| https(table, certificates));
    lb.until(|report| report.table_revision == revision).await;
    lb
}

/// Returns whether the other side has shown this certificate.
fn has_shown(stream: &TlsStream<TcpStream>, certificate: &lb::Certificate) -> bool {
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    shown == chain.collect::<Result<Vec<_>, _>>().unwrap()
}

#[tokio::test]
async fn https_is_served_in_both_versions_and_the_target_is_told() {
    let backend = Backend::http(|request| async move {
        let scheme = &request.headers()["x-forwarded-proto"];
        text(scheme.to_str().unwrap().to_owned())
    })
    .await;
    let lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::of_version(version).offering(&[b"http/1.1"]);
        let mut connection = client.connect(lb.address).await;
        for _ in 0..3 {
            assert_eq!(connection.get("/").await.text(), "https");
        }
        let (_, session) = connection.stream.get_ref().get_ref();
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[tokio::test]
async fn the_certificate_is_the_one_of_the_name_that_the_client_asks_for() {
    let backend = Backend::text("hello").await;
    let certificates = [
        certificate("default", &["default.example"]),
        certificate("wild", &["*.shop.example"]),
        certificate("exact", &["www.shop.example"]),
    ];
    let lb = start(&backend, &certificates).await;
    for (name, index) in [
        ("www.shop.example", 2),
        ("m.shop.example", 1),
        ("shop.example", 0),
        ("127.0.0.1", 0),
    ] {
        let stream = TlsClient::new().shake(lb.address, name).await.unwrap();
        assert!(has_shown(&stream, &certificates[index]), "{name}");
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_and_no_request_and_no_connection_is_lost() {
    let backend = Backend::text("hello").await;
    let mut lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    let mut old = TlsClient::new().connect(lb.address).await;
    assert_eq!(old.get("/").await.status, 200);
    let (stop, made) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        let (stop, made, address) = (Arc::clone(&stop), Arc::clone(&made), lb.address);
        clients.spawn(async move {
            while !stop.load(SeqCst) {
                let mut connection = TlsClient::new().connect(address).await;
                for _ in 0..3 {
                    assert_eq!(connection.get("/").await.text(), "hello");
                    made.fetch_add(1, SeqCst);
                }
            }
        });
    }
    let mut newest = None;
    for _ in 0..20 {
        let next = certificate("shop", &["shop.example"]);
        let revision = lb.change(|table| https(table, std::slice::from_ref(&next)));
        lb.until(|report| report.table_revision == revision).await;
        newest = Some(next);
    }
    let shaken = TlsClient::new().shake(lb.address, "shop.example").await;
    assert!(has_shown(&shaken.unwrap(), &newest.unwrap()));
    assert_eq!(old.get("/").await.status, 200);
    stop.store(true, SeqCst);
    while let Some(client) = within(clients.join_next()).await {
        client.unwrap();
    }
    lb.until_counts([made.load(SeqCst) as u64 + 2, 0, 0, 0])
        .await;
}

#[tokio::test]
async fn a_table_with_the_key_of_another_certificate_changes_nothing() {
    let backend = Backend::text("hello").await;
    let right = certificate("shop", &["shop.example"]);
    let mut lb = start(&backend, std::slice::from_ref(&right)).await;
    let wrong = lb::Certificate {
        private_key: certificate("other", &[]).private_key,
        ..certificate("shop", &["shop.example"])
    };
    lb.change(|table| https(table, &[wrong]));
    let mut reports = lb.control_plane.reports();
    for _ in 0..2 {
        within(reports.changed()).await.unwrap();
        assert_eq!(reports.borrow().table_revision, 2);
        let shaken = TlsClient::new().shake(lb.address, "shop.example").await;
        assert!(has_shown(&shaken.unwrap(), &right));
    }
}

#[tokio::test]
async fn a_session_is_resumed_after_the_table_has_changed() {
    let backend = Backend::text("hello").await;
    let mut lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::of_version(version);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut connection = client.connect(lb.address).await;
            assert_eq!(connection.get("/").await.status, 200);
            let (_, session) = connection.stream.get_ref().get_ref();
            assert_eq!(session.handshake_kind(), Some(expected), "{version:?}");
            let revision = lb.change(|_table| {});
            lb.until(|report| report.table_revision == revision).await;
        }
    }
}

#[tokio::test]
async fn where_clients_are_checked_only_those_with_a_certificate_are_served() {
    let backend = Backend::text("hello").await;
    let mut lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    let unknown = TlsClient::new();
    let mut connection = unknown.connect(lb.address).await;
    assert_eq!(connection.get("/").await.status, 200);
    let (authority, other) = (Authority::new(), Authority::new());
    let pem = authority.pem.clone();
    let revision = lb.change(|table| table.listeners[0].client_authority = pem);
    lb.until(|report| report.table_revision == revision).await;
    let known = TlsClient::known_to(&authority);
    for _ in 0..2 {
        let mut connection = known.connect(lb.address).await;
        assert_eq!(connection.get("/").await.status, 200);
    }
    // The first of them has a ticket from when nobody was asked.
    for refused in [unknown, TlsClient::known_to(&other), TlsClient::new()] {
        if let Ok(stream) = refused.shake(lb.address, "shop.example").await {
            let mut connection = crate::harness::Connection::over(stream);
            // With TLS 1.3 the client learns it after its handshake.
            use tokio::io::AsyncWriteExt as _;
            let request = b"GET / HTTP/1.1\r\nHost: lb\r\n\r\n";
            drop(connection.stream.write_all(request).await);
            assert!(connection.try_answer().await.is_none());
        }
    }
}

#[tokio::test]
async fn a_target_is_told_of_a_clients_certificate_and_by_nobody_else() {
    let backend = Backend::http(|request| async move {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value
                .map_or("none", |value| value.to_str().unwrap())
                .to_owned()
        };
        let told = ["subject", "serial-number", "leaf"]
            .map(|part| header(&format!("x-amzn-mtls-clientcert-{part}")));
        text(told.join("\n"))
    })
    .await;
    let request = "GET / HTTP/1.1\r\nHost: lb\r\nX-Amzn-Mtls-Clientcert-Subject: CN=admin\r\n\r\n";
    let mut lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    let mut connection = TlsClient::new().connect(lb.address).await;
    connection.send(request).await;
    assert_eq!(connection.answer().await.text(), "none\nnone\nnone");
    let authority = Authority::new();
    let pem = authority.pem.clone();
    let revision = lb.change(|table| table.listeners[0].client_authority = pem);
    lb.until(|report| report.table_revision == revision).await;
    let known = TlsClient::known_to(&authority);
    // The second session is resumed.
    for _ in 0..2 {
        let mut connection = known.connect(lb.address).await;
        connection.send(request).await;
        let answer = connection.answer().await;
        let told: Vec<_> = answer.text().lines().collect();
        assert!(
            told[0].starts_with("CN=") && told[0] != "CN=admin",
            "{told:?}"
        );
        assert!(told[1].len() >= 2 && told[1].bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert!(
            told[2].starts_with("-----BEGIN%20CERTIFICATE-----%0A"),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_disconnected_and_counts_until_then() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut roadstead_lb::Config| {
        config.client_timeout = Duration::from_millis(300);
        config.max_connections = 1;
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    let mut silent = lb.connect().await;
    let client = TlsClient::new();
    let shaking = client.connect(lb.address);
    silent.closed().await;
    assert_eq!(within(shaking).await.get("/").await.status, 200);
}

#[tokio::test]
async fn an_unused_connection_ends_with_a_farewell() {
    use tokio::io::AsyncReadExt as _;
    let backend = Backend::text("hello").await;
    let change = |config: &mut roadstead_lb::Config| {
        config.client_timeout = Duration::from_millis(300);
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    for requests in 0..2 {
        let mut connection = TlsClient::new().connect(lb.address).await;
        for _ in 0..requests {
            assert_eq!(connection.get("/").await.status, 200);
        }
        // Without a farewell, rustls calls the end unexpected.
        let ended = within(connection.stream.read(&mut [0; 8])).await;
        assert_eq!(ended.unwrap(), 0);
    }
}

#[tokio::test]
async fn nonsense_instead_of_a_handshake_ends_the_connection() {
    let backend = Backend::text("hello").await;
    let lb = start(&backend, &[certificate("shop", &["shop.example"])]).await;
    let mut plain = lb.connect().await;
    plain.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    plain.closed().await;
    let mut connection = TlsClient::new().connect(lb.address).await;
    assert_eq!(connection.get("/").await.status, 200);
}

#[tokio::test]
async fn a_port_that_changes_its_protocol_keeps_the_connections_it_has() {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut plain = lb.connect().await;
    assert_eq!(plain.get("/").await.status, 200);
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    let mut secure = TlsClient::new().connect(lb.address).await;
    assert_eq!(secure.get("/").await.status, 200);
    assert_eq!(plain.get("/").await.status, 200);
    let revision = lb.change(|table| {
        let listener = &mut table.listeners[0];
        "HTTP".clone_into(&mut listener.protocol);
        listener.certificate_arns.clear();
    });
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 200);
    assert_eq!(secure.get("/").await.status, 200);
}
