use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::balance::Algorithm;
use crate::table::{ProtocolVersion, Waiting};
use crate::target::Ticket;
use crate::upstream::Transport;

fn registry() -> Registry {
    Registry::new(1, 4, String::new(), Arc::new(Notify::new()))
}

/// A table of one group without a health check; each target is an id, a port and the time by which
/// it must have drained.
fn draft(targets: &[(&str, u16, Option<i64>)]) -> Draft {
    let targets = targets
        .iter()
        .map(|(id, port, draining_until)| TargetDraft {
            id: (*id).to_owned(),
            address: ([127, 0, 0, 1], *port).into(),
            draining_until: *draining_until,
            suspect: false,
            zone: String::new(),
        });
    Draft {
        revision: 1,
        listeners: BTreeMap::new(),
        groups: vec![GroupDraft {
            arn: "web".to_owned(),
            health_check: None,
            deployment: "d1".to_owned(),
            targets: targets.collect(),
            algorithm: Algorithm::default(),
            slow_start: None,
            stickiness: None,
            requests_per_target: None,
            prefers_own_zone: false,
            protocol_version: ProtocolVersion::Http1,
            transport: Transport::Plain,
            proxy_protocol: None,
            waiting: Waiting {
                most: 0,
                patience: None,
                paused_until: None,
            },
        }],
    }
}

/// No other process has requests anywhere.
fn alone(_target: &TargetName) -> bool {
    true
}

fn hour_ahead() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap() + 3_600_000
}

fn states(registry: &Registry) -> Vec<(String, String, bool)> {
    let reports = registry.report(Instant::now(), u64::MAX, alone).into_iter();
    reports
        .map(|report| (report.target_id, report.state, report.drained))
        .collect()
}

fn put_in_force(update: Update) -> RoutingTable {
    for target in &update.leaving {
        target.drain();
    }
    update.table
}

#[tokio::test]
async fn a_target_of_both_tables_is_the_same_target() {
    let mut registry = registry();
    let first = registry.update(draft(&[("a", 1, None), ("b", 2, None)]), 1);
    let second = registry.update(draft(&[("b", 2, None), ("c", 3, None)]), 1);
    let (old, new) = (&first.table.groups[0], &second.table.groups[0]);
    assert!(Arc::ptr_eq(&old.targets[1], &new.targets[0]));
    assert!(Arc::ptr_eq(&old.turns, &new.turns));
    assert!(Arc::ptr_eq(&old.targets[0], &second.leaving[0]));
}

#[tokio::test]
async fn a_target_that_is_spoken_to_in_another_way_is_another_target() {
    let changes: [fn(&mut GroupDraft); 2] = [
        |group| group.protocol_version = ProtocolVersion::Http2,
        |group| group.transport = Transport::Tls,
    ];
    for change in changes {
        let mut registry = registry();
        let first = registry.update(draft(&[("a", 1, None)]), 1);
        let mut changed = draft(&[("a", 1, None)]);
        change(&mut changed.groups[0]);
        let second = registry.update(changed, 2);
        let (old, new) = (&first.table.groups[0], &second.table.groups[0]);
        assert!(!Arc::ptr_eq(&old.targets[0], &new.targets[0]));
    }
}

#[tokio::test]
async fn a_target_that_is_spoken_to_in_another_way_still_has_its_former_requests() {
    let mut registry = registry();
    let table = put_in_force(registry.update(draft(&[("a", 1, None)]), 1));
    let ticket = Ticket::begin(&table.groups[0].targets[0], None, 0).unwrap();
    let changed = |deadline| {
        let mut changed = draft(&[("a", 1, deadline)]);
        changed.groups[0].protocol_version = ProtocolVersion::Http2;
        changed
    };
    put_in_force(registry.update(changed(None), 2));
    assert!(Ticket::begin(ticket.target(), None, 0).is_none());
    assert_eq!(registry.report(Instant::now(), 2, alone)[0].under_way, 1);
    put_in_force(registry.update(changed(Some(hour_ahead())), 3));
    assert!(!registry.report(Instant::now(), 3, alone)[0].drained);
    assert!(registry.cut_overdue(registry.next_deadline(Instant::now()).unwrap()));
    assert!(ticket.target().is_cut());
    drop(ticket);
    assert!(registry.report(Instant::now(), 3, alone)[0].drained);
}

