//! What a scripted rollout looks like: in a pipe, on a terminal, and on the receipt.

use std::time::Duration;

use expect_test::expect;
use roadstead_client::proto::console::{self, ServiceView, TaskView};
use roadstead_client::proto::ecs::{Deployment, Service, ServiceEvent};

use super::Rollout;
use super::lines::{self, Lines};
use super::live::{self, Screen};
use super::receipt::Receipt;

const OLD: u32 = 1;
const NEW: u32 = 2;

fn rollout() -> Rollout {
    Rollout {
        service: "web".into(),
        deployment: "ecs-svc/2".into(),
        task_definition: "web:2".into(),
    }
}

/// A deployment with its running and pending tasks, of four.
fn deployment(number: u32, running: i32, pending: i32, rollout_state: &str) -> Deployment {
    Deployment {
        id: Some(format!("ecs-svc/{number}")),
        status: Some(if number == NEW { "PRIMARY" } else { "ACTIVE" }.into()),
        task_definition: Some(format!("arn:aws:ecs:r:1:task-definition/web:{number}")),
        desired_count: Some(4),
        running_count: Some(running),
        pending_count: Some(pending),
        created_at: Some(f64::from(number) * 100.0),
        rollout_state: Some(rollout_state.into()),
        ..Deployment::default()
    }
}

fn event(id: u32, created_at: f64, message: &str) -> ServiceEvent {
    ServiceEvent {
        id: Some(id.to_string()),
        created_at: Some(created_at),
        message: Some(message.into()),
    }
}

fn tasks(states: &[(&str, &str, &str)]) -> Vec<TaskView> {
    let views = states.iter().map(|&(last, desired, health)| TaskView {
        last_status: Some(last.into()),
        desired_status: Some(desired.into()),
        target_health: Some(health.into()),
        ..TaskView::default()
    });
    views.collect()
}

fn view(
    deployments: Vec<Deployment>,
    events: Vec<ServiceEvent>,
    tasks: Vec<TaskView>,
) -> ServiceView {
    ServiceView {
        service: Some(Service {
            service_name: Some("web".into()),
            status: Some("ACTIVE".into()),
            desired_count: Some(4),
            deployments,
            events,
            ..Service::default()
        }),
        tasks,
        receipts: vec![console::Receipt {
            deployment: Some("ecs-svc/2".into()),
            duration_ms: Some(3240),
            served: Some(960),
            retried: Some(2),
            failed: Some(0),
            cut: Some(0),
        }],
        rollback_task_definition: None,
    }
}

fn beginning() -> ServiceView {
    view(
        vec![
            deployment(NEW, 0, 2, "IN_PROGRESS"),
            deployment(OLD, 4, 0, "COMPLETED"),
        ],
        vec![
            event(
                2,
                200.0,
                "(service web) has started 2 tasks: (task b) (task c).",
            ),
            event(1, 150.0, "(service web) has reached a steady state."),
        ],
        tasks(&[
            ("PENDING", "RUNNING", "initial"),
            ("RUNNING", "RUNNING", "healthy"),
        ]),
    )
}

fn middle() -> ServiceView {
    let mut middle = beginning();
    if let Some(service) = &mut middle.service {
        service.deployments = vec![
            deployment(NEW, 2, 1, "IN_PROGRESS"),
            deployment(OLD, 2, 0, "COMPLETED"),
        ];
        service.events.insert(
            0,
            event(3, 201.0, "(service web) has stopped 2 running tasks."),
        );
    }
    middle.tasks = tasks(&[
        ("PENDING", "RUNNING", "initial"),
        ("RUNNING", "RUNNING", "healthy"),
        ("RUNNING", "RUNNING", "healthy"),
        ("RUNNING", "STOPPED", "draining"),
    ]);
    middle
}

fn end() -> ServiceView {
    let mut end = middle();
    if let Some(service) = &mut end.service {
        service.deployments = vec![deployment(NEW, 4, 0, "COMPLETED")];
    }
    end.tasks = tasks(&[("RUNNING", "RUNNING", "healthy"); 4]);
    end
}

