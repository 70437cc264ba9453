//! A task as the agent knows it: what it shall be, and how far it has come.
//!
//! A `Task` is plain data, kept in a file so that the next agent can go on with it. The methods here
//! are its only transitions; each takes what was seen and the time, and none does anything.
//!
//! ```text
//! container:  Pending ─► Launching ─► Running ─► Stopped ─► Released
//!                │            └── failed ──────────┘  ▲     (its process, network and port are gone;
//!                └── the task ends before it began ───┴──►   its log stays for a while)
//! ```

mod definition;
#[cfg(test)]
pub(crate) mod fixture;
mod transition;

use std::net::Ipv4Addr;
use std::time::Instant;

use roadstead_client::proto::ecs::ContainerDefinition;
use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::runtime::ContainerId;

pub(crate) use definition::{Definition, NetworkMode, TaskId};
pub(crate) use transition::Now;

/// What the control plane wants of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    Running,
    /// Stopped, and remembered until it leaves the desired set.
    Stopped,
    /// Stopped and removed: it is not in the desired set any more.
    Gone,
}

/// How far a container has come. It only grows, but for a launch that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    Pending,
    Launching,
    Running,
    Stopped,
    Released,
}

/// Why a task stopped by itself, in the words of ECS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopCause {
    pub code: StopCode,
    pub reason: String,
}

/// The stop codes that an agent gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
}

/// `tcp` or `udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// Returns the name as ECS and nftables write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a container and the host port that leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub protocol: Protocol,
    pub container_port: u16,
    pub host_port: u16,
}

/// A container's place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attachment {
    /// Its own address; absent in network mode `host`.
    pub address: Option<Ipv4Addr>,
    pub bindings: Vec<Binding>,
}

/// What must be remembered of a container's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of the manifest for this platform.
    pub digest: String,
    /// The signal that asks its process to stop.
    pub stop_signal: i32,
}

/// How far the stop of a container has come. Not kept: the next agent begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    #[default]
    NotBegun,
    /// The runtime refused to send the signal, for the first time then.
    Refused(Instant),
    Signalled(Instant),
    Killed,
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub definition: ContainerDefinition,
    pub phase: Phase,
    pub image: Option<Image>,
    pub network: Option<Attachment>,
    pub exit_code: Option<i32>,
    /// Why it stopped, where the exit code does not tell; empty otherwise.
    pub reason: String,
    /// Milliseconds since the epoch; 0 before.
    pub started_at: i64,
    /// Present when the definition has a health check and the container has been running.
    pub health: Option<Health>,
    #[serde(skip)]
    pub stop: Stop,
}

impl Container {
    /// Tells whether the task ends with this container; it does unless the definition says otherwise.
    #[must_use]
    pub fn essential(&self) -> bool {
        self.definition.essential.unwrap_or(true)
    }

    /// Returns the name in the task definition.
    #[must_use]
    pub fn name(&self) -> &str {
        self.definition.name.as_deref().unwrap_or_default()
    }

    fn new(definition: ContainerDefinition) -> Self {
        Self {
            definition,
            phase: Phase::Pending,
            image: None,
            network: None,
            exit_code: None,
            reason: String::new(),
            started_at: 0,
            health: None,
            stop: Stop::NotBegun,
        }
    }
}

/// Milliseconds since the epoch; 0 for what has not happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    pub pull_started_at: i64,
    pub pull_stopped_at: i64,
    pub started_at: i64,
    pub execution_stopped_at: i64,
    pub stopped_at: i64,
}

/// A task as the agent knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub definition: Definition,
    pub wanted: Wanted,
    pub containers: Vec<Container>,
    /// Set when the task stopped, or must stop, for a reason of its own.
    pub cause: Option<StopCause>,
    pub times: Times,
    /// The runtime has nothing of it any more.
    #[serde(default)]
    pub removed: bool,
}

impl Task {
    /// Returns the identity of one of its containers, the same after every restart.
    #[must_use]
    pub(crate) fn container_id(&self, container: usize) -> ContainerId {
        ContainerId::new(&self.definition.id, container)
    }

    /// Tells whether no container runs, or will.
    #[must_use]
    pub(crate) fn has_stopped(&self) -> bool {
        self.containers.iter().all(|c| c.phase >= Phase::Stopped)
    }

    /// Tells whether the task shall stop, or has.
    #[must_use]
    pub(crate) fn is_ending(&self) -> bool {
        self.wanted != Wanted::Running || self.cause.is_some()
    }

    /// Tells whether it is over and only its record and log are kept, for who asks.
    #[must_use]
    pub(crate) fn is_only_kept(&self) -> bool {
        self.removed && self.wanted == Wanted::Gone
    }

    /// Tells whether every image is here.
    #[must_use]
    pub(crate) fn has_images(&self) -> bool {
        self.containers
            .iter()
            .all(|c| c.image.is_some() || c.phase >= Phase::Stopped)
    }
}
