//! Websockets, and whatever else a connection is upgraded to.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    Backend, Connection, Lb, TlsClient, certificate, draining, free_address, https, listener,
    request, target, within,
};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: lb\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const LONG: Duration = Duration::from_secs(300);

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

/// A target that switches, greets with the same bytes, and echoes until the client has ended; then it says goodbye.
async fn websocket() -> Backend {
    Backend::raw(|mut stream, _| async move {
        let head = head(&mut stream).await;
        for line in ["upgrade: websocket\r\n", "connection: upgrade\r\n"] {
            assert!(head.contains(line), "{head}");
        }
        assert!(head.contains("sec-websocket-key: k\r\n"), "{head}");
        let greeting = format!("{SWITCH}early");
        stream.write_all(greeting.as_bytes()).await.unwrap();
        let (mut source, mut sink) = stream.split();
        // Cut tunnels are among the tests.
        if tokio::io::copy(&mut source, &mut sink).await.is_ok() {
            drop(sink.write_all(b"goodbye").await);
        }
    })
    .await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn upgrade(&mut self) {
        self.send(ASK).await;
        let answer = self.head().await.unwrap();
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("connection"), Some("upgrade"));
        self.read("early").await;
    }

    async fn read(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        within(self.stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    async fn echo(&mut self, text: &str) {
        self.send(text).await;
        self.read(text).await;
    }
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_until_each_side_has_ended() {
    let backend = websocket().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    for text in ["hello", "GET / HTTP/1.1\r\n\r\n", "\0\x01\x02"] {
        connection.echo(text).await;
    }
    connection.echo(&"x".repeat(100_000)).await;
    connection.stream.shutdown().await.unwrap();
    connection.read("goodbye").await;
    connection.closed().await;
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn what_a_client_sends_right_behind_its_request_is_not_lost() {
    let backend = websocket().await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.send(format!("{ASK}at once")).await;
    assert_eq!(connection.head().await.unwrap().status, 101);
    connection.read("earlyat once").await;
    connection.echo("later").await;
}

#[tokio::test]
async fn a_tunnel_through_tls() {
    let backend = websocket().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| https(table, &[certificate("shop", &["shop.example"])]));
    lb.until(|report| report.table_revision == revision).await;
    let client = TlsClient::new().offering(&[b"http/1.1"]);
    let mut connection = client.connect(lb.address).await;
    connection.upgrade().await;
    connection.echo("hello").await;
    connection.echo(&"x".repeat(100_000)).await;
    connection.stream.shutdown().await.unwrap();
    connection.read("goodbye").await;
}

#[tokio::test]
async fn any_other_answer_is_an_ordinary_one() {
    let backend = Backend::raw(|mut stream, _| async move {
        while request(&mut stream).await {
            let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    for _ in 0..2 {
        connection.send(ASK).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.text()), (403, "no"));
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_switch_to_what_was_not_asked_for_is_a_502() {
    let backend = Backend::raw(|mut stream, _| async move {
        head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
    })
    .await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let asks = [
        ASK.replace("websocket", "other"),
        ASK.replace("websocket", "websocket, h2c"),
        ASK.replace("keep-alive, Upgrade", "keep-alive"),
        ASK.replace("HTTP/1.1", "HTTP/1.0"),
        ASK.replace("Host: lb", "Host: lb\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
    ];
    for (number, ask) in (1..).zip(&asks) {
        let mut connection = lb.connect().await;
        connection.send(ask).await;
        assert_eq!(connection.answer().await.status, 502, "{ask}");
        lb.until_counts([0, 0, number, 0]).await;
    }
}

#[tokio::test]
async fn a_target_is_not_drained_before_its_tunnel_has_ended() {
    let backend = websocket().await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    lb.retarget(&[draining(&leaving, LONG)]).await;
    let report = lb.until_state("b", "draining").await;
    assert!(!report.drained);
    connection.echo("still here").await;
    connection.stream.shutdown().await.unwrap();
    connection.read("goodbye").await;
    lb.until(|report| report.targets[0].drained).await;
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn at_the_deadline_a_tunnel_is_cut_even_if_nobody_reads() {
    let backend = websocket().await;
    let flood = Backend::raw(|mut stream, _| async move {
        head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    for backend in [backend, flood] {
        let leaving = target("b", backend.address);
        let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
        let mut connection = lb.connect().await;
        connection.send(ASK).await;
        assert_eq!(connection.head().await.unwrap().status, 101);
        lb.retarget(&[draining(&leaving, Duration::from_millis(100))])
            .await;
        lb.until(|report| report.targets[0].drained).await;
        lb.until_counts([0, 0, 0, 1]).await;
        connection.closed().await;
    }
}

#[tokio::test]
async fn a_tunnel_ends_when_nothing_moves_and_not_before() {
    let backend = websocket().await;
    let change = |config: &mut roadstead_lb::Config| {
        config.target_timeout = Duration::from_millis(400);
        config.client_timeout = Duration::from_millis(200);
    };
    let mut lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        connection.echo("alive").await;
    }
    connection.closed().await;
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_listener_that_closes_lets_its_tunnels_go_on() {
    let backend = websocket().await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    let mut unused = lb.connect().await;
    let port = free_address().port();
    let revision = lb.change(|table| table.listeners = vec![listener(port)]);
    lb.until(|report| report.table_revision == revision).await;
    unused.closed().await;
    connection.echo("still here").await;
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_the_target() {
    let backend = websocket().await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    let stream = connection.stream.into_inner();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    lb.retarget(&[draining(&leaving, LONG)]).await;
    lb.until(|report| report.targets[0].drained).await;
}

#[tokio::test]
async fn a_tunnel_is_one_line_of_the_access_log() {
    let backend = websocket().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = path.clone();
    let change = |config: &mut roadstead_lb::Config| config.access_log = Some(log);
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    connection.upgrade().await;
    connection.echo("hello").await;
    connection.stream.shutdown().await.unwrap();
    connection.read("goodbye").await;
    connection.closed().await;
    lb.stop.cancel();
    within(lb.task).await.unwrap().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["status"], 101);
    assert_eq!(line["bytes_sent"], "earlyhellogoodbye".len());
}
