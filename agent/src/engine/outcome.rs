//! Takes in what came of an action.

use roadstead_client::Backoff;
use tokio::time::Instant;
use tracing::{info, warn};

use super::effect::Outcome;
use super::{Engine, FIRST_PAUSE, LONGEST_PAUSE, now};
use crate::plan::Action;
use crate::reason::{self, chain};
use crate::records::RecordError;
use crate::runtime::{Exit, Runtime, RuntimeError};
use crate::task::{Image, TaskId};

impl<R: Runtime> Engine<R> {
    pub(super) fn take_in(&mut self, action: Action, outcome: Outcome) {
        self.busy.remove(&action);
        let id = action.task().clone();
        let container = container_of(&action);
        let mut changed = true;
        let failure = match outcome {
            Outcome::Exited(exit) => {
                self.exited(&id, container, exit);
                None
            }
            Outcome::Pulled(images) => self.pulled(&id, images),
            Outcome::Launched(result) => self.launched(&id, container, result),
            Outcome::Probed(result) => {
                let probed = self.probed(&id, container, result);
                // Most say what is known; a record for each would keep the disk busy.
                changed = matches!(probed, Ok(true));
                probed.err()
            }
            Outcome::Signalled(result) => self.signalled(&action, container, result),
            Outcome::Released(result) => result.err().or_else(|| {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.released(container);
                }
                None
            }),
            Outcome::Removed(result) => result.err().or_else(|| {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.removed();
                    info!(task = %id, "task removed; its log is kept for a while");
                }
                None
            }),
            Outcome::Forgotten(result) => {
                self.forgotten(&id, result);
                None
            }
        };
        if changed {
            self.dirty.insert(id);
        }
        match failure {
            None => {
                self.paused.remove(&action);
            }
            Some(error) => {
                warn!(task = %action.task(), error = chain(&error), "trying again");
                self.pause(action);
            }
        }
    }

    /// Lets an action rest for a while before it is tried again.
    pub(super) fn pause(&mut self, action: Action) {
        let fresh = || (Instant::now(), Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
        let (until, backoff) = self.paused.entry(action).or_insert_with(fresh);
        *until = Instant::now() + backoff.pause();
    }

    fn exited(&mut self, id: &TaskId, container: usize, exit: Exit) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.exited(container, exit, now());
            info!(task = %id, container = task.containers[container].name(), ?exit, "container stopped");
        }
    }

    fn pulled(
        &mut self,
        id: &TaskId,
        images: Vec<Result<Image, RuntimeError>>,
    ) -> Option<RuntimeError> {
        let mut reasons = Vec::with_capacity(images.len());
        for image in images {
            match image {
                Err(error @ RuntimeError::Unavailable(_)) => return Some(error),
                Err(error) => {
                    warn!(task = %id, error = chain(&error), "an image cannot be had");
                    reasons.push(Err(reason::of(&error)));
                }
                Ok(image) => reasons.push(Ok(image)),
            }
        }
        if let Some(task) = self.tasks.get_mut(id) {
            task.pulled(reasons, now());
        }
        None
    }

    fn launched(
        &mut self,
        id: &TaskId,
        container: usize,
        result: Result<(), RuntimeError>,
    ) -> Option<RuntimeError> {
        let task = self.tasks.get_mut(id)?;
        match result {
            Ok(()) => {
                task.launched(container, now());
                info!(task = %id, container = task.containers[container].name(), "container started");
                None
            }
            Err(error @ RuntimeError::Unavailable(_)) => {
                task.launch_interrupted(container, now());
                Some(error)
            }
            Err(error) => {
                warn!(task = %id, error = chain(&error), "a container does not start");
                task.launch_failed(container, reason::of(&error), now());
                None
            }
        }
    }

    fn signalled(
        &mut self,
        action: &Action,
        container: usize,
        result: Result<(), RuntimeError>,
    ) -> Option<RuntimeError> {
        let task = self.tasks.get_mut(action.task())?;
        match (&result, action) {
            (Ok(()), Action::Kill { .. }) => task.killed(container),
            (Ok(()), _) => task.signalled(container, now()),
            // Not asked yet: its time to stop begins when the runtime is back.
            (Err(RuntimeError::Unavailable(_)), _) => {}
            (Err(_), _) => task.stop_refused(container, now()),
        }
        result.err()
    }

    /// Tells whether there is news of the container.
    fn probed(
        &mut self,
        id: &TaskId,
        container: usize,
        result: Result<bool, RuntimeError>,
    ) -> Result<bool, RuntimeError> {
        let passed = match result {
            Ok(passed) => passed,
            // Says nothing about the container.
            Err(error @ RuntimeError::Unavailable(_)) => return Err(error),
            Err(error) => {
                warn!(task = %id, error = chain(&error), "a health check could not run");
                false
            }
        };
        let task = self.tasks.get_mut(id);
        Ok(task.is_some_and(|task| task.probed(container, passed, now())))
    }

    fn forgotten(&mut self, id: &TaskId, result: Result<(), RecordError>) {
        if let Err(error) = result {
            // The next agent finds it and tries again.
            warn!(task = %id, error = chain(&error), "something of a task is left behind");
        }
        self.tasks.remove(id);
        self.paused.retain(|action, _| action.task() != id);
    }
}

fn container_of(action: &Action) -> usize {
    match action {
        Action::Watch { container, .. }
        | Action::Signal { container, .. }
        | Action::Kill { container, .. }
        | Action::Launch { container, .. }
        | Action::Probe { container, .. }
        | Action::Release { container, .. } => *container,
        Action::Pull { .. } | Action::Remove { .. } | Action::Forget { .. } => 0,
    }
}
