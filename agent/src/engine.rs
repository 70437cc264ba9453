//! The loop that makes tasks be what is desired.
//!
//! It owns the tasks and is the only one to change them. Each pass asks `plan` what to do, begins what
//! is not under way yet, writes down what changed and publishes the report. What was begun comes back
//! as an outcome, which the next pass takes in. Restart and normal work are one path.

mod effect;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roadstead_client::Backoff;
use roadstead_client::proto::agent::{DesiredTask, TaskReport};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::allocation::Pool;
use crate::plan::{self, Action, plan};
use crate::reason::chain;
use crate::records::{RecordError, Records};
use crate::report;
use crate::runtime::{ContainerId, Found, Runtime, RuntimeError};
use crate::task::{Attachment, Now, Phase, Task, TaskId, Wanted};
use effect::{Limits, Outcome};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The complete set of tasks that the control plane wants here; `None` until it has said so.
pub(crate) type Desired = Option<Arc<Vec<DesiredTask>>>;

/// Why the agent cannot go on with what the last one left.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot read the tasks' records")]
    Records(#[from] RecordError),
    #[error("cannot find the containers of the last agent")]
    Restore(#[source] RuntimeError),
}

/// The tasks of this container instance, and what is being done about them.
#[derive(Debug)]
pub(crate) struct Engine<R> {
    runtime: Arc<R>,
    records: Records,
    pool: Pool,
    settings: plan::Settings,
    limits: Limits,
    tasks: BTreeMap<TaskId, Task>,
    /// Tasks whose record is older than they are.
    dirty: BTreeSet<TaskId>,
    busy: BTreeSet<Action>,
    /// Actions that failed and are tried again at a time.
    paused: BTreeMap<Action, (Instant, Backoff)>,
    effects: JoinSet<(Action, Outcome)>,
}

impl<R: Runtime> Engine<R> {
    /// Returns an engine that goes on with the tasks on record.
    ///
    /// # Errors
    /// Fails when the records or the runtime cannot be read. While the runtime cannot be reached it
    /// tries again; who calls may cancel.
    pub(crate) async fn restore(
        runtime: Arc<R>,
        records: Records,
        pool: Pool,
        settings: plan::Settings,
    ) -> Result<Self, EngineError> {
        let mut tasks = records.load()?;
        let kept = tasks
            .values()
            .flat_map(|task| {
                let containers = task.containers.iter().enumerate();
                let live = containers.filter(|(_, c)| c.phase < Phase::Released);
                live.map(|(index, container)| {
                    let network = container.network.clone().unwrap_or_default();
                    (task.container_id(index), network)
                })
            })
            .collect();
        let found = restore(&*runtime, &kept).await?;
        for task in tasks.values_mut() {
            let id = task.definition.id.clone();
            let of = |index| found.get(&ContainerId::new(&id, index)).copied();
            task.adopt(of, now());
            if !task.is_only_kept() {
                info!(task = %id, status = report::last_status(task), "adopted");
            }
        }
        // What only a record is left of is as it was.
        let dirty = tasks.iter().filter(|(_, task)| !task.is_only_kept());
        Ok(Self {
            runtime,
            records,
            pool,
            settings,
            limits: Limits::default(),
            dirty: dirty.map(|(id, _)| id.clone()).collect(),
            tasks,
            busy: BTreeSet::new(),
            paused: BTreeMap::new(),
            effects: JoinSet::new(),
        })
    }

    /// Works until it is stopped; containers go on running.
    pub(crate) async fn run(
        mut self,
        mut desired: watch::Receiver<Desired>,
        report: &watch::Sender<TaskReport>,
        stop: &CancellationToken,
    ) {
        loop {
            let wake = self.pass();
            let tasks = report::of(&self.tasks);
            report.send_if_modified(|last| {
                let changed = *last != tasks;
                *last = tasks;
                changed
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(wake) => {}
                Some(joined) = self.effects.join_next() => match joined {
                    Ok((action, outcome)) => self.take_in(action, outcome),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                changed = desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let set = desired.borrow_and_update().clone();
                    self.accept(set.as_deref().map_or(&[], Vec::as_slice));
                }
            }
        }
    }

    /// Begins what is worth doing; returns when to look again.
    fn pass(&mut self) -> Option<Instant> {
        self.keep();
        let now = now();
        let plan = plan(&self.tasks, self.settings, now);
        let now = Instant::from_std(now.monotonic);
        let mut wake = plan.wake.map(Instant::from_std);
        for action in plan.actions {
            if self.busy.contains(&action) {
                continue;
            }
            let paused = self.paused.get(&action).map(|(until, _)| *until);
            let again = match paused.filter(|until| *until > now) {
                None if self.begin(action) => continue,
                // What cannot begin has changed the task.
                None => now,
                Some(until) => until,
            };
            wake = Some(wake.map_or(again, |wake| wake.min(again)));
        }
        // Also what began just now, before anything comes of it.
        self.keep();
        wake
    }

    fn begin(&mut self, action: Action) -> bool {
        let Some(effect) = self.effect(&action) else {
            return false;
        };
        self.busy.insert(action.clone());
        self.effects.spawn(async move { (action, effect.await) });
        true
    }

    /// Takes in a complete desired set.
    fn accept(&mut self, desired: &[DesiredTask]) {
        let now = now();
        let mut gone: BTreeSet<TaskId> = self.tasks.keys().cloned().collect();
        for desired in desired {
            let known = TaskId::parse(&desired.task_id).and_then(|id| self.tasks.get_mut(&id));
            if let Some(task) = known {
                gone.remove(&task.definition.id);
                if task.want(Wanted::of(desired), now) {
                    self.dirty.insert(task.definition.id.clone());
                }
                continue;
            }
            match Task::admit(desired, now) {
                Ok(task) => {
                    self.dirty.insert(task.definition.id.clone());
                    self.tasks.insert(task.definition.id.clone(), task);
                }
                Err(error) => warn!(error = chain(&error), "a task is refused"),
            }
        }
        for id in gone {
            if let Some(task) = self.tasks.get_mut(&id)
                && task.want(Wanted::Gone, now)
            {
                self.dirty.insert(id);
            }
        }
    }

    /// Writes down what changed. What cannot be written is tried again at the next pass.
    fn keep(&mut self) {
        let (records, tasks) = (&self.records, &self.tasks);
        self.dirty.retain(|id| {
            let Some(task) = tasks.get(id) else {
                return false;
            };
            let kept = records.keep(task);
            if let Err(error) = &kept {
                warn!(task = %id, error = chain(error), "cannot keep the record of a task");
            }
            kept.is_err()
        });
    }
}

async fn restore<R: Runtime>(
    runtime: &R,
    kept: &BTreeMap<ContainerId, Attachment>,
) -> Result<BTreeMap<ContainerId, Found>, EngineError> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        match runtime.restore(kept).await {
            Err(error @ RuntimeError::Unavailable(_)) => {
                warn!(error = chain(&error), "waiting for the container runtime");
                tokio::time::sleep(backoff.pause()).await;
            }
            other => return other.map_err(EngineError::Restore),
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// Reads both clocks.
fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    let wall = wall.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
    Now {
        wall,
        monotonic: Instant::now().into_std(),
    }
}

#[cfg(test)]
mod tests;
