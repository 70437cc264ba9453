use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;
use crate::counter::Counter;
use crate::counts::Counts;

fn target() -> Arc<Target> {
    Arc::new(Target::new(
        "127.0.0.1:1".parse().unwrap(),
        String::new(),
        Health::new(),
        Pool::new(4, 4),
        Traffic::new(3),
        Company {
            group: Arc::from("web"),
            protocol: Protocol::Http1,
            transport: Transport::Plain,
            proxy_protocol: None,
            changed: Arc::new(Notify::new()),
            room: Arc::default(),
            traffic: Arc::new(Traffic::new(3)),
        },
        false,
    ))
}

#[test]
fn a_draining_target_gives_no_ticket_and_keeps_count_of_those_it_gave() {
    let target = target();
    let ticket = Ticket::begin(&target, None, 0).unwrap();
    target.drain();
    assert!(Ticket::begin(&target, None, 0).is_none());
    assert_eq!(target.requests(), 1);
    drop(ticket);
    assert_eq!(target.requests(), 0);
}

#[tokio::test]
async fn the_last_request_of_a_draining_target_wakes_the_control_loop() {
    let target = target();
    let ticket = Ticket::begin(&target, None, 0).unwrap();
    target.drain();
    drop(ticket);
    target.company.changed.notified().await;
}

#[test]
fn a_stay_is_counted_by_its_end_and_a_client_that_hung_up_not_at_all() {
    let target = target();
    let counts = Arc::new(Counts::new(1));
    let ticket = || Ticket::begin(&target, Some(&counts), 0).unwrap();
    let (mut served, mut failed, cut) = (ticket(), ticket(), ticket());
    ticket().passed_on();
    drop(ticket());
    served.served();
    failed.failed();
    drop(failed);
    target.cut();
    drop((served, cut));
    let shard = counts.of(0);
    let values = [&shard.served, &shard.retried, &shard.failed, &shard.cut];
    assert_eq!(values.map(Counter::get), [1, 1, 1, 1]);
}

/// Cores pick as fast as they can while the target begins to drain. Whoever then sees no
/// request there must never see one again.
#[test]
fn no_request_begins_after_the_target_was_seen_drained() {
    for _ in 0..2_000 {
        let target = target();
        let drained = AtomicBool::new(false);
        let late = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let (target, drained, late) = (&target, &drained, &late);
                scope.spawn(move || {
                    while let Some(ticket) = Ticket::begin(target, None, worker) {
                        if drained.load(SeqCst) {
                            late.fetch_add(1, SeqCst);
                        }
                        drop(ticket);
                    }
                });
            }
            target.drain();
            while target.requests() > 0 {
                std::hint::spin_loop();
            }
            drained.store(true, SeqCst);
        });
        assert_eq!(late.load(SeqCst), 0);
        assert_eq!(target.requests(), 0);
    }
}
