//! Clients that take more than their share, and requests that wait for a target.

use std::time::Duration;

use roadstead_lb::Config;
use roadstead_proto::lb;

use crate::harness::frames::{
    DATA, END_STREAM, Frame, Frames, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get as get_frame,
};
use crate::harness::{Backend, Connection, Http2, Lb, body_of, get, target, text, within};

const GET: &str = "GET / HTTP/1.1\r\nHost: lb\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: lb\r\nContent-Length: 1000\r\n\r\n";

async fn with_group(change: impl FnOnce(&mut lb::TargetGroup), targets: &[lb::Target]) -> Lb {
    let mut lb = Lb::start_with(targets, |config| config.workers = 1).await;
    let revision = lb.change(|table| change(&mut table.target_groups[0]));
    lb.until(|report| report.table_revision == revision).await;
    lb
}

async fn with_listener(change: impl FnOnce(&mut lb::Listener)) -> (Lb, Backend) {
    let backend = Backend::text("hello").await;
    let mut lb = Lb::start(&[target("b", backend.address)]).await;
    let revision = lb.change(|table| change(&mut table.listeners[0]));
    lb.until(|report| report.table_revision == revision).await;
    (lb, backend)
}

fn slow_clients(config: &mut Config) {
    config.target_timeout = Duration::from_millis(300);
    config.min_client_rate = 1000;
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_a_408_and_no_failure_of_the_target() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let mut lb = Lb::start_with(&[target("b", backend.address)], slow_clients).await;
    let mut connection = lb.connect().await;
    connection.send(format!("{POST}half")).await;
    let answer = connection.answer().await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), Some("close"));
    connection.closed().await;
    assert_eq!(lb.connect().await.post("/", "whole").await.status, 200);
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_body_that_trickles_in_below_the_least_rate_is_a_408() {
    let backend = Backend::http(|request| async move { text(body_of(request).await) }).await;
    let lb = Lb::start_with(&[target("b", backend.address)], slow_clients).await;
    let mut connection = lb.connect().await;
    connection.send(POST).await;
    // At this pace the whole body would take twenty seconds.
    let trickle = async {
        while !connection.has_answer(Duration::from_millis(20)).await {
            connection.send("x").await;
        }
    };
    within(trickle).await;
    assert_eq!(connection.answer().await.status, 408);
}

/// Takes an answer over HTTP/2 in parts of so many bytes, one in each five milliseconds; returns how many bytes have come, and how it ended.
async fn take(lb: &Lb, part: u32) -> (usize, Frame) {
    let mut connection = Frames::open(lb.address).await;
    // 6.9.2: a window of so much, and as much again for each part that has come.
    let window = [&[0, 4][..], &part.to_be_bytes()].concat();
    connection.send(frame(SETTINGS, 0, 0, window).bytes()).await;
    connection.send(get_frame(1).bytes()).await;
    let mut taken = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    loop {
        let next = connection.next_of(&[DATA, RST_STREAM], "an answer").await;
        if next.kind == RST_STREAM || next.flags & END_STREAM > 0 {
            return (taken + next.payload.len(), next);
        }
        taken += next.payload.len();
        pace.tick().await;
        let more = frame(WINDOW_UPDATE, 0, 1, part.to_be_bytes());
        connection.send(more.bytes()).await;
    }
}

#[tokio::test]
async fn an_answer_over_http_2_may_be_taken_as_slowly_as_the_least_rate_and_no_slower() {
    const LENGTH: usize = 8000;
    let backend = Backend::http(|_request| async { text(vec![b'x'; LENGTH]) }).await;
    let slow = |config: &mut Config| {
        config.target_timeout = Duration::from_millis(500);
        config.min_client_rate = 400;
    };
    let lb = Lb::start_with(&[target("b", backend.address)], slow).await;
    // 4,000 bytes a second: four times as long as nothing may move.
    let (taken, end) = take(&lb, 20).await;
    assert_eq!((taken, end.kind), (LENGTH, DATA));
    // And 200.
    let (taken, end) = take(&lb, 1).await;
    assert!(taken < LENGTH && end.kind == RST_STREAM, "{taken}");
}

