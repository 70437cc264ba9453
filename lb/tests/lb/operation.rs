use std::net::SocketAddr;
use std::path::Path;

use nix::sys::signal::{Signal, raise};
use roadstead_lb::{LbError, Source};
use tokio::sync::watch;

use crate::harness::{Backend, Lb, config, free_address, get, spawn, target, text, within};

fn write_table(path: &Path, port: u16, targets: &[SocketAddr]) {
    let targets: Vec<_> = targets
        .iter()
        .map(|address| format!("\"{address}\""))
        .collect();
    let text = format!(
        "[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"web\"\n\n\
         [[target_group]]\nname = \"web\"\ntargets = [{}]\nhealth_check = false\n",
        targets.join(", ")
    );
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_table_file_is_served_and_read_again_on_sighup_and_a_bad_one_is_refused() {
    let (a, b) = (Backend::text("a").await, Backend::text("b").await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.toml");
    let address = free_address();
    write_table(&path, address.port(), &[a.address]);
    let (mut reports, stop, task) = spawn(config(directory.path()), Source::File(path.clone()));
    within(reports.wait_for(|report| report.table_revision == 1))
        .await
        .unwrap();
    assert_eq!(get(address, "/").await.text(), "a");
    assert!(
        !directory.path().join("lb").exists(),
        "no data directory is needed"
    );

    std::fs::write(&path, "[[listener]]\nporte = 1\n").unwrap();
    raise(Signal::SIGHUP).unwrap();
    for _ in 0..2 {
        within(reports.changed()).await.unwrap();
    }
    assert_eq!(get(address, "/").await.text(), "a");

    write_table(&path, address.port(), &[b.address]);
    raise(Signal::SIGHUP).unwrap();
    within(reports.wait_for(|report| report.table_revision == 2))
        .await
        .unwrap();
    assert_eq!(get(address, "/").await.text(), "b");
    stop.cancel();
    within(task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.toml");
    write_table(&path, address.port(), &[]);
    let (_reports, _stop, task) = spawn(config(directory.path()), Source::File(path));
    let error = within(task).await.unwrap().unwrap_err();
    assert!(matches!(error, LbError::Bind(_)), "{error:?}");
}

#[tokio::test]
async fn stopping_lets_requests_under_way_end_and_tells_their_clients() {
    let (arrived, mut arrivals) = watch::channel(false);
    let (release, gate) = watch::channel(false);
    let backend = Backend::http(move |_request| {
        let (arrived, mut gate) = (arrived.clone(), gate.clone());
        async move {
            arrived.send_replace(true);
            gate.wait_for(|open| *open).await.unwrap();
            text("done")
        }
    })
    .await;
    // One worker, so that the closing of one connection says that the other one knows as well.
    let change = |config: &mut roadstead_lb::Config| config.workers = 1;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    arrivals.wait_for(|arrived| *arrived).await.unwrap();
    let mut unused = lb.connect().await;
    lb.stop.cancel();
    unused.closed().await;
    assert!(!lb.task.is_finished());
    release.send_replace(true);
    let answer = connection.answer().await;
    assert_eq!(
        (answer.text(), answer.header("connection")),
        ("done", Some("close"))
    );
    connection.closed().await;
    within(lb.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let backend = Backend::http(|_request| std::future::pending()).await;
    let change = |config: &mut roadstead_lb::Config| {
        config.stop_timeout = std::time::Duration::from_millis(100);
    };
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    lb.stop.cancel();
    within(lb.task).await.unwrap().unwrap();
    connection.closed().await;
}

#[tokio::test]
async fn further_connections_wait_until_one_ends() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut roadstead_lb::Config| config.max_connections = 1;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut first = lb.connect().await;
    assert_eq!(first.get("/").await.status, 200);
    let mut second = lb.connect().await;
    second.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert_eq!(first.get("/").await.status, 200);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn each_request_is_one_line_of_the_access_log() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let log = path.clone();
    let change = |config: &mut roadstead_lb::Config| config.access_log = Some(log);
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/a?b=c").await.status, 200);
    connection
        .send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        .await;
    assert_eq!(connection.answer().await.status, 405);
    lb.stop.cancel();
    within(lb.task).await.unwrap().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["path"], "/a?b=c");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["bytes_sent"], 5);
    assert_eq!(lines[0]["target"], backend.address.to_string());
    assert_eq!(lines[1]["status"], 405);
    assert_eq!(lines[1]["target"], serde_json::Value::Null);
}
