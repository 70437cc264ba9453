use roadstead_client::proto::ecs::ContainerDefinition;

use super::super::fixture::{desired, now, task};
use super::*;
use crate::report::last_status;

const EXITED: Exit = Exit::Code {
    code: 3,
    out_of_memory: false,
};

fn image() -> Result<Image, String> {
    Ok(Image {
        digest: "sha256:x".into(),
        stop_signal: 15,
    })
}

/// Returns a task whose containers all run.
fn running(containers: &[&str]) -> Task {
    let mut task = task("a1", containers);
    task.pulled(containers.iter().map(|_| image()).collect(), now());
    for index in 0..containers.len() {
        task.launch_begins(index, Attachment::default());
        task.launched(index, now());
    }
    task
}

fn cause(task: &Task) -> (StopCode, &str) {
    let cause = task.cause.as_ref().unwrap();
    (cause.code, &cause.reason)
}

#[test]
fn a_task_runs_when_all_of_its_containers_have_started() {
    let mut task = task("a1", &["web", "side"]);
    assert_eq!(last_status(&task), "PENDING");
    task.pulled(vec![image(), image()], now());
    task.launch_begins(0, Attachment::default());
    task.launched(0, now());
    assert_eq!(last_status(&task), "PENDING");
    task.launch_begins(1, Attachment::default());
    task.launched(1, now());
    assert_eq!(last_status(&task), "RUNNING");
}

#[test]
fn the_end_of_an_essential_container_ends_the_task() {
    let mut task = running(&["web", "side"]);
    task.exited(0, EXITED, now());
    assert_eq!(last_status(&task), "STOPPING");
    assert_eq!(
        cause(&task),
        (StopCode::EssentialContainerExited, ESSENTIAL_EXITED)
    );
    task.exited(1, EXITED, now());
    assert_eq!(last_status(&task), "STOPPED");
    assert_eq!(task.containers[0].exit_code, Some(3));
    assert!(task.times.stopped_at > 0 && task.times.execution_stopped_at > 0);
}

#[test]
fn the_end_of_another_container_does_not_until_it_is_the_last() {
    let mut task = running(&["web", "side"]);
    for container in &mut task.containers {
        container.definition = ContainerDefinition {
            essential: Some(false),
            ..container.definition.clone()
        };
    }
    task.exited(1, EXITED, now());
    assert_eq!((last_status(&task), &task.cause), ("RUNNING", &None));
    task.exited(0, EXITED, now());
    assert_eq!(last_status(&task), "STOPPED");
}

#[test]
fn a_stop_that_was_asked_for_has_no_cause() {
    let mut task = running(&["web"]);
    assert!(task.want(Wanted::Stopped, now()));
    assert!(!task.want(Wanted::Running, now()), "a stop is final");
    assert_eq!(last_status(&task), "STOPPING");
    task.exited(0, EXITED, now());
    assert_eq!((last_status(&task), &task.cause), ("STOPPED", &None));
}

#[test]
fn a_task_that_left_and_is_named_again_is_not_started_again() {
    let mut task = running(&["web"]);
    task.want(Wanted::Gone, now());
    task.exited(0, EXITED, now());
    task.released(0);
    task.removed();
    assert!(task.is_only_kept());
    assert!(task.want(Wanted::Running, now()));
    assert_eq!(
        (task.wanted, last_status(&task)),
        (Wanted::Stopped, "STOPPED")
    );
    assert!(!task.is_only_kept(), "it would not be reported");
}

#[test]
fn memory_is_given_as_the_reason() {
    let mut task = running(&["web"]);
    let exit = Exit::Code {
        code: 137,
        out_of_memory: true,
    };
    task.exited(0, exit, now());
    assert_eq!(task.containers[0].reason, OUT_OF_MEMORY);
    assert_eq!(cause(&task).1, ESSENTIAL_EXITED);
}

#[test]
fn an_image_that_cannot_be_had_stops_the_task_before_it_starts() {
    let mut task = task("a1", &["web", "side"]);
    let reason = "CannotPullContainerError: no".to_owned();
    task.pulled(vec![image(), Err(reason.clone())], now());
    assert_eq!(last_status(&task), "STOPPED");
    assert_eq!(cause(&task), (StopCode::TaskFailedToStart, &*reason));
    assert_eq!(task.times.started_at, 0);
}

#[test]
fn a_container_that_does_not_start_stops_those_that_did() {
    let mut task = task("a1", &["web", "side"]);
    task.pulled(vec![image(), image()], now());
    task.launch_begins(0, Attachment::default());
    task.launched(0, now());
    task.launch_begins(1, Attachment::default());
    task.launch_failed(1, "CannotStartContainerError: no".into(), now());
    assert_eq!(last_status(&task), "STOPPING");
    assert_eq!(cause(&task).0, StopCode::TaskFailedToStart);
    task.exited(0, EXITED, now());
    assert_eq!(cause(&task).0, StopCode::TaskFailedToStart);
    assert_eq!(task.times.started_at, 0);
}

#[test]
fn a_task_that_was_past_pending_is_lost_and_not_started_again() {
    for (known, status) in [
        ("", "PENDING"),
        ("PENDING", "PENDING"),
        ("RUNNING", "STOPPED"),
    ] {
        let mut desired = desired("a1", &["web"]);
        desired.known_status = known.into();
        let task = Task::admit(&desired, now()).unwrap();
        assert_eq!(last_status(&task), status, "{known}");
    }
}

#[test]
fn a_task_that_is_only_known_to_be_stopped_is_stopped() {
    let mut desired = desired("a1", &["web"]);
    desired.desired_status = "STOPPED".into();
    desired.known_status = "RUNNING".into();
    let task = Task::admit(&desired, now()).unwrap();
    assert_eq!((last_status(&task), &task.cause), ("STOPPED", &None));
}

#[test]
fn an_unknown_network_mode_fails_the_task() {
    let mut desired = desired("a1", &["web"]);
    desired.network_mode = "awsvpc".into();
    let task = Task::admit(&desired, now()).unwrap();
    assert_eq!(last_status(&task), "STOPPED");
    assert_eq!(cause(&task).0, StopCode::TaskFailedToStart);
}

#[test]
fn what_the_runtime_has_begun_is_adopted_and_the_rest_begins_again() {
    let interrupted = || {
        let mut task = task("a1", &["web"]);
        task.pulled(vec![image()], now());
        task.launch_begins(0, Attachment::default());
        task
    };
    for (found, phase) in [
        (Some(Found::Begun), Phase::Running),
        (Some(Found::Prepared), Phase::Pending),
        (None, Phase::Pending),
    ] {
        let mut task = interrupted();
        task.adopt(|_| found, now());
        assert_eq!(task.containers[0].phase, phase, "{found:?}");
    }
}

#[test]
fn a_record_is_the_same_after_it_was_written_and_read() {
    let task = running(&["web", "side"]);
    let text = serde_json::to_string(&task).unwrap();
    assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
}

#[test]
fn images_that_come_after_the_stop_change_nothing() {
    let mut task = task("a1", &["web"]);
    task.want(Wanted::Stopped, now());
    task.released(0);
    task.pulled(vec![Err("CannotPullContainerError: no".into())], now());
    assert_eq!(task.containers[0].phase, Phase::Released);
    assert_eq!(task.containers[0].reason, "");
}
