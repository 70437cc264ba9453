//! Control groups: one for each task with the task's hard limits, and below it one for each container,
//! which the OCI runtime makes. Works on version 1 and version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::ContainerId;
use crate::task::{Definition, TaskId};

const ROOT: &str = "/sys/fs/cgroup";
/// The period of the CPU quota in microseconds (ecs-agent: 100 ms).
const PERIOD: u64 = 100_000;
/// The kernel takes no smaller quota.
const SMALLEST_QUOTA: u64 = 1_000;

/// A limit cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub(super) struct CgroupError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// The control groups of one agent.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    root: PathBuf,
    parent: String,
    unified: bool,
}

impl Cgroups {
    /// Returns the control groups below `/PARENT`, on the version that this machine has.
    #[must_use]
    pub(super) fn new(parent: &str) -> Self {
        Self::below(Path::new(ROOT), parent)
    }

    fn below(root: &Path, parent: &str) -> Self {
        Self {
            root: root.to_owned(),
            parent: parent.to_owned(),
            unified: root.join("cgroup.controllers").exists(),
        }
    }

    /// Tells whether this machine has version 2.
    #[must_use]
    pub(super) fn is_unified(&self) -> bool {
        self.unified
    }

    /// Returns a container's control group, as the OCI runtime wants it.
    #[must_use]
    pub(super) fn path(&self, id: &ContainerId) -> String {
        format!("/{}/{}/{id}", self.parent, id.task())
    }

    /// Sets a task's hard limits; without any, the OCI runtime makes the task's group by itself.
    ///
    /// # Errors
    /// Fails when the kernel refuses a limit.
    pub(super) fn limit(&self, task: &Definition) -> Result<(), CgroupError> {
        let group = format!("{}/{}", self.parent, task.id);
        if self.unified {
            self.limit_unified(task, &group)
        } else {
            self.limit_by_controller(task, &group)
        }
    }

    /// Tells whether the kernel has killed a process of a container for memory.
    #[must_use]
    pub(super) fn was_out_of_memory(&self, id: &ContainerId) -> bool {
        let group = self.path(id);
        let group = group.trim_start_matches('/');
        let file = if self.unified {
            self.root.join(group).join("memory.events")
        } else {
            let memory = self.root.join("memory").join(group);
            memory.join("memory.oom_control")
        };
        // No file: no memory controller, so no limit that could have been met.
        fs::read_to_string(file).is_ok_and(|text| oom_kills(&text) > 0)
    }

    /// Removes a task's group, or with `None` the agent's own. What is in use stays.
    pub(super) fn remove(&self, task: Option<&TaskId>) {
        let group = match task {
            Some(task) => format!("{}/{task}", self.parent),
            None => self.parent.clone(),
        };
        let hierarchies = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let hierarchies = hierarchies.map(|entry| entry.path());
        for hierarchy in hierarchies.chain([self.root.clone()]) {
            // Most hierarchies have none; an empty group that stays costs nothing and goes with its parent.
            let _ = fs::remove_dir(hierarchy.join(&group));
        }
    }

    fn limit_unified(&self, task: &Definition, group: &str) -> Result<(), CgroupError> {
        if task.cpu_units == 0 && task.memory_mib == 0 {
            return Ok(());
        }
        make(&self.root.join(group))?;
        for level in [self.root.clone(), self.root.join(&self.parent)] {
            write(&level.join("cgroup.subtree_control"), "+cpu +memory")?;
        }
        let group = self.root.join(group);
        if task.cpu_units > 0 {
            let quota = quota(task.cpu_units);
            write(&group.join("cpu.max"), &format!("{quota} {PERIOD}"))?;
        }
        if task.memory_mib > 0 {
            write(&group.join("memory.max"), &bytes(task.memory_mib))?;
        }
        Ok(())
    }

    fn limit_by_controller(&self, task: &Definition, group: &str) -> Result<(), CgroupError> {
        if task.cpu_units > 0 {
            let group = self.root.join("cpu").join(group);
            make(&group)?;
            write(&group.join("cpu.cfs_period_us"), &PERIOD.to_string())?;
            let quota = quota(task.cpu_units).to_string();
            write(&group.join("cpu.cfs_quota_us"), &quota)?;
        }
        if task.memory_mib > 0 {
            let group = self.root.join("memory").join(group);
            make(&group)?;
            write(
                &group.join("memory.limit_in_bytes"),
                &bytes(task.memory_mib),
            )?;
        }
        Ok(())
    }
}

fn quota(cpu_units: u32) -> u64 {
    (u64::from(cpu_units) * PERIOD / 1024).max(SMALLEST_QUOTA)
}

fn bytes(mib: u32) -> String {
    (u64::from(mib) << 20).to_string()
}

/// Reads the counter `oom_kill` of memory.events (version 2) or memory.oom_control (version 1).
fn oom_kills(text: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn make(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|cause| CgroupError {
        path: path.to_owned(),
        cause,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|cause| CgroupError {
        path: path.to_owned(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Definition {
        Definition {
            cpu_units: 512,
            memory_mib: 64,
            ..crate::task::fixture::task("a1", &["web"]).definition
        }
    }

    fn file(root: &Path, path: &str) -> String {
        fs::read_to_string(root.join(path)).unwrap()
    }

    #[test]
    fn limits_are_written_as_version_1_wants_them() {
        let root = tempfile::tempdir().unwrap();
        Cgroups::below(root.path(), "rs").limit(&task()).unwrap();
        assert_eq!(file(root.path(), "cpu/rs/a1/cpu.cfs_quota_us"), "50000");
        let memory = "memory/rs/a1/memory.limit_in_bytes";
        assert_eq!(file(root.path(), memory), "67108864");
    }

    #[test]
    fn limits_are_written_as_version_2_wants_them() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
        Cgroups::below(root.path(), "rs").limit(&task()).unwrap();
        assert_eq!(file(root.path(), "rs/a1/cpu.max"), "50000 100000");
        assert_eq!(file(root.path(), "rs/a1/memory.max"), "67108864");
        assert_eq!(
            file(root.path(), "rs/cgroup.subtree_control"),
            "+cpu +memory"
        );
    }

    #[test]
    fn kills_for_memory_are_counted_in_both_versions() {
        assert_eq!(oom_kills("low 0\noom 3\noom_kill 2\n"), 2);
        assert_eq!(
            oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            1
        );
        assert_eq!(oom_kills(""), 0);
    }
}
