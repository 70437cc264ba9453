//! Turns an action into a future that carries it out.
//!
//! What is heavy is bounded: launches so that runc does not fight itself for the cores, releases and
//! removals by fewer, so that what is old never delays what is new.

use std::future::Future;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use super::{Engine, now};
use crate::allocation::{AllocationError, Taken};
use crate::network::is_free;
use crate::plan::Action;
use crate::reason;
use crate::records::RecordError;
use crate::runtime::{Exit, Launch, Runtime, RuntimeError};
use crate::task::{Image, Task};

/// What came of an action.
#[derive(Debug)]
pub(super) enum Outcome {
    Exited(Exit),
    Signalled(Result<(), RuntimeError>),
    Pulled(Vec<Result<Image, RuntimeError>>),
    Launched(Result<(), RuntimeError>),
    Probed(Result<bool, RuntimeError>),
    Released(Result<(), RuntimeError>),
    Removed(Result<(), RuntimeError>),
    Forgotten(Result<(), RecordError>),
}

pub(super) type Effect = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// How many heavy effects run at once.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    launches: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    cleanups: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let limit = |permits| Arc::new(Semaphore::new(permits));
        Self {
            launches: limit(2 * cores),
            probes: limit(2 * cores),
            cleanups: limit(cores),
        }
    }
}

impl<R: Runtime> Engine<R> {
    /// Returns the future for an action, or `None` when it cannot begin; the task then says why.
    pub(super) fn effect(&mut self, action: &Action) -> Option<Effect> {
        let runtime = Arc::clone(&self.runtime);
        let limits = self.limits.clone();
        let task = self.tasks.get_mut(action.task())?;
        Some(match action {
            Action::Watch { container, .. } => {
                let id = task.container_id(*container);
                Box::pin(async move { Outcome::Exited(runtime.wait(&id).await) })
            }
            Action::Signal {
                container, signal, ..
            } => {
                let (id, signal) = (task.container_id(*container), *signal);
                Box::pin(async move { Outcome::Signalled(runtime.signal(&id, signal).await) })
            }
            Action::Kill { container, .. } => {
                let id = task.container_id(*container);
                let kill = nix::sys::signal::Signal::SIGKILL as i32;
                Box::pin(async move { Outcome::Signalled(runtime.signal(&id, kill).await) })
            }
            Action::Pull { .. } => {
                task.pull_begins(now());
                self.dirty.insert(task.definition.id.clone());
                pull(runtime, task)
            }
            Action::Launch { container, .. } => {
                let launch = self.prepare(action, *container)?;
                Box::pin(async move {
                    let _permit = enter(&limits.launches).await;
                    Outcome::Launched(runtime.launch(&launch).await)
                })
            }
            Action::Probe { container, .. } => {
                let id = task.container_id(*container);
                let check = task.containers[*container].check()?;
                Box::pin(async move {
                    let _permit = enter(&limits.probes).await;
                    let passed = runtime.probe(&id, &check.command, check.timeout).await;
                    Outcome::Probed(passed)
                })
            }
            Action::Release { container, .. } => {
                let id = task.container_id(*container);
                let network = task.containers[*container].network.clone();
                Box::pin(async move {
                    let _permit = enter(&limits.cleanups).await;
                    let network = network.unwrap_or_default();
                    Outcome::Released(runtime.release(&id, &network).await)
                })
            }
            Action::Remove { task: id } => {
                let (id, containers) = (id.clone(), task.containers.len());
                Box::pin(async move {
                    let _permit = enter(&limits.cleanups).await;
                    Outcome::Removed(runtime.remove(&id, containers).await)
                })
            }
            Action::Forget { task: id } => {
                let (id, records) = (id.clone(), self.records.clone());
                Box::pin(async move {
                    let _permit = enter(&limits.cleanups).await;
                    Outcome::Forgotten(records.forget(&id))
                })
            }
        })
    }

    /// Chooses a container's place in the network, and writes it down before anything exists.
    fn prepare(&mut self, action: &Action, container: usize) -> Option<Launch> {
        let id = action.task();
        let taken = Taken::by(self.tasks.values());
        let task = self.tasks.get_mut(id)?;
        let mappings = &task.containers[container].definition.port_mappings;
        let mode = task.definition.network_mode;
        let attached = match task.containers[container].network.clone() {
            // An earlier launch came to nothing.
            Some(network) => Ok(network),
            None => self.pool.attach(mode, mappings, &taken, is_free),
        };
        let network = match attached {
            Ok(network) => network,
            Err(AllocationError::Held(_)) => {
                self.pause(action.clone());
                return None;
            }
            Err(error) => {
                let reason = format!("CannotStartContainerError: {error}");
                task.launch_failed(container, reason, now());
                self.dirty.insert(id.clone());
                return None;
            }
        };
        let image = task.containers[container].image.clone()?;
        task.launch_begins(container, network.clone());
        let launch = Launch {
            id: task.container_id(container),
            task: task.definition.clone(),
            container: task.containers[container].clone(),
            image,
            network,
            directory: self.records.container(id, container),
        };
        if let Err(error) = self.records.keep(task) {
            // Without a record the container could not be found again.
            warn!(task = %id, error = reason::chain(&error), "cannot launch without a record");
            task.launch_interrupted(container, now());
            self.pause(action.clone());
            return None;
        }
        Some(launch)
    }
}

fn pull<R: Runtime>(runtime: Arc<R>, task: &Task) -> Effect {
    let definitions = task.containers.iter().map(|c| &c.definition);
    let names: Vec<String> = definitions
        .map(|definition| definition.image.clone().unwrap_or_default())
        .collect();
    Box::pin(async move {
        let pulls = names.iter().map(|name| runtime.pull(name));
        Outcome::Pulled(join_all(pulls).await)
    })
}

/// Waits for a place. The semaphores are never closed, so there is one in the end.
async fn enter(limit: &Semaphore) -> Option<SemaphorePermit<'_>> {
    limit.acquire().await.ok()
}