#[tokio::test]
async fn half_a_head_is_a_408_and_silence_is_nothing() {
    let change = |config: &mut Config| config.client_timeout = Duration::from_millis(200);
    let lb = Lb::start_with(&[], change).await;
    let mut halting = lb.connect().await;
    halting.send("GET / HTTP/1.1\r\nHost:").await;
    let mut silent = lb.connect().await;
    assert_eq!(halting.answer().await.status, 408);
    assert!(silent.try_answer().await.is_none());
}

#[tokio::test]
async fn one_address_has_no_more_connections_than_it_may() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut Config| config.max_connections_per_address = 2;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let (mut first, mut second) = (lb.connect().await, lb.connect().await);
    assert_eq!(first.get("/").await.status, 200);
    assert_eq!(second.get("/").await.status, 200);
    lb.connect().await.closed().await;
    drop(first);
    let again = async {
        loop {
            let mut third = lb.connect().await;
            third.try_send(GET).await;
            if let Some(answer) = third.try_answer().await {
                return answer.status;
            }
        }
    };
    assert_eq!(within(again).await, 200);
}

#[tokio::test]
async fn a_connection_ends_after_its_requests_with_notice() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut Config| config.max_requests_per_connection = 2;
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let mut connection = lb.connect().await;
    assert_eq!(connection.get("/").await.header("connection"), None);
    let last = connection.get("/").await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    connection.closed().await;

    let mut http2 = Http2::connect(lb.address).await;
    for _ in 0..2 {
        assert_eq!(http2.get("/").await.0, 200);
    }
    http2.closed().await;
}

#[tokio::test]
async fn a_connection_ends_at_its_age_with_notice() {
    let backend = Backend::text("hello").await;
    let change = |config: &mut Config| config.max_connection_age = Duration::from_nanos(1);
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let answer = get(lb.address, "/").await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
}

#[tokio::test]
async fn more_requests_than_may_be_under_way_are_told_to_come_again() {
    let (backend, mut arrivals, release) = Backend::slow().await;
    let change = |config: &mut Config| {
        config.workers = 1;
        config.max_requests = 1;
    };
    let lb = Lb::start_with(&[target("b", backend.address)], change).await;
    let address = lb.address;
    let first = tokio::spawn(async move { get(address, "/").await.status });
    within(arrivals.wait_for(|number| *number == 1))
        .await
        .unwrap();
    let shed = get(address, "/").await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("1")));
    release.send_replace(true);
    assert_eq!(within(first).await.unwrap(), 200);
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_too_often_gets_a_429_and_is_told_when_to_come_again() {
    let (lb, _backend) = with_listener(|listener| {
        listener.requests_per_second = 1;
        listener.burst = 2;
    })
    .await;
    // Another connection is no other client.
    assert_eq!(get(lb.address, "/").await.status, 200);
    assert_eq!(get(lb.address, "/").await.status, 200);
    let answer = get(lb.address, "/").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_new_table_does_not_give_back_what_a_client_has_used_up() {
    let (mut lb, _backend) = with_listener(|listener| {
        listener.requests_per_second = 1;
        listener.burst = 1;
    })
    .await;
    assert_eq!(get(lb.address, "/").await.status, 200);
    let revision = lb.change(|_table| {});
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 429);
}

#[tokio::test]
async fn who_is_not_let_in_is_disconnected_before_a_byte() {
    let (mut lb, _backend) = with_listener(|listener| {
        listener.denied_source_ips = vec!["127.0.0.0/8".to_owned()];
    })
    .await;
    let mut refused = lb.connect().await;
    refused.try_send(GET).await;
    assert!(refused.try_answer().await.is_none());
    let revision = lb.change(|table| {
        table.listeners[0].denied_source_ips.clear();
        table.listeners[0].allowed_source_ips = vec!["127.0.0.1/32".to_owned()];
    });
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(get(lb.address, "/").await.status, 200);
}