#[test]
fn a_pipe_gets_one_line_for_each_change() {
    let mut lines = Lines::default();
    let script = [
        (0, beginning()),
        (400, beginning()),
        (1200, middle()),
        (3240, end()),
    ];
    let mut text = Vec::new();
    for (elapsed, view) in script {
        text.extend(lines.after(&view, "ecs-svc/2", Duration::from_millis(elapsed)));
        if elapsed == 400 {
            let note = "the control plane answers again";
            text.push(lines::timed(Duration::from_millis(elapsed), note));
        }
    }
    expect![[r#"
            0.0s  (service web) has started 2 tasks: (task b) (task c).
            0.0s  IN_PROGRESS  web:2 0/4 running, 2 pending | web:1 4/4 running | targets 1 healthy, 1 initial
            0.4s  the control plane answers again
            1.2s  (service web) has stopped 2 running tasks.
            1.2s  IN_PROGRESS  web:2 2/4 running, 1 pending | web:1 2/4 running | targets 1 draining, 2 healthy, 1 initial
            3.2s  COMPLETED  web:2 4/4 running | targets 4 healthy"#]]
    .assert_eq(&without_margin(&text));
}

/// The elapsed time is aligned to the right; the expectations stand without the common margin.
fn without_margin(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| line.trim_start());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_elapsed_time_is_aligned() {
    assert_eq!(lines::timed(Duration::from_millis(940), "x"), "    0.9s  x");
    assert_eq!(lines::timed(Duration::from_secs(3600), "x"), " 3600.0s  x");
}

#[test]
fn a_terminal_shows_bars_tallies_and_the_newest_events() {
    let frame = live::frame(&rollout(), &middle(), Duration::from_millis(1230));
    expect![[r#"
        web to web:2  ecs-svc/2  IN_PROGRESS  1.2 s

          web:2  ████████████▒▒▒▒▒▒░░░░░░  2 running, 1 pending of 4
          web:1  ████████████░░░░░░░░░░░░  2 running, 0 pending of 4

          tasks    1 PENDING, 2 RUNNING, 1 STOPPING
          targets  1 draining, 2 healthy, 1 initial

          (service web) has started 2 tasks: (task b) (task c).
          (service web) has stopped 2 running tasks.
    "#]]
    .assert_eq(&frame);
}

#[test]
fn a_frame_is_drawn_over_the_one_before() {
    let mut screen = Screen::default();
    screen.set_view(middle());
    let first = screen.redraw(&rollout(), Duration::ZERO);
    assert!(
        first.starts_with("\x1b[?7l\x1b[J"),
        "nothing to go back over: {first:?}"
    );
    let second = screen.redraw(&rollout(), Duration::from_secs(1));
    assert!(
        second.starts_with("\x1b[?7l\x1b[10F\x1b[J"),
        "ten lines back: {second:?}"
    );
    assert!(
        second.ends_with("\x1b[?7h"),
        "the wrap is on again: {second:?}"
    );
}

#[test]
fn a_note_about_the_connection_goes_with_the_next_view() {
    let mut screen = Screen::default();
    screen.set_view(middle());
    screen.set_note("lost the control plane".into());
    assert!(
        screen
            .redraw(&rollout(), Duration::ZERO)
            .contains("\n\n  lost the control plane\n")
    );
    screen.set_view(end());
    assert!(!screen.redraw(&rollout(), Duration::ZERO).contains("lost"));
}

#[test]
fn the_receipt_for_people() {
    let receipt = Receipt::of(&rollout(), &end());
    expect![[r#"
        web is at web:2 after 3.2 s (ecs-svc/2)
          served 960   retried 2   failed 0   cut at the deadline 0"#]]
    .assert_eq(&receipt.text(&rollout()));
}

#[test]
fn the_receipt_as_one_object() {
    let receipt = Receipt::of(&rollout(), &end());
    expect![[r#"
        {
          "durationMs": 3240,
          "served": 960,
          "retried": 2,
          "failed": 0,
          "cut": 0,
          "deployment": "ecs-svc/2",
          "rolloutState": "COMPLETED"
        }"#]]
    .assert_eq(&crate::output::json(&receipt).unwrap());
}

#[test]
fn a_rollout_that_failed_has_a_receipt_that_says_so() {
    let mut failed = middle();
    if let Some(service) = &mut failed.service {
        service.deployments[0].rollout_state = Some("FAILED".into());
    }
    let mut gone = end();
    gone.service.as_mut().unwrap().deployments = vec![deployment(3, 4, 0, "COMPLETED")];
    let mut receipt = Receipt::nothing(&rollout(), None);
    for view in [&beginning(), &failed, &gone] {
        receipt.update(&rollout(), view);
    }
    expect![[r#"
        {
          "durationMs": 3240,
          "served": 960,
          "retried": 2,
          "failed": 0,
          "cut": 0,
          "deployment": "ecs-svc/2",
          "rolloutState": "FAILED"
        }"#]]
    .assert_eq(&crate::output::json(&receipt).unwrap());
}

#[test]
fn an_update_that_starts_nothing_has_a_receipt_of_nothing() {
    let receipt = Receipt::nothing(&rollout(), Some("COMPLETED".into()));
    let json = serde_json::to_value(&receipt).unwrap();
    assert_eq!(json["served"], 0);
    assert_eq!(json["deployment"], "ecs-svc/2");
    assert_eq!(json["rolloutState"], "COMPLETED");
}
