//! How a task moves on: what each observation changes, and what follows from it.

use std::time::{Duration, Instant};

use roadstead_client::proto::agent::DesiredTask;

use super::{
    Attachment, Container, Definition, Image, Phase, Stop, StopCause, StopCode, Task, Times, Wanted,
};
use crate::health::{Check, Health};
use crate::runtime::{Exit, Found};
use crate::task::definition::DefinitionError;

const ESSENTIAL_EXITED: &str = "Essential container in task exited";
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const VANISHED: &str = "The container is gone; its exit code is not known";
const LOST: &str = "The container instance has lost the task";

/// The time of an observation, on both clocks: one to report, one to measure with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// Milliseconds since the epoch.
    pub wall: i64,
    pub monotonic: Instant,
}

impl Task {
    /// Takes on a task that the agent has not seen before.
    ///
    /// A task that has been past PENDING must have run here once. It is lost, and not run again: a
    /// task runs at most once.
    ///
    /// # Errors
    /// Fails when the task has an id that could not be kept.
    pub(crate) fn admit(desired: &DesiredTask, now: Now) -> Result<Self, DefinitionError> {
        let (definition, refusal) = match Definition::try_from(desired) {
            Ok(definition) => (definition, None),
            Err(DefinitionError::NetworkMode { task, mode }) => {
                let reason = DefinitionError::NetworkMode { task, mode }.to_string();
                let readable = DesiredTask {
                    network_mode: String::new(),
                    ..desired.clone()
                };
                (Definition::try_from(&readable)?, Some(reason))
            }
            Err(error @ DefinitionError::Id(_)) => return Err(error),
        };
        let containers = desired.containers.iter().cloned().map(Container::new);
        let mut task = Self {
            definition,
            wanted: Wanted::of(desired),
            containers: containers.collect(),
            cause: None,
            times: Times::default(),
            removed: false,
        };
        if let Some(reason) = refusal {
            task.cause = Some(StopCause::failed_to_start(reason));
        } else if task.wanted == Wanted::Running && has_been_past_pending(desired) {
            task.cause = Some(StopCause {
                code: StopCode::EssentialContainerExited,
                reason: LOST.to_owned(),
            });
        }
        task.settle(now);
        Ok(task)
    }

    /// Takes in what the control plane wants now, and tells whether that is new. A stop is final; a
    /// task that was gone and is named again is reported again.
    pub(crate) fn want(&mut self, wanted: Wanted, now: Now) -> bool {
        let wanted = match (self.wanted, wanted) {
            (Wanted::Stopped | Wanted::Gone, Wanted::Running) => Wanted::Stopped,
            (_, wanted) => wanted,
        };
        let news = wanted != self.wanted;
        if news {
            self.wanted = wanted;
            self.settle(now);
        }
        news
    }

    /// Notes that the images are being fetched.
    pub(crate) fn pull_begins(&mut self, now: Now) {
        if self.times.pull_started_at == 0 {
            self.times.pull_started_at = now.wall;
        }
    }

    /// Takes in the images, one result for each container in order; a failure is a reason in ECS's
    /// words.
    pub(crate) fn pulled(&mut self, images: Vec<Result<Image, String>>, now: Now) {
        self.times.pull_stopped_at = now.wall;
        for (index, image) in images.into_iter().enumerate() {
            if self.containers[index].phase >= Phase::Stopped {
                // The task was stopped in the meantime.
                continue;
            }
            match image {
                Ok(image) => self.containers[index].image = Some(image),
                Err(reason) => self.fail(index, reason),
            }
        }
        self.settle(now);
    }

    /// Notes that a container is about to be created at this place in the network.
    pub(crate) fn launch_begins(&mut self, container: usize, network: Attachment) {
        let container = &mut self.containers[container];
        container.network = Some(network);
        container.phase = Phase::Launching;
    }

    /// Goes back before a launch that nothing came of, so that it can be tried again. The container
    /// keeps its place in the network: part of it may exist.
    pub(crate) fn launch_interrupted(&mut self, container: usize, now: Now) {
        self.containers[container].phase = Phase::Pending;
        self.settle(now);
    }

    /// Takes in that a container runs.
    pub(crate) fn launched(&mut self, container: usize, now: Now) {
        let container = &mut self.containers[container];
        container.phase = Phase::Running;
        container.started_at = now.wall;
        container.health = container.check().map(|_| Health::new(now.monotonic));
        self.settle(now);
    }

    /// Takes in that a container could not be launched, for a reason in ECS's words.
    pub(crate) fn launch_failed(&mut self, container: usize, reason: String, now: Now) {
        self.fail(container, reason);
        self.settle(now);
    }

    /// Takes in that a container's process is gone.
    pub(crate) fn exited(&mut self, container: usize, exit: Exit, now: Now) {
        let container = &mut self.containers[container];
        container.phase = Phase::Stopped;
        match exit {
            Exit::Code {
                code,
                out_of_memory,
            } => {
                container.exit_code = Some(code);
                if out_of_memory {
                    OUT_OF_MEMORY.clone_into(&mut container.reason);
                }
            }
            Exit::Vanished => VANISHED.clone_into(&mut container.reason),
        }
        self.settle(now);
    }