#[tokio::test]
async fn a_full_target_makes_requests_wait_and_no_more_of_them_than_may() {
    let (backend, mut arrivals, release) = Backend::slow().await;
    let change = |group: &mut lb::TargetGroup| {
        group.requests_per_target = 1;
        group.waiting = 1;
        group.waiting_seconds = 60;
    };
    let lb = with_group(change, &[target("b", backend.address)]).await;
    let address = lb.address;
    let both = [0, 1].map(|_| tokio::spawn(async move { get(address, "/").await.status }));
    within(arrivals.wait_for(|number| *number == 1))
        .await
        .unwrap();
    // One of the two waits now, or will in a moment; from then on there is no place.
    let shed = async {
        loop {
            let mut third = Connection::open(address).await;
            third.send(GET).await;
            if third.has_answer(Duration::from_millis(100)).await {
                return third.answer().await;
            }
        }
    };
    let shed = within(shed).await;
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("1")));
    assert_eq!(*arrivals.borrow(), 1, "the target has one request");
    release.send_replace(true);
    for one in both {
        assert_eq!(within(one).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_full_target_that_nobody_waits_for_is_a_503() {
    let (backend, mut arrivals, release) = Backend::slow().await;
    let change = |group: &mut lb::TargetGroup| group.requests_per_target = 1;
    let lb = with_group(change, &[target("b", backend.address)]).await;
    let address = lb.address;
    let first = tokio::spawn(async move { get(address, "/").await.status });
    within(arrivals.wait_for(|number| *number == 1))
        .await
        .unwrap();
    let answer = get(address, "/").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    release.send_replace(true);
    assert_eq!(within(first).await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_that_has_no_target_waits_for_one_to_come() {
    let change = |group: &mut lb::TargetGroup| {
        group.waiting = 10;
        group.waiting_seconds = 60;
    };
    let mut lb = with_group(change, &[]).await;
    let mut waiting = lb.connect().await;
    waiting.send(GET).await;
    let backend = Backend::text("at last").await;
    lb.retarget(&[target("b", backend.address)]).await;
    assert_eq!(waiting.answer().await.text(), "at last");
    lb.until_counts([1, 0, 0, 0]).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_the_group_says() {
    let change = |group: &mut lb::TargetGroup| {
        group.waiting = 10;
        group.waiting_seconds = 1;
    };
    let mut lb = with_group(change, &[]).await;
    assert_eq!(get(lb.address, "/").await.status, 503);
    lb.until_counts([0, 0, 1, 0]).await;
}

/// Returns when a pause ends that begins now, as tables have it: in milliseconds since the epoch.
fn pause(duration: Duration) -> i64 {
    let end = std::time::SystemTime::now() + duration;
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(end.as_millis()).unwrap()
}

#[tokio::test]
async fn a_paused_group_holds_its_requests_until_it_goes_on() {
    let backend = Backend::text("hello").await;
    let change = |group: &mut lb::TargetGroup| {
        group.waiting = 10;
        group.paused_until = pause(Duration::from_secs(3600));
    };
    let mut lb = with_group(change, &[target("b", backend.address)]).await;
    let mut held = lb.connect().await;
    held.send(GET).await;
    // A request that was sent later, on the same thread, is held as well.
    let mut second = lb.connect().await;
    second.send(GET).await;
    assert_eq!(backend.connections(), 0);
    let revision = lb.change(|table| table.target_groups[0].paused_until = 0);
    lb.until(|report| report.table_revision == revision).await;
    assert_eq!(held.answer().await.status, 200);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn of_a_paused_group_no_more_requests_wait_than_may() {
    let backend = Backend::text("hello").await;
    let change = |group: &mut lb::TargetGroup| {
        group.waiting = 1;
        group.paused_until = pause(Duration::from_secs(3600));
    };
    let lb = with_group(change, &[target("b", backend.address)]).await;
    let (mut first, mut second) = (lb.connect().await, lb.connect().await);
    first.send(GET).await;
    second.send(GET).await;
    let answer = tokio::select! {
        answer = first.answer() => answer,
        answer = second.answer() => answer,
    };
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let backend = Backend::text("hello").await;
    let change = |group: &mut lb::TargetGroup| group.waiting = 10;
    let mut lb = with_group(change, &[target("b", backend.address)]).await;
    // A machine that is busy for so long may miss a pause; a longer one will do.
    for length in [300, 3000] {
        let until = pause(Duration::from_millis(length));
        let revision = lb.change(|table| table.target_groups[0].paused_until = until);
        lb.until(|report| report.table_revision == revision).await;
        let came_in_time = pause(Duration::ZERO) < until;
        assert_eq!(get(lb.address, "/").await.status, 200);
        assert!(pause(Duration::ZERO) >= until, "it was sent on too early");
        if came_in_time {
            return;
        }
    }
    panic!("each pause was over before its request came");
}
