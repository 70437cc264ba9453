//! Keeps each task in a small file, so that the next agent goes on where this one stopped.
//!
//! A record is written before a container is created, and it is on the disk then: it must survive a killed
//! agent, and a power cut must not leave half of one. It outlives its task with the log, for who asks why
//! a task failed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roadstead_client::durable;
use tracing::warn;

use crate::task::{Task, TaskId};

const RECORD: &str = "record.json";

/// The directory of the tasks' records, small files and logs.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    directory: PathBuf,
}

/// Why a record was not kept or forgotten.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}")]
pub struct RecordError {
    operation: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Records {
    /// Opens the records below a directory, which is made if need be.
    ///
    /// # Errors
    /// Fails when the directory cannot be made.
    pub(crate) fn open(directory: PathBuf) -> Result<Self, RecordError> {
        fs::create_dir_all(&directory).map_err(|cause| RecordError {
            operation: "create",
            path: directory.clone(),
            cause,
        })?;
        Ok(Self { directory })
    }

    /// Returns every task that was kept. A record that cannot be read is left out, and its task is
    /// lost; that is said in the log.
    ///
    /// # Errors
    /// Fails when the directory cannot be read.
    pub(crate) fn load(&self) -> Result<BTreeMap<TaskId, Task>, RecordError> {
        let error = |cause| RecordError {
            operation: "read",
            path: self.directory.clone(),
            cause,
        };
        let mut tasks = BTreeMap::new();
        for entry in fs::read_dir(&self.directory).map_err(error)? {
            let directory = entry.map_err(error)?.path();
            let path = directory.join(RECORD);
            match read(&path) {
                Ok(task) => {
                    tasks.insert(task.definition.id.clone(), task);
                }
                // The record goes first when a task is forgotten: this is the rest.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    fs::remove_dir_all(&directory).map_err(error)?;
                }
                Err(cause) => {
                    warn!(path = %path.display(), %cause, "the record of a task is unusable");
                }
            }
        }
        Ok(tasks)
    }

    /// Keeps a task as it is now.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub(crate) fn keep(&self, task: &Task) -> Result<(), RecordError> {
        let path = self.task(&task.definition.id).join(RECORD);
        let written = serde_json::to_vec(task).map_err(io::Error::from);
        let written = written.and_then(|record| durable::replace(&path, &record));
        written.map_err(|cause| RecordError {
            operation: "write",
            path,
            cause,
        })
    }

    /// Returns a task as it was kept last; `None` when there is no such task.
    ///
    /// # Errors
    /// Fails when the record cannot be read.
    pub(crate) fn find(&self, task: &TaskId) -> Result<Option<Task>, RecordError> {
        let path = self.task(task).join(RECORD);
        match read(&path) {
            Ok(task) => Ok(Some(task)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(RecordError {
                operation: "read",
                path,
                cause,
            }),
        }
    }

    /// Forgets a task, with its logs and small files.
    ///
    /// # Errors
    /// Fails when a file cannot be removed.
    pub(crate) fn forget(&self, task: &TaskId) -> Result<(), RecordError> {
        let path = self.task(task);
        let forgotten = fs::remove_file(path.join(RECORD));
        match forgotten.and_then(|()| fs::remove_dir_all(&path)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(RecordError {
                operation: "remove",
                path,
                cause,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns the directory of a container's log and small files.
    #[must_use]
    pub(crate) fn container(&self, task: &TaskId, index: usize) -> PathBuf {
        self.task(task).join(index.to_string())
    }

    fn task(&self, task: &TaskId) -> PathBuf {
        self.directory.join(task.as_str())
    }
}

fn read(path: &Path) -> io::Result<Task> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixture;

    #[test]
    fn a_kept_task_is_loaded_again_and_a_forgotten_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().join("tasks")).unwrap();
        let (one, two) = (fixture::task("a1", &["web"]), fixture::task("b2", &["web"]));
        records.keep(&one).unwrap();
        records.keep(&two).unwrap();
        assert_eq!(records.find(&two.definition.id).unwrap(), Some(two.clone()));
        records.forget(&two.definition.id).unwrap();
        assert_eq!(records.find(&two.definition.id).unwrap(), None);
        let loaded = records.load().unwrap();
        assert_eq!(loaded.into_values().collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn what_is_left_of_a_forgotten_task_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().to_owned()).unwrap();
        let rest = directory.path().join("a1/0");
        fs::create_dir_all(&rest).unwrap();
        assert!(records.load().unwrap().is_empty());
        assert!(!rest.exists());
    }

    #[test]
    fn a_torn_record_does_not_stop_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path().to_owned()).unwrap();
        records.keep(&fixture::task("a1", &["web"])).unwrap();
        fs::create_dir(directory.path().join("b2")).unwrap();
        fs::write(directory.path().join("b2").join(RECORD), "{\"defi").unwrap();
        assert_eq!(records.load().unwrap().len(), 1);
    }
}
