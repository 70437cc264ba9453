use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nv1 me\n";
const DEADLINE: Duration = Duration::from_secs(10);

/// Answers every request with the next of `answers`, for ever; closes after each when `close` is set.
async fn serve(answers: &'static [&'static str], close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                for answer in answers.iter().cycle().skip(turn) {
                    if !matches!(stream.read(&mut request).await, Ok(1..)) {
                        return;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    // A truncated answer ends with its connection.
                    if close || !answer.ends_with('\n') {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn counts_after(requests: u64, options: Options) -> Report {
    let load = Load::start(options).unwrap();
    let enough = eventually(DEADLINE, "enough requests", async || {
        Ok((load.so_far().requests >= requests).then_some(()))
    });
    enough.await.unwrap();
    // It waits for the request under way, which the server on this thread has to answer.
    tokio::task::spawn_blocking(|| load.stop()).await.unwrap()
}

fn one_connection(address: SocketAddr) -> Options {
    Options {
        connections: NonZeroUsize::MIN,
        ..Options::new(Url::local(address.port(), "/"))
    }
}

#[tokio::test]
async fn good_answers_are_counted_by_their_first_word() {
    let address = serve(&[GOOD], false).await;
    let report = counts_after(30, one_connection(address)).await;
    assert_eq!((report.failed, report.reconnects), (0, 0), "{report}");
    assert_eq!(report.answers["v1"], report.ok);
}

#[tokio::test]
async fn every_failure_is_counted_by_its_kind() {
    const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 1\r\n\r\n\n";
    const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nv1";
    let address = serve(&[GOOD, BUSY, CUT], false).await;
    let report = counts_after(30, one_connection(address)).await;
    assert!(report.failures["status 503"] >= 5, "{report}");
    assert!(report.failures["reset"] >= 5, "{report}");
    assert_eq!(report.failures.values().sum::<u64>(), report.failed);
}

#[tokio::test]
async fn a_closed_idle_connection_is_never_hidden_by_a_second_attempt() {
    let address = serve(&[GOOD], true).await;
    let report = counts_after(30, one_connection(address)).await;
    // The request after each good answer found a closed connection: known beforehand, or noticed by its loss.
    let lost = report.failures.get("reset").copied().unwrap_or_default();
    assert!(report.reconnects + lost + 1 >= report.ok, "{report}");
}

#[tokio::test]
async fn nobody_listening_and_nobody_answering_are_failures() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let report = counts_after(5, one_connection(closed)).await;
    assert_eq!(report.failures["connect"], report.requests, "{report}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = Options {
        timeout: Duration::from_millis(30),
        ..one_connection(silent.local_addr().unwrap())
    };
    let report = counts_after(3, options).await;
    assert_eq!(report.failures["timeout"], report.requests, "{report}");
}

#[tokio::test]
async fn without_keep_alive_each_request_has_its_own_connection() {
    // A second request on the same connection would find it closed.
    let address = serve(&[GOOD], true).await;
    let options = Options {
        keep_alive: false,
        ..one_connection(address)
    };
    let report = counts_after(30, options).await;
    assert_eq!((report.failed, report.reconnects), (0, 0), "{report}");
}

#[tokio::test]
async fn an_unexpected_body_is_a_failure() {
    let address = serve(&[GOOD], false).await;
    let options = Options {
        expect: Some("v2".to_owned()),
        ..one_connection(address)
    };
    let report = counts_after(5, options).await;
    assert_eq!(report.failures["body"], report.requests, "{report}");
}