#[tokio::test]
async fn no_request_begins_in_a_closed_registry_and_those_that_are_left_are_named() {
    let mut registry = registry();
    let table = put_in_force(registry.update(draft(&[("a", 1, None), ("b", 2, None)]), 1));
    let targets = &table.groups[0].targets;
    let ticket = Ticket::begin(&targets[1], None, 0).unwrap();
    let waiting = table.groups[0].room.enter(1).unwrap();
    assert_eq!(registry.close(), None, "one waits for a target");
    drop(waiting);
    assert_eq!(
        registry.close(),
        Some([("web".to_owned(), "b".to_owned())].into())
    );
    assert!(
        targets
            .iter()
            .all(|target| Ticket::begin(target, None, 0).is_none())
    );
    drop(ticket);
    assert_eq!(registry.close(), Some(BTreeSet::new()));
}

#[tokio::test]
async fn who_joins_a_group_at_work_starts_slowly_and_its_first_targets_do_not() {
    let slow = Duration::from_secs(600);
    let mut registry = registry();
    let mut update = |targets: &[(&str, u16, Option<i64>)]| {
        let mut draft = draft(targets);
        draft.groups[0].slow_start = Some(slow);
        let table = put_in_force(registry.update(draft, 1));
        let targets = table.groups[0].targets.iter();
        let now = Instant::now();
        let full = targets.map(|target| target.weight(now, slow) == FULL_WEIGHT);
        full.collect::<Vec<_>>()
    };
    assert_eq!(update(&[("a", 1, None), ("b", 2, None)]), [true, true]);
    assert_eq!(
        update(&[("a", 1, None), ("b", 2, None), ("c", 3, None)]),
        [true, true, false]
    );
}

#[tokio::test]
async fn a_target_where_another_process_has_requests_is_not_drained() {
    let mut registry = registry();
    put_in_force(registry.update(
        draft(&[("a", 1, Some(hour_ahead())), ("b", 2, Some(hour_ahead()))]),
        1,
    ));
    let elsewhere = |(_group, id): &TargetName| id != "a";
    let drained: Vec<_> = registry
        .report(Instant::now(), 1, elsewhere)
        .iter()
        .map(|report| report.drained)
        .collect();
    assert_eq!(drained, [false, true]);
}

#[tokio::test]
async fn a_draining_target_is_drained_when_its_last_request_has_ended() {
    let mut registry = registry();
    let table = put_in_force(registry.update(draft(&[("a", 1, None)]), 1));
    let ticket = Ticket::begin(&table.groups[0].targets[0], None, 0).unwrap();
    put_in_force(registry.update(draft(&[("a", 1, Some(hour_ahead()))]), 1));
    let state = |drained| vec![("a".to_owned(), "draining".to_owned(), drained)];
    assert_eq!(states(&registry), state(false));
    drop(ticket);
    assert_eq!(states(&registry), state(true));
}

#[tokio::test]
async fn a_target_is_not_drained_before_the_table_that_says_so_is_on_disk() {
    let mut registry = registry();
    put_in_force(registry.update(draft(&[("a", 1, None)]), 1));
    put_in_force(registry.update(draft(&[("a", 1, Some(hour_ahead()))]), 2));
    put_in_force(registry.update(draft(&[("a", 1, Some(hour_ahead()))]), 3));
    assert!(!registry.report(Instant::now(), 1, alone)[0].drained);
    assert!(registry.report(Instant::now(), 2, alone)[0].drained);
}

#[tokio::test]
async fn requests_past_the_deadline_are_cut_and_the_target_is_drained_soon_after() {
    let mut registry = registry();
    let table = put_in_force(registry.update(draft(&[("a", 1, None)]), 1));
    let target = &table.groups[0].targets[0];
    let _ticket = Ticket::begin(target, None, 0).unwrap();
    put_in_force(registry.update(draft(&[("a", 1, Some(hour_ahead()))]), 1));
    let deadline = registry.next_deadline(Instant::now()).unwrap();
    assert!(!registry.cut_overdue(deadline - Duration::from_secs(1)));
    assert!(registry.cut_overdue(deadline));
    assert!(!registry.cut_overdue(deadline), "a target is cut once");
    assert!(target.is_cut());
    assert!(!registry.report(deadline, u64::MAX, alone)[0].drained);
    let last = registry.next_deadline(deadline).unwrap();
    assert!(registry.report(last, u64::MAX, alone)[0].drained);
}

#[tokio::test]
async fn a_target_that_a_table_no_longer_names_gets_no_request_and_is_not_cut() {
    let mut registry = registry();
    let table = put_in_force(registry.update(draft(&[("a", 1, None)]), 1));
    let target = &table.groups[0].targets[0];
    let _ticket = Ticket::begin(target, None, 0).unwrap();
    put_in_force(registry.update(draft(&[]), 1));
    assert!(Ticket::begin(target, None, 0).is_none());
    assert!(!target.is_cut());
    assert_eq!(states(&registry), []);
}
