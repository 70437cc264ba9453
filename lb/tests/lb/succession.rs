use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use roadstead_lb::{Config, Handle, LbError, Phase, Place, Source, run_in_place};
use roadstead_proto::lb::NodeReport;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Backend, Connection, FakeControlPlane, Http2, TlsClient, certificate, config, draining,
    free_address, get, https, table, target, within,
};

const LONG: Duration = Duration::from_secs(300);

/// One process of a node, as far as the load balancer can tell.
struct Member {
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LbError>>,
}

impl Member {
    fn start(config: Config, source: Source, (place, handle): (Place, Handle)) -> Self {
        let stop = CancellationToken::new();
        let reports = watch::Sender::<NodeReport>::default();
        let run = run_in_place(config, source, reports, place, stop.clone());
        Self {
            handle,
            stop,
            task: tokio::spawn(run),
        }
    }

    /// Starts one with this table, and waits until it has it on its disk.
    async fn first(config: Config, control_plane: &FakeControlPlane) -> Self {
        let mut first = Self::start(config, control_plane.source(), Place::alone(Vec::new()));
        let mut reports = control_plane.reports();
        within(reports.wait_for(|report| report.table_revision == 1))
            .await
            .unwrap();
        within(
            first
                .handle
                .until(|progress| progress.ready && progress.saved),
        )
        .await
        .unwrap();
        first
    }

    async fn sockets(&mut self) -> Vec<TcpListener> {
        self.handle.enter(Phase::HandingOver);
        let so_far = self
            .handle
            .until(|progress| progress.phase == Phase::HandingOver && progress.saved);
        let progress = within(so_far).await.unwrap();
        let sockets = progress.sockets.iter();
        sockets.map(|socket| socket.try_clone().unwrap()).collect()
    }

    /// Lets a successor take over; returns it, while this one ends its requests.
    async fn hand_over(&mut self, config: Config, source: Source) -> Self {
        let sockets = self.sockets().await;
        let mut successor = Self::start(config, source, Place::after(sockets));
        within(successor.handle.until(|progress| progress.ready))
            .await
            .unwrap();
        successor.handle.enter(Phase::Joined);
        self.handle.enter(Phase::Leaving);
        self.stop.cancel();
        successor
    }

    async fn ended(self) {
        within(self.task).await.unwrap().unwrap();
    }
}

fn with_workers(data_dir: &Path, workers: usize) -> Config {
    Config {
        workers,
        ..config(data_dir)
    }
}

