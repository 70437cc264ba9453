//! A container runtime that behaves, for tests and for the simulation of whole clusters.
//!
//! Containers are timers. How one behaves hangs on its image; the default runs until it is told to
//! stop. Clones share one "machine", so an agent can be dropped and another one can adopt the rest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{ContainerId, Exit, Found, Launch, Runtime, RuntimeError};
use crate::task::{Attachment, Image, TaskId};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// How the containers of an image behave.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Why the image cannot be pulled.
    pub pull_error: Option<String>,
    /// Why a container of it does not start.
    pub start_error: Option<String>,
    pub start_takes: Duration,
    /// Ends by itself after a time.
    pub exits: Option<(Duration, Exit)>,
    pub ignores_stop_signal: bool,
    /// What its health check says.
    pub sick: bool,
}

#[derive(Debug, Default)]
struct Machine {
    reachable: bool,
    images: BTreeMap<String, Behaviour>,
    containers: BTreeMap<ContainerId, (Behaviour, watch::Sender<Option<Exit>>)>,
    launches: usize,
}

/// A machine without real containers.
#[derive(Debug, Clone)]
pub struct Fake {
    machine: Arc<Mutex<Machine>>,
}

impl Default for Fake {
    fn default() -> Self {
        let machine = Machine {
            reachable: true,
            ..Machine::default()
        };
        Self {
            machine: Arc::new(Mutex::new(machine)),
        }
    }
}

impl Fake {
    /// Says how containers of an image behave from now on.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.lock().images.insert(image.to_owned(), behaviour);
    }

    /// Makes the runtime answer or not; its containers do not care.
    pub fn reachable(&self, reachable: bool) {
        self.lock().reachable = reachable;
    }

    /// Ends a container as if its process had ended.
    pub fn exit(&self, id: &ContainerId, exit: Exit) {
        if let Some((_, ended)) = self.lock().containers.get(id) {
            ended.send_replace(Some(exit));
        }
    }

    /// Returns the containers whose process runs.
    #[must_use]
    pub fn running(&self) -> Vec<ContainerId> {
        let machine = self.lock();
        let running = machine.containers.iter();
        let running = running.filter(|(_, (_, ended))| ended.borrow().is_none());
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Returns how many processes have ever been started.
    #[must_use]
    pub fn launches(&self) -> usize {
        self.lock().launches
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) -> Result<MutexGuard<'_, Machine>, RuntimeError> {
        let machine = self.lock();
        if machine.reachable {
            Ok(machine)
        } else {
            Err(RuntimeError::Unavailable("connection refused".into()))
        }
    }
}

impl Runtime for Fake {
    async fn restore(
        &self,
        kept: &BTreeMap<ContainerId, Attachment>,
    ) -> Result<BTreeMap<ContainerId, Found>, RuntimeError> {
        let mut machine = self.ask()?;
        machine.containers.retain(|id, _| kept.contains_key(id));
        let found = machine.containers.keys();
        Ok(found.map(|id| (id.clone(), Found::Begun)).collect())
    }

    async fn pull(&self, image: &str) -> Result<Image, RuntimeError> {
        let behaviour = self.ask()?.images.get(image).cloned().unwrap_or_default();
        match behaviour.pull_error {
            Some(cause) => Err(RuntimeError::Pull {
                image: image.to_owned(),
                cause: cause.into(),
            }),
            None => Ok(Image {
                digest: format!("sha256:{image}"),
                stop_signal: SIGTERM,
            }),
        }
    }

    async fn launch(&self, launch: &Launch) -> Result<(), RuntimeError> {
        let image = launch.container.definition.image.clone();
        let image = image.unwrap_or_default();
        let behaviour = self.ask()?.images.get(&image).cloned().unwrap_or_default();
        tokio::time::sleep(behaviour.start_takes).await;
        if let Some(cause) = behaviour.start_error.clone() {
            return Err(RuntimeError::Start {
                container: launch.id.clone(),
                cause: cause.into(),
            });
        }
        let mut machine = self.ask()?;
        if machine.containers.contains_key(&launch.id) {
            return Ok(());
        }
        machine.launches += 1;
        let (ended, _) = watch::channel(None);
        if let Some((after, exit)) = behaviour.exits {
            let ended = ended.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                ended.send_if_modified(|last| last.is_none() && last.replace(exit).is_none());
            });
        }
        machine
            .containers
            .insert(launch.id.clone(), (behaviour, ended));
        Ok(())
    }

    async fn wait(&self, id: &ContainerId) -> Exit {
        let ended = self.lock().containers.get(id).map(|(_, e)| e.subscribe());
        let Some(mut ended) = ended else {
            return Exit::Vanished;
        };
        let exit = ended.wait_for(Option::is_some).await;
        exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Vanished)
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), RuntimeError> {
        if let Some((behaviour, ended)) = self.ask()?.containers.get(id)
            && (signal == SIGKILL || !behaviour.ignores_stop_signal)
        {
            let code = 128 + signal;
            let exit = Exit::Code {
                code,
                out_of_memory: false,
            };
            ended.send_if_modified(|last| last.is_none() && last.replace(exit).is_none());
        }
        Ok(())
    }

    async fn probe(
        &self,
        id: &ContainerId,
        _command: &[String],
        _timeout: Duration,
    ) -> Result<bool, RuntimeError> {
        let machine = self.ask()?;
        let container = machine.containers.get(id);
        Ok(container.is_some_and(|(behaviour, _)| !behaviour.sick))
    }

    async fn release(&self, id: &ContainerId, _network: &Attachment) -> Result<(), RuntimeError> {
        self.ask()?.containers.remove(id);
        Ok(())
    }

    async fn remove(&self, task: &TaskId, containers: usize) -> Result<(), RuntimeError> {
        let mut machine = self.ask()?;
        for index in 0..containers {
            machine.containers.remove(&ContainerId::new(task, index));
        }
        Ok(())
    }
}
