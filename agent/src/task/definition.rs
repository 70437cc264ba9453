//! The part of a task that never changes: what the control plane sent, checked.

use std::fmt;

use roadstead_client::proto::agent::DesiredTask;
use serde::{Deserialize, Serialize};

/// A task's id, safe as a part of a path and of a containerd id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(String);

impl TaskId {
    /// Returns the id, or `None` unless it consists of 1 to 64 letters and digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sound.then(|| Self(text.to_owned()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How the containers of a task reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Each container has a network namespace and an address of its own.
    Bridge,
    /// The containers use the machine's network.
    Host,
}

impl NetworkMode {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "bridge" | "" => Some(Self::Bridge),
            "host" => Some(Self::Host),
            _ => None,
        }
    }
}

/// What never changes about a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub id: TaskId,
    pub arn: String,
    pub cluster: String,
    pub family: String,
    pub revision: u32,
    pub group: String,
    pub network_mode: NetworkMode,
    /// Hard limits of the whole task; 0 for none.
    pub cpu_units: u32,
    pub memory_mib: u32,
}

/// Why a task cannot be taken on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DefinitionError {
    #[error("task id `{0}` is not made of letters and digits")]
    Id(String),
    #[error("task {task} has the network mode `{mode}`, which this agent does not know")]
    NetworkMode { task: TaskId, mode: String },
}

impl TryFrom<&DesiredTask> for Definition {
    type Error = DefinitionError;

    fn try_from(desired: &DesiredTask) -> Result<Self, DefinitionError> {
        let id = TaskId::parse(&desired.task_id)
            .ok_or_else(|| DefinitionError::Id(desired.task_id.clone()))?;
        let mode = &desired.network_mode;
        let network_mode =
            NetworkMode::parse(mode).ok_or_else(|| DefinitionError::NetworkMode {
                task: id.clone(),
                mode: mode.clone(),
            })?;
        Ok(Self {
            id,
            arn: desired.task_arn.clone(),
            cluster: desired.cluster.clone(),
            family: desired.family.clone(),
            revision: desired.revision,
            group: desired.group.clone(),
            network_mode,
            cpu_units: desired.cpu_units,
            memory_mib: desired.memory_mib,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_leave_its_directory_is_refused() {
        for text in ["", "..", "a/b", "a.b", &"x".repeat(65)] {
            assert_eq!(TaskId::parse(text), None, "{text}");
        }
        assert!(TaskId::parse("0123456789abcdef0123456789abcdef").is_some());
    }

    #[test]
    fn an_unknown_network_mode_is_refused_by_name() {
        let desired = DesiredTask {
            task_id: "a1".into(),
            network_mode: "awsvpc".into(),
            ..DesiredTask::default()
        };
        assert_eq!(
            Definition::try_from(&desired).unwrap_err().to_string(),
            "task a1 has the network mode `awsvpc`, which this agent does not know"
        );
    }
}
