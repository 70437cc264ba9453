//! Connections that are passed on as they are, and the header that says whose they are.

use std::time::Duration;

use roadstead_proto::lb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    Backend, Connection, Lb, TlsClient, acceptor, draining, free_address, get, group, rule, target,
    text, within,
};

/// Starts a load balancer whose listener passes connections on.
async fn start(targets: &[lb::Target], change: impl FnOnce(&mut lb::Table)) -> Lb {
    let mut lb = Lb::start(targets).await;
    let revision = lb.change(|table| {
        table.listeners[0].protocol = "TCP".to_owned();
        change(table);
    });
    lb.until(|report| report.table_revision == revision).await;
    lb
}

/// A target that sends back what it is sent, and `bye` at the end.
async fn echo() -> Backend {
    Backend::raw(|mut stream, _| async move {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(read) => stream.write_all(&bytes[..read]).await.unwrap(),
            }
        }
        drop(stream.write_all(b"bye").await);
    })
    .await
}

#[tokio::test]
async fn a_group_whose_probes_are_calls_of_grpc_takes_connections() {
    let backend = echo().await;
    let lb = start(&[target("b", backend.address)], |table| {
        table.target_groups[0].protocol_version = "GRPC".to_owned();
    })
    .await;
    let mut stream = within(TcpStream::connect(lb.address)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn bytes_pass_both_ways_and_each_way_ends_by_itself() {
    let backend = echo().await;
    let mut lb = start(&[target("b", backend.address)], |_table| {}).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let sent = vec![b'x'; 300_000];
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut read = Vec::new();
    let (read_all, ()) = within(async { tokio::join!(reader.read_to_end(&mut read), write) }).await;
    read_all.unwrap();
    assert_eq!(read.len(), sent.len() + 3);
    assert!(read.ends_with(b"xbye"));
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn what_is_reset_on_one_side_does_not_end_in_order_on_the_other() {
    let (ended, mut ends) = tokio::sync::watch::channel(None);
    let backend = Backend::raw(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            let mut bytes = [0; 64];
            let end = loop {
                match stream.read(&mut bytes).await {
                    Ok(read) if bytes[..read].starts_with(b"reset") => {
                        socket2::SockRef::from(&stream)
                            .set_linger(Some(Duration::ZERO))
                            .unwrap();
                        return;
                    }
                    Ok(1..) => stream.write_all(b"heard").await.unwrap(),
                    Ok(0) => break Ok(()),
                    Err(error) => break Err(error.kind()),
                }
            };
            ended.send_replace(Some(end));
        }
    })
    .await;
    let lb = start(&[target("b", backend.address)], |_table| {}).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"reset").await.unwrap();
    let read = within(stream.read(&mut [0; 64])).await;
    assert_eq!(
        read.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );

    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"half").await.unwrap();
    within(stream.read_exact(&mut [0; 5])).await.unwrap();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    let end = *within(ends.wait_for(Option::is_some)).await.unwrap();
    assert_eq!(end, Some(Err(std::io::ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn a_target_that_is_gone_is_passed_over() {
    let backend = echo().await;
    let targets = [target("gone", free_address()), target("b", backend.address)];
    let lb = start(&targets, |_table| {}).await;
    for _ in 0..4 {
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        within(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"hello");
    }
}

#[tokio::test]
async fn without_a_target_a_connection_ends() {
    let mut lb = start(&[target("gone", free_address())], |_table| {}).await;
    lb.connect().await.closed().await;
    lb.until_counts([0, 0, 1, 0]).await;
}

/// A target that shakes hands with a certificate for this name, and says it.
async fn secure(name: &'static str) -> Backend {
    let acceptor = acceptor(name);
    Backend::raw(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            stream.write_all(name.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn the_name_that_a_client_of_tls_asks_for_chooses_the_group_and_tls_is_its_targets() {
    let (shop, other) = (secure("shop.example").await, secure("other.example").await);
    let lb = start(&[target("o", other.address)], |table| {
        let shop = group("shop", &[target("s", shop.address)]);
        table.target_groups.push(shop);
        let by_name = rule(&["shop.*"], &[], &[("shop", 1)]);
        table.listeners[0].rules.insert(0, by_name);
    })
    .await;
    for (asked, answered) in [
        ("shop.example", "shop.example"),
        ("else.example", "other.example"),
    ] {
        let client = TlsClient::new();
        let mut stream = client.shake(lb.address, asked).await.unwrap();
        let mut name = String::new();
        within(stream.read_to_string(&mut name)).await.unwrap();
        assert_eq!(name, answered);
    }
}

#[tokio::test]
async fn who_speaks_no_tls_asks_for_no_name() {
    let backend = echo().await;
    let lb = start(&[target("b", backend.address)], |table| {
        let by_name = rule(&["*.example"], &[], &[("none", 1)]);
        table.target_groups.push(group("none", &[]));
        table.listeners[0].rules.insert(0, by_name);
    })
    .await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    let mut answer = [0; 14];
    within(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"SSH-2.0-test\r\n");
}

#[tokio::test]
async fn a_drain_waits_for_connections_and_cuts_them_at_its_end() {
    let backend = echo().await;
    let leaving = target("b", backend.address);
    let mut lb = start(std::slice::from_ref(&leaving), |_table| {}).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    within(stream.read_exact(&mut answer)).await.unwrap();
    lb.retarget(&[draining(&leaving, Duration::from_secs(300))])
        .await;
    assert!(!lb.until_state("b", "draining").await.drained);
    stream.write_all(b"again").await.unwrap();
    within(stream.read_exact(&mut answer)).await.unwrap();
    lb.retarget(&[draining(&leaving, Duration::ZERO)]).await;
    let mut rest = Vec::new();
    drop(within(stream.read_to_end(&mut rest)).await);
    lb.until_counts([0, 0, 0, 1]).await;
}

#[tokio::test]
async fn targets_are_told_whose_connection_they_get() {
    for (version, length) in [(1, None), (2, Some(28))] {
        let (told, mut heard) = tokio::sync::watch::channel(Vec::new());
        let backend = Backend::raw(move |mut stream, _| {
            let told = told.clone();
            async move {
                let mut bytes = Vec::new();
                drop(stream.read_to_end(&mut bytes).await);
                told.send_replace(bytes);
            }
        })
        .await;
        let lb = start(&[target("b", backend.address)], |table| {
            table.target_groups[0].proxy_protocol_version = version;
        })
        .await;
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        let source = stream.local_addr().unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let bytes = within(heard.wait_for(|bytes| !bytes.is_empty()))
            .await
            .unwrap()
            .clone();
        match length {
            None => {
                let port = lb.address.port();
                let header = format!(
                    "PROXY TCP4 127.0.0.1 127.0.0.1 {} {port}\r\nhello",
                    source.port()
                );
                assert_eq!(String::from_utf8(bytes).unwrap(), header);
            }
            Some(length) => {
                assert!(bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"));
                assert_eq!(&bytes[length..], b"hello");
            }
        }
    }
}

#[tokio::test]
async fn the_proxy_before_us_says_whose_request_it_is() {
    let backend = Backend::http(|request| async move {
        text(request.headers()["x-forwarded-for"].as_bytes().to_vec())
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| table.listeners[0].proxy_protocol = true);
    lb.until(|report| report.table_revision == revision).await;
    let v2 =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x02\xc3\x50\x01\xbb";
    for header in [
        b"PROXY TCP4 192.0.2.7 192.0.2.2 50000 443\r\n".as_slice(),
        v2,
    ] {
        let mut connection = Connection::open(lb.address).await;
        connection.send(header).await;
        assert_eq!(connection.get("/").await.text(), "192.0.2.7");
        assert_eq!(connection.get("/").await.text(), "192.0.2.7", "said once");
    }
    let mut itself = Connection::open(lb.address).await;
    itself.send("PROXY UNKNOWN\r\n").await;
    assert_eq!(itself.get("/").await.text(), "127.0.0.1");
    let mut nobody = Connection::open(lb.address).await;
    nobody.try_send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert!(nobody.try_answer().await.is_none());
    let revision = lb.change(|table| table.listeners[0].proxy_protocol = false);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.text(), "127.0.0.1");
}

#[tokio::test]
async fn a_rule_that_needs_a_request_is_refused_on_a_listener_without_any() {
    let backend = echo().await;
    let mut lb = start(&[target("b", backend.address)], |_table| {}).await;
    let before = lb.reports.borrow().table_revision;
    lb.change(|table| {
        let by_path = rule(&[], &["/a"], &[("web", 1)]);
        table.listeners[0].rules.insert(0, by_path);
    });
    let revision = lb.change(|table| {
        table.listeners[0].rules.remove(0);
    });
    let report = lb.until(|report| report.table_revision > before).await;
    assert_eq!(report.table_revision, revision, "the one between never was");
}
