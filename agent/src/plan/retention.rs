//! How long what is left of a stopped task, its record and its log, is kept.
//!
//! The control plane describes a stopped task for a while, so its log must be there to be read for as
//! long. The number is bounded too: a task that fails and is replaced all day must not fill the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Plan};
use crate::task::{Now, Task, TaskId};

/// The most stopped tasks that are kept, the newest.
const MOST: usize = 200;

/// Plans to forget the tasks that have been stopped for longer than `retention`, or are too many.
pub(super) fn forget(
    tasks: &BTreeMap<TaskId, Task>,
    retention: Duration,
    now: Now,
    plan: &mut Plan,
) {
    let mut removed: Vec<&Task> = tasks.values().filter(|task| task.is_only_kept()).collect();
    removed.sort_by_key(|task| std::cmp::Reverse(task.times.stopped_at));
    for (newer, task) in removed.into_iter().enumerate() {
        let left = if newer < MOST {
            retention.saturating_sub(age(task, now))
        } else {
            Duration::ZERO
        };
        let task = task.definition.id.clone();
        plan.at(now.monotonic + left, now.monotonic, Action::Forget { task });
    }
}

/// By the wall clock, because a task may have stopped long before this agent began. One that was set
/// back makes a task look younger; it is forgotten later then.
fn age(task: &Task, now: Now) -> Duration {
    let milliseconds = now.wall.saturating_sub(task.times.stopped_at);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Wanted;
    use crate::task::fixture::{now, task};

    const HOUR: Duration = Duration::from_secs(3600);

    /// A task of which nothing but record and log is left since a time, in milliseconds.
    fn removed(number: usize, stopped_at: i64) -> (TaskId, Task) {
        let mut task = task(&format!("a{number}"), &["web"]);
        task.want(Wanted::Gone, now());
        task.released(0);
        task.removed();
        task.times.stopped_at = stopped_at;
        (task.definition.id.clone(), task)
    }

    fn forgotten(tasks: &BTreeMap<TaskId, Task>, now: Now) -> (Vec<String>, Plan) {
        let mut plan = Plan::default();
        forget(tasks, HOUR, now, &mut plan);
        let ids = plan.actions.iter().map(|action| action.task().to_string());
        (ids.collect(), plan)
    }

    #[test]
    fn a_stopped_task_is_kept_for_the_retention_and_then_forgotten() {
        let tasks = BTreeMap::from([removed(1, 500)]);
        let (ids, plan) = forgotten(&tasks, now());
        assert!(ids.is_empty());
        let (ids, _) = forgotten(
            &tasks,
            Now {
                wall: 3_600_500,
                ..now()
            },
        );
        assert_eq!(ids, ["a1"]);
        assert!(plan.wake.is_some(), "nobody would look again");
    }

    #[test]
    fn only_the_newest_are_kept() {
        let tasks: BTreeMap<_, _> = (0..MOST + 2)
            .map(|number| removed(number, i64::try_from(number).unwrap()))
            .collect();
        let (mut ids, _) = forgotten(&tasks, now());
        ids.sort();
        assert_eq!(ids, ["a0", "a1"]);
    }

    #[test]
    fn a_task_that_is_still_wanted_is_not_counted() {
        let (id, mut task) = removed(1, 0);
        task.want(Wanted::Stopped, now());
        let tasks = BTreeMap::from([(id, task)]);
        let later = Now {
            wall: i64::MAX,
            ..now()
        };
        assert!(forgotten(&tasks, later).0.is_empty());
    }
}