/// A client that works as fast as it can, on a connection for each request or on as few as it may.
async fn work(lb: SocketAddr, anew: bool, made: watch::Sender<usize>) -> Result<(), String> {
    let mut connection = Connection::open(lb).await;
    // Until nobody counts any more.
    while !made.is_closed() {
        connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
        let close = match connection.try_answer().await {
            Some(answer) if answer.status == 200 => answer.header("connection") == Some("close"),
            other => return Err(format!("after {} requests: {other:?}", *made.borrow())),
        };
        made.send_modify(|made| *made += 1);
        if anew || close {
            connection = Connection::open(lb).await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn successors_with_other_numbers_of_workers_lose_no_request() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let address = free_address();
    control_plane.send(table(address.port(), &[target("b", backend.address)]));
    let mut member = Member::first(with_workers(directory.path(), 2), &control_plane).await;
    let (made, mut count) = watch::channel(0);
    let mut clients = JoinSet::new();
    for number in 0..12 {
        clients.spawn(work(address, number % 2 == 0, made.clone()));
    }
    for workers in [1, 3, 2, 4, 1] {
        let config = with_workers(directory.path(), workers);
        let successor = member.hand_over(config, control_plane.source()).await;
        member.ended().await;
        successor.handle.enter(Phase::Alone);
        member = successor;
        let enough = *count.borrow() + 200;
        within(count.wait_for(|made| *made > enough)).await.unwrap();
    }
    drop(count);
    while let Some(result) = within(clients.join_next()).await {
        assert_eq!(result.unwrap(), Ok(()));
    }
    member.stop.cancel();
    member.ended().await;
}

#[tokio::test]
async fn a_target_is_drained_only_when_the_predecessor_too_has_let_go_of_it() {
    let (backend, mut arrivals, release) = Backend::slow().await;
    let other = Backend::text("other").await;
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let mut reports = control_plane.reports();
    let address = free_address();
    let leaving = target("slow", backend.address);
    let mut next = table(address.port(), std::slice::from_ref(&leaving));
    control_plane.send(next.clone());
    let mut first = Member::first(config(directory.path()), &control_plane).await;
    let mut connection = Connection::open(address).await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    within(arrivals.wait_for(|arrived| *arrived == 1))
        .await
        .unwrap();
    let before = reports.borrow().incarnation.clone();
    let second = first
        .hand_over(config(directory.path()), control_plane.source())
        .await;

    next.revision = 2;
    next.target_groups[0].targets = vec![draining(&leaving, LONG), target("other", other.address)];
    control_plane.send(next);
    let in_force =
        reports.wait_for(|report| report.table_revision == 2 && report.incarnation != before);
    within(in_force).await.unwrap();
    assert_eq!(get(address, "/").await.text(), "other");
    for _ in 0..3 {
        within(reports.changed()).await.unwrap();
        let report = reports.borrow().clone();
        assert!(
            report.targets.iter().all(|target| !target.drained),
            "{report:?}"
        );
    }
    assert!(!first.task.is_finished());
    release.send_replace(true);
    assert_eq!(connection.answer().await.text(), "slow");
    first.ended().await;
    second.handle.enter(Phase::Alone);
    let drained = |report: &NodeReport| report.targets.iter().any(|target| target.drained);
    within(reports.wait_for(drained)).await.unwrap();
}

#[tokio::test]
async fn what_was_drained_is_not_any_more_while_a_successor_may_begin_to_serve() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let mut reports = control_plane.reports();
    let gone = draining(&target("b", backend.address), LONG);
    control_plane.send(table(free_address().port(), &[gone]));
    let mut member = Member::first(config(directory.path()), &control_plane).await;
    let drained = |report: &NodeReport| report.targets.iter().any(|target| target.drained);
    within(reports.wait_for(drained)).await.unwrap();
    member.sockets().await;
    within(reports.wait_for(|report| !drained(report)))
        .await
        .unwrap();
    member.handle.enter(Phase::Alone);
    within(reports.wait_for(drained)).await.unwrap();
}

#[tokio::test]
async fn a_connection_of_the_predecessor_has_one_more_request() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let address = free_address();
    control_plane.send(table(address.port(), &[target("b", backend.address)]));
    let mut first = Member::first(config(directory.path()), &control_plane).await;
    let mut used = Connection::open(address).await;
    assert_eq!(used.get("/").await.header("connection"), None);
    // Whoever has accepted it, nothing has come on it yet.
    let mut unused = Connection::open(address).await;
    let second = first
        .hand_over(config(directory.path()), control_plane.source())
        .await;
    second.handle.enter(Phase::Joined);
    let last = used.get("/").await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    used.closed().await;
    assert_eq!(unused.get("/").await.status, 200);
    drop(unused);
    first.ended().await;
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn a_handshake_under_way_is_finished_and_its_request_answered() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let address = free_address();
    let mut secure = table(address.port(), &[target("b", backend.address)]);
    https(&mut secure, &[certificate("shop", &["shop.example"])]);
    control_plane.send(secure);
    let mut first = Member::first(config(directory.path()), &control_plane).await;
    let mut used = Http2::agree(address).await;
    assert_eq!(used.get("/").await.0, 200);
    let one = within(TcpStream::connect(address)).await.unwrap();
    let two = within(TcpStream::connect(address)).await.unwrap();
    let _second = first
        .hand_over(config(directory.path()), control_plane.source())
        .await;
    // It is told where its last request is.
    used.closed().await;
    let client = TlsClient::new().offering(&[b"http/1.1"]);
    let stream = client.shake_over(one, "shop.example").await.unwrap();
    assert_eq!(Connection::over(stream).get("/").await.status, 200);
    let client = TlsClient::new().offering(&[b"h2"]);
    let stream = client.shake_over(two, "shop.example").await.unwrap();
    assert_eq!(Http2::over(stream).await.get("/").await.0, 200);
    first.ended().await;
}

#[tokio::test]
async fn a_successor_without_a_table_refuses_to_take_listeners_over() {
    let directory = tempfile::tempdir().unwrap();
    let control_plane = FakeControlPlane::start(directory.path());
    let address = free_address();
    control_plane.send(table(address.port(), &[]));
    let mut first = Member::first(config(directory.path()), &control_plane).await;
    let sockets = first.sockets().await;
    std::fs::remove_file(directory.path().join("lb/table.pb")).unwrap();
    let place = Place::after(sockets);
    let second = Member::start(config(directory.path()), control_plane.source(), place);
    let error = within(second.task).await.unwrap().unwrap_err();
    assert!(matches!(error, LbError::NothingToServe), "{error:?}");
    first.handle.enter(Phase::Alone);
    assert_eq!(get(address, "/").await.status, 503);
}

#[tokio::test]
async fn sockets_that_the_successors_table_does_not_name_are_closed_with_the_predecessor() {
    let backend = Backend::text("hello").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.toml");
    let (kept, dropped) = (free_address(), free_address());
    let write = |ports: &[u16]| {
        let listener =
            |port| format!("[[listener]]\nport = {port}\n[[listener.rule]]\nforward = \"web\"\n");
        let group = format!(
            "[[target_group]]\nname = \"web\"\ntargets = [\"{}\"]\nhealth_check = false\n",
            backend.address
        );
        let listeners: String = ports.iter().map(listener).collect();
        std::fs::write(&path, listeners + &group).unwrap();
    };
    write(&[kept.port(), dropped.port()]);
    let source = Source::File(path.clone());
    let mut first = Member::start(
        config(directory.path()),
        source.clone(),
        Place::alone(Vec::new()),
    );
    within(first.handle.until(|progress| progress.ready))
        .await
        .unwrap();
    assert_eq!(get(dropped, "/").await.status, 200);
    write(&[kept.port()]);
    let _second = first.hand_over(config(directory.path()), source).await;
    first.ended().await;
    assert_eq!(get(kept, "/").await.status, 200);
    assert!(TcpStream::connect(dropped).await.is_err());
}
