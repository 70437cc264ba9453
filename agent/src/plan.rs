//! Decides what to do next for every task.
//!
//! A pure function of the tasks (what is desired and what was observed) and the clock. It names
//! everything that is worth doing now, also what is being done already; the engine leaves that out.

mod retention;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::task::{Container, Now, Phase, Stop, Task, TaskId, Wanted};

/// SIGTERM, for containers whose image was not known in time.
const DEFAULT_STOP_SIGNAL: i32 = 15;

/// Something to do. Its order is that of urgency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Wait for the end of a container's process.
    Watch { task: TaskId, container: usize },
    /// Ask a container to stop.
    Signal {
        task: TaskId,
        container: usize,
        signal: i32,
    },
    /// Stop a container that did not listen.
    Kill { task: TaskId, container: usize },
    /// Fetch the images of a task.
    Pull { task: TaskId },
    /// Create and start a container.
    Launch { task: TaskId, container: usize },
    /// Run a health check.
    Probe { task: TaskId, container: usize },
    /// Give back what a stopped container had, but its log.
    Release { task: TaskId, container: usize },
    /// Remove what the runtime has of a task; its record and log stay.
    Remove { task: TaskId },
    /// Forget a task, with its record and log.
    Forget { task: TaskId },
}

impl Action {
    /// Returns the task that the action is for.
    #[must_use]
    pub(crate) fn task(&self) -> &TaskId {
        match self {
            Self::Watch { task, .. }
            | Self::Signal { task, .. }
            | Self::Kill { task, .. }
            | Self::Pull { task }
            | Self::Launch { task, .. }
            | Self::Probe { task, .. }
            | Self::Release { task, .. }
            | Self::Remove { task }
            | Self::Forget { task } => task,
        }
    }
}

/// What to do now, and when to look again if nothing happens before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub actions: Vec<Action>,
    pub wake: Option<Instant>,
}

impl Plan {
    /// Adds an action that is due at a time.
    fn at(&mut self, due: Instant, now: Instant, action: Action) {
        if due <= now {
            self.actions.push(action);
        } else {
            self.wake = Some(self.wake.map_or(due, |wake| wake.min(due)));
        }
    }
}

/// The times that the configuration sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Between the stop signal and SIGKILL, for containers that do not say.
    pub stop_timeout: Duration,
    /// How long record and log of a stopped task are kept.
    pub stopped_task_retention: Duration,
}

/// Returns what to do for all tasks.
#[must_use]
pub(crate) fn plan(tasks: &BTreeMap<TaskId, Task>, settings: Settings, now: Now) -> Plan {
    let mut plan = Plan::default();
    for task in tasks.values() {
        watch_and_release(task, &mut plan);
        if task.has_stopped() {
            remove(task, &mut plan);
        } else if task.is_ending() {
            stop(task, settings.stop_timeout, now.monotonic, &mut plan);
        } else {
            start(task, &mut plan);
            probe(task, now.monotonic, &mut plan);
        }
    }
    retention::forget(tasks, settings.stopped_task_retention, now, &mut plan);
    plan.actions.sort();
    plan
}

fn watch_and_release(task: &Task, plan: &mut Plan) {
    for (container, state) in task.containers.iter().enumerate() {
        let id = task.definition.id.clone();
        match state.phase {
            Phase::Running => plan.actions.push(Action::Watch {
                task: id,
                container,
            }),
            Phase::Stopped => plan.actions.push(Action::Release {
                task: id,
                container,
            }),
            Phase::Pending | Phase::Launching | Phase::Released => {}
        }
    }
}

fn remove(task: &Task, plan: &mut Plan) {
    let released = |container: &Container| container.phase == Phase::Released;
    if task.wanted == Wanted::Gone && !task.removed && task.containers.iter().all(released) {
        let task = task.definition.id.clone();
        plan.actions.push(Action::Remove { task });
    }
}

fn stop(task: &Task, stop_timeout: Duration, now: Instant, plan: &mut Plan) {
    let running = |c: &(usize, &Container)| c.1.phase == Phase::Running;
    for (container, state) in task.containers.iter().enumerate().filter(running) {
        let task = task.definition.id.clone();
        let image = state.image.as_ref();
        let signal = Action::Signal {
            task: task.clone(),
            container,
            signal: image.map_or(DEFAULT_STOP_SIGNAL, |image| image.stop_signal),
        };
        let own = state.definition.stop_timeout;
        let own = own.and_then(|seconds| u64::try_from(seconds).ok());
        let patience = own.map_or(stop_timeout, Duration::from_secs);
        let kill = Action::Kill { task, container };
        match state.stop {
            Stop::NotBegun => plan.actions.push(signal),
            Stop::Refused(at) => {
                // A signal that is refused for good must not keep the container alive.
                if now < at + patience {
                    plan.actions.push(signal);
                }
                plan.at(at + patience, now, kill);
            }
            Stop::Signalled(at) => plan.at(at + patience, now, kill),
            Stop::Killed => {}
        }
    }
}

fn start(task: &Task, plan: &mut Plan) {
    let id = task.definition.id.clone();
    if !task.has_images() {
        plan.actions.push(Action::Pull { task: id });
        return;
    }
    // In the order of the definition, each when the one before it runs or ran.
    let next = task
        .containers
        .iter()
        .position(|container| container.phase < Phase::Running);
    if let Some(container) = next
        && task.containers[container].phase == Phase::Pending
    {
        plan.actions.push(Action::Launch {
            task: id,
            container,
        });
    }
}

fn probe(task: &Task, now: Instant, plan: &mut Plan) {
    let running = |c: &(usize, &Container)| c.1.phase == Phase::Running;
    for (container, state) in task.containers.iter().enumerate().filter(running) {
        if let Some(due) = state.health.as_ref().and_then(super::health::Health::due) {
            let probe = Action::Probe {
                task: task.definition.id.clone(),
                container,
            };
            plan.at(due, now, probe);
        }
    }
}

#[cfg(test)]
mod tests;
