//! What the agent needs of a container runtime: containerd, or a fake that behaves like it.
//!
//! A runtime carries out; it decides nothing about tasks. Every operation may be repeated after a
//! failure, because an agent that was killed in the middle of one does exactly that.

pub mod containerd;
pub mod fake;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use crate::task::{Attachment, Container, Definition, Image, TaskId};

/// A container's identity in the runtime: the task's id and the container's place in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    task: TaskId,
    index: usize,
}

impl ContainerId {
    /// Returns the identity of the container with this index in the task's definition.
    #[must_use]
    pub fn new(task: &TaskId, index: usize) -> Self {
        let task = task.clone();
        Self { task, index }
    }

    /// Reads an identity as it is written; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (task, index) = text.split_once('-')?;
        let task = TaskId::parse(task)?;
        let index = index.parse().ok()?;
        Some(Self { task, index })
    }

    /// Returns the task that the container belongs to.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.task
    }

    /// Returns the container's index in the task's definition.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.task, self.index)
    }
}

/// Everything that is needed to launch a container.
#[derive(Debug, Clone)]
pub struct Launch {
    pub id: ContainerId,
    pub task: Definition,
    /// With its image and its place in the network.
    pub container: Container,
    pub image: Image,
    pub network: Attachment,
    /// Where its logs and small files go.
    pub directory: PathBuf,
}

/// What a runtime has of a container after a restart of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It exists, but its process never ran.
    Prepared,
    /// Its process runs, or ran and waits to be asked how it ended.
    Begun,
}

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code {
        code: i32,
        out_of_memory: bool,
    },
    /// Nobody can tell any more.
    Vanished,
}

/// What a runtime says went wrong, with its own causes.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a runtime did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The only error that is worth another attempt.
    #[error("the container runtime cannot be reached")]
    Unavailable(#[source] Cause),
    #[error("cannot pull image {image}")]
    Pull {
        image: String,
        #[source]
        cause: Cause,
    },
    #[error("cannot connect container {container} to the network")]
    Network {
        container: ContainerId,
        #[source]
        cause: Cause,
    },
    #[error("cannot create container {container}")]
    Create {
        container: ContainerId,
        #[source]
        cause: Cause,
    },
    #[error("cannot start container {container}")]
    Start {
        container: ContainerId,
        #[source]
        cause: Cause,
    },
    /// Container `container` was not `transition` (created, started) in the time that it may take.
    #[error("container {container} was not {transition} in {waited:?}")]
    Timeout {
        container: ContainerId,
        transition: &'static str,
        waited: Duration,
        #[source]
        cause: Cause,
    },
    #[error("cannot {operation} container {container}")]
    Operate {
        operation: &'static str,
        container: ContainerId,
        #[source]
        cause: Cause,
    },
    #[error("cannot restore what the last agent left")]
    Restore(#[source] Cause),
}

/// A container runtime.
pub trait Runtime: Send + Sync + 'static {
    /// Prepares for the tasks that exist already, and returns what there is of each container.
    /// Containers that none of them has are removed.
    fn restore(
        &self,
        kept: &BTreeMap<ContainerId, Attachment>,
    ) -> impl Future<Output = Result<BTreeMap<ContainerId, Found>, RuntimeError>> + Send;

    /// Makes an image ready to be launched, from its registry or from here.
    fn pull(&self, image: &str) -> impl Future<Output = Result<Image, RuntimeError>> + Send;

    /// Creates and starts a container. One that runs already is left alone.
    fn launch(&self, launch: &Launch) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Waits until the process of a container that was launched has ended.
    fn wait(&self, id: &ContainerId) -> impl Future<Output = Exit> + Send;

    /// Sends a signal to the first process of a container. One that is gone is a success.
    fn signal(
        &self,
        id: &ContainerId,
        signal: i32,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Runs a command in a container; tells whether it ended with 0 within the time.
    fn probe(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> impl Future<Output = Result<bool, RuntimeError>> + Send;

    /// Gives back the process, network and ports of a stopped container; its files stay.
    fn release(
        &self,
        id: &ContainerId,
        network: &Attachment,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes all that is left of a task's containers but the agent's own files.
    fn remove(
        &self,
        task: &TaskId,
        containers: usize,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_is_written() {
        let id = ContainerId::new(&TaskId::parse("abc123").unwrap(), 7);
        assert_eq!(id.to_string(), "abc123-7");
        assert_eq!(ContainerId::parse("abc123-7"), Some(id));
        assert_eq!(ContainerId::parse("somebody-else-s"), None);
    }
}
