use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use crate::harness::{Backend, Lb, Load, draining, get, request, target, text, within};
use roadstead_proto::lb;

const LONG: Duration = Duration::from_secs(300);
/// Requests while both the old target and the new one are there.
const REQUESTS_EACH: u64 = 30;

fn check() -> lb::HealthCheck {
    lb::HealthCheck {
        interval_seconds: 1,
        ..lb::HealthCheck::default()
    }
}

/// The promise of the handshake: a server that stops when it is reported as drained loses nothing. Swaps targets for new ones, one after the
/// other, while `load` asks: each request is answered, and none is repeated. `speak` says how targets, of which `serve` starts one, are
/// spoken to.
pub(crate) async fn swap_under_load(
    swaps: usize,
    serve: impl AsyncFn() -> Backend,
    speak: impl FnOnce(&mut lb::TargetGroup),
    load: impl FnOnce(SocketAddr) -> Load,
) {
    let mut servers = vec![serve().await, serve().await];
    let mut targets = vec![
        target("t0", servers[0].address),
        target("t1", servers[1].address),
    ];
    let mut lb = Lb::start(&targets).await;
    let revision = lb.change(|table| {
        table.target_groups[0].health_check = Some(check());
        speak(&mut table.target_groups[0]);
    });
    lb.until(|report| report.table_revision >= revision).await;
    for id in ["t0", "t1"] {
        lb.until_state(id, "healthy").await;
    }
    let load = load(lb.address);
    for swap in 2..swaps + 2 {
        let server = serve().await;
        let id = format!("t{swap}");
        let coming = target(&id, server.address);
        let leaving = targets.remove(0);
        targets.push(coming);
        let with_old: Vec<_> = targets.iter().chain([&leaving]).cloned().collect();
        lb.retarget(&with_old).await;
        lb.until_state(&id, "healthy").await;
        load.until_more(REQUESTS_EACH).await;
        let mut with_draining = targets.clone();
        with_draining.push(draining(&leaving, LONG));
        lb.retarget(&with_draining).await;
        let gone =
            |report: &lb::TargetReport| report.target_id == leaving.target_id && report.drained;
        lb.until(|report| report.targets.iter().any(gone)).await;
        servers.push(server);
        drop(servers.remove(0));
        lb.retarget(&targets).await;
    }
    let answers = load.end().await;
    assert!(answers.keys().eq(&[200]), "{answers:?}");
    let made = answers[&200];
    lb.until_counts([made, 0, 0, 0]).await;
}

#[tokio::test]
async fn fifty_swaps_of_targets_under_load_lose_no_request() {
    let load = |address| Load::start(address, 16, &["GET", "POST"]);
    swap_under_load(50, Backend::echo, |_group| {}, load).await;
}

#[tokio::test]
async fn a_draining_target_gets_nothing_new_and_is_drained_with_its_last_answer() {
    let (backend, mut arrivals, release) = Backend::slow().await;
    let other = Backend::text("other").await;
    let leaving = target("slow", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    arrivals.wait_for(|arrived| *arrived == 1).await.unwrap();
    lb.retarget(&[draining(&leaving, LONG), target("other", other.address)])
        .await;
    for _ in 0..10 {
        assert_eq!(get(lb.address, "/").await.text(), "other");
    }
    let report = lb.until_state("slow", "draining").await;
    assert!(!report.drained);
    assert_eq!(report.reason, "Target.DeregistrationInProgress");
    release.send_replace(true);
    assert_eq!(connection.answer().await.text(), "slow");
    lb.until(|report| report.targets.iter().any(|target| target.drained))
        .await;
    assert_eq!(*arrivals.borrow(), 1);
}

#[tokio::test]
async fn unused_connections_to_a_draining_target_are_closed() {
    let (ended, mut ends) = watch::channel(false);
    let backend = Backend::raw(move |mut stream, _| {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let ended = ended.clone();
        async move {
            assert!(request(&mut stream).await);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            assert_eq!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            ended.send_replace(true);
        }
    })
    .await;
    let leaving = target("b", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    assert_eq!(get(lb.address, "/").await.text(), "ok");
    lb.retarget(&[draining(&leaving, LONG)]).await;
    within(ends.wait_for(|ended| *ended)).await.unwrap();
}

#[tokio::test]
async fn at_the_deadline_a_request_without_an_answer_is_cut_with_502() {
    let (backend, mut arrivals, _release) = Backend::slow().await;
    let leaving = target("slow", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    arrivals.wait_for(|arrived| *arrived == 1).await.unwrap();
    lb.retarget(&[draining(&leaving, Duration::from_millis(100))])
        .await;
    assert_eq!(connection.answer().await.status, 502);
    lb.until(|report| report.targets[0].drained).await;
    lb.until_counts([0, 0, 0, 1]).await;
}

#[tokio::test]
async fn at_the_deadline_an_answer_under_way_is_cut_even_if_its_client_does_not_read() {
    let backend = Backend::http(|_request| async move { text(vec![b'x'; 64 * 1024 * 1024]) }).await;
    let leaving = target("big", backend.address);
    let mut lb = Lb::start(std::slice::from_ref(&leaving)).await;
    let mut connection = lb.connect().await;
    connection.send("GET / HTTP/1.1\r\nHost: lb\r\n\r\n").await;
    assert_eq!(connection.head().await.unwrap().status, 200);
    lb.retarget(&[draining(&leaving, Duration::from_millis(100))])
        .await;
    lb.until(|report| report.targets[0].drained).await;
    lb.until_counts([0, 0, 0, 1]).await;
    connection.closed().await;
}
