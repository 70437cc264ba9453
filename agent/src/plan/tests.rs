use super::*;
use crate::task::fixture::{now, task};
use crate::task::{Attachment, Image, Now};

const PATIENCE: Duration = Duration::from_secs(30);
const SETTINGS: Settings = Settings {
    stop_timeout: PATIENCE,
    stopped_task_retention: Duration::from_secs(3600),
};

fn image() -> Image {
    Image {
        digest: "sha256:x".into(),
        stop_signal: 3,
    }
}

fn actions(task: &Task, now: Now) -> Vec<String> {
    let tasks = BTreeMap::from([(task.definition.id.clone(), task.clone())]);
    let plan = plan(&tasks, SETTINGS, now);
    let names = plan.actions.iter().map(|action| match action {
        Action::Watch { container, .. } => format!("watch {container}"),
        Action::Signal {
            container, signal, ..
        } => format!("signal {container} {signal}"),
        Action::Kill { container, .. } => format!("kill {container}"),
        Action::Pull { .. } => "pull".to_owned(),
        Action::Launch { container, .. } => format!("launch {container}"),
        Action::Probe { container, .. } => format!("probe {container}"),
        Action::Release { container, .. } => format!("release {container}"),
        Action::Remove { .. } => "remove".to_owned(),
        Action::Forget { .. } => "forget".to_owned(),
    });
    names.collect()
}

fn run(task: &mut Task, container: usize, now: Now) {
    task.launch_begins(container, Attachment::default());
    task.launched(container, now);
}

#[test]
fn containers_start_in_order_when_every_image_is_here() {
    let now = now();
    let mut task = task("a1", &["first", "second"]);
    assert_eq!(actions(&task, now), ["pull"]);
    task.pulled(vec![Ok(image()), Ok(image())], now);
    assert_eq!(actions(&task, now), ["launch 0"]);
    task.launch_begins(0, Attachment::default());
    assert!(actions(&task, now).is_empty());
    task.launched(0, now);
    assert_eq!(actions(&task, now), ["watch 0", "launch 1"]);
    run(&mut task, 1, now);
    assert_eq!(actions(&task, now), ["watch 0", "watch 1"]);
}

#[test]
fn a_stop_is_asked_for_and_then_enforced() {
    let now = now();
    let mut task = task("a1", &["web"]);
    task.pulled(vec![Ok(image())], now);
    run(&mut task, 0, now);
    task.want(Wanted::Stopped, now);
    assert_eq!(actions(&task, now), ["watch 0", "signal 0 3"]);
    task.signalled(0, now);
    assert_eq!(actions(&task, now), ["watch 0"]);
    let tasks = BTreeMap::from([(task.definition.id.clone(), task.clone())]);
    let wake = plan(&tasks, SETTINGS, now).wake;
    assert_eq!(wake, Some(now.monotonic + PATIENCE));
    let later = Now {
        monotonic: now.monotonic + PATIENCE,
        ..now
    };
    assert_eq!(actions(&task, later), ["watch 0", "kill 0"]);
    task.killed(0);
    assert_eq!(actions(&task, later), ["watch 0"]);
}

#[test]
fn a_definition_s_own_stop_timeout_is_kept() {
    let now = now();
    let mut task = task("a1", &["web"]);
    task.containers[0].definition.stop_timeout = Some(2);
    task.pulled(vec![Ok(image())], now);
    run(&mut task, 0, now);
    task.want(Wanted::Stopped, now);
    task.signalled(0, now);
    let later = Now {
        monotonic: now.monotonic + Duration::from_secs(2),
        ..now
    };
    assert_eq!(actions(&task, later), ["watch 0", "kill 0"]);
}

#[test]
fn a_stopped_container_is_released_and_a_task_removed_when_it_left_the_set() {
    let now = now();
    let mut task = task("a1", &["web"]);
    task.want(Wanted::Stopped, now);
    assert_eq!(actions(&task, now), ["release 0"]);
    task.released(0);
    assert!(actions(&task, now).is_empty());
    task.want(Wanted::Gone, now);
    assert_eq!(actions(&task, now), ["remove"]);
    task.removed();
    assert!(actions(&task, now).is_empty(), "its log may still be read");
    let later = Now {
        wall: now.wall + 3_600_000,
        ..now
    };
    assert_eq!(actions(&task, later), ["forget"]);
}

#[test]
fn a_stop_signal_that_is_refused_for_good_ends_in_a_kill() {
    let now = now();
    let mut task = task("a1", &["web"]);
    task.pulled(vec![Ok(image())], now);
    run(&mut task, 0, now);
    task.want(Wanted::Stopped, now);
    let at = |seconds| Now {
        monotonic: now.monotonic + Duration::from_secs(seconds),
        ..now
    };
    task.stop_refused(0, at(0));
    task.stop_refused(0, at(29));
    assert_eq!(actions(&task, at(29)), ["watch 0", "signal 0 3"]);
    assert_eq!(actions(&task, at(30)), ["watch 0", "kill 0"]);
}

#[test]
fn nothing_is_launched_for_a_task_that_ends() {
    let now = now();
    let mut task = task("a1", &["web", "side"]);
    task.pulled(vec![Ok(image()), Ok(image())], now);
    run(&mut task, 0, now);
    task.want(Wanted::Gone, now);
    assert_eq!(actions(&task, now), ["watch 0", "signal 0 3", "release 1"]);
}