    /// Notes that a container has been asked to stop.
    pub(crate) fn signalled(&mut self, container: usize, now: Now) {
        let stop = &mut self.containers[container].stop;
        if *stop != Stop::Killed {
            *stop = Stop::Signalled(now.monotonic);
        }
    }

    /// Notes that the runtime would not ask a container to stop; the first time counts.
    pub(crate) fn stop_refused(&mut self, container: usize, now: Now) {
        let stop = &mut self.containers[container].stop;
        if *stop == Stop::NotBegun {
            *stop = Stop::Refused(now.monotonic);
        }
    }

    /// Notes that a container has been killed.
    pub(crate) fn killed(&mut self, container: usize) {
        self.containers[container].stop = Stop::Killed;
    }

    /// Takes in a probe of a container's health, and tells whether the record changed with it.
    pub(crate) fn probed(&mut self, container: usize, passed: bool, now: Now) -> bool {
        let container = &mut self.containers[container];
        let check = container.check();
        match (check, container.health.as_mut()) {
            (Some(check), Some(health)) => health.observe(&check, passed, now.monotonic),
            (None, _) | (_, None) => false,
        }
    }

    /// Notes that nothing but the record and the log is left of a stopped container.
    pub(crate) fn released(&mut self, container: usize) {
        self.containers[container].phase = Phase::Released;
    }

    /// Notes that the runtime has nothing of the task any more.
    pub(crate) fn removed(&mut self) {
        self.removed = true;
    }

    /// Goes on from a record, with what the runtime has now (`found` by the container's index).
    ///
    /// A container that runs or ran counts as running: waiting for it tells the rest.
    pub(crate) fn adopt(&mut self, found: impl Fn(usize) -> Option<Found>, now: Now) {
        for index in 0..self.containers.len() {
            let begun = matches!(found(index), Some(Found::Begun));
            let container = &mut self.containers[index];
            match container.phase {
                Phase::Pending | Phase::Launching if begun => self.launched(index, now),
                Phase::Launching => container.phase = Phase::Pending,
                Phase::Running => {
                    let age = now.wall.saturating_sub(container.started_at);
                    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
                    if let Some(health) = container.health.as_mut() {
                        health.resume(now.monotonic, age);
                    }
                }
                Phase::Pending | Phase::Stopped | Phase::Released => {}
            }
        }
        self.settle(now);
    }

    fn fail(&mut self, index: usize, reason: String) {
        let container = &mut self.containers[index];
        container.phase = Phase::Stopped;
        container.reason.clone_from(&reason);
        if container.essential() && !self.is_ending() {
            self.cause = Some(StopCause::failed_to_start(reason));
        }
    }

    /// Draws the conclusions of everything known so far.
    fn settle(&mut self, now: Now) {
        let essential_gone = self
            .containers
            .iter()
            .any(|c| c.essential() && c.phase >= Phase::Stopped);
        if (essential_gone || self.has_stopped()) && !self.is_ending() {
            self.cause = Some(StopCause {
                code: StopCode::EssentialContainerExited,
                reason: ESSENTIAL_EXITED.to_owned(),
            });
        }
        if essential_gone && self.times.started_at != 0 && self.times.execution_stopped_at == 0 {
            self.times.execution_stopped_at = now.wall;
        }
        if self.is_ending() {
            let pending = |c: &&mut Container| c.phase == Phase::Pending;
            for container in self.containers.iter_mut().filter(pending) {
                // Stopped, not released: an interrupted launch may have left something.
                container.phase = Phase::Stopped;
            }
        }
        let launched = self.containers.iter().all(|c| c.phase >= Phase::Running);
        let ran = self.containers.iter().any(|c| c.started_at != 0);
        if launched && ran && self.times.started_at == 0 && !self.failed_to_start() {
            self.times.started_at = now.wall;
        }
        if self.has_stopped() && self.times.stopped_at == 0 {
            self.times.stopped_at = now.wall;
        }
    }

    fn failed_to_start(&self) -> bool {
        self.containers
            .iter()
            .any(|c| c.essential() && c.started_at == 0)
    }
}

fn has_been_past_pending(desired: &DesiredTask) -> bool {
    !matches!(
        desired.known_status.as_str(),
        "" | "PROVISIONING" | "PENDING"
    )
}

impl Container {
    /// Returns the health check of the definition, if it has one.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        self.definition.health_check.as_ref().and_then(Check::of)
    }
}

impl StopCause {
    fn failed_to_start(reason: String) -> Self {
        Self {
            code: StopCode::TaskFailedToStart,
            reason,
        }
    }
}

impl Wanted {
    /// Returns what a desired task asks for.
    #[must_use]
    pub(crate) fn of(desired: &DesiredTask) -> Self {
        match desired.desired_status.as_str() {
            "STOPPED" => Self::Stopped,
            _ => Self::Running,
        }
    }
}

#[cfg(test)]
mod tests;
