//! Who this agent is, kept in its data directory: its container instance id, and the control plane
//! that it belongs to since the first contact.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use roadstead_client::durable;

const INSTANCE: &str = "container-instance-id";
const CONTROL_PLANE: &str = "control-plane-id";
const LOCK: &str = "lock";

/// Why an agent does not know who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot {operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} does not hold 32 hex digits")]
    Damaged { path: PathBuf },
    #[error("another agent works in {directory}")]
    InUse { directory: PathBuf },
}

/// An agent's identity. While it exists no other agent works in the same directory.
#[derive(Debug)]
pub(crate) struct Identity {
    directory: PathBuf,
    pub(crate) container_instance_id: String,
    control_plane_id: Option<String>,
    _lock: Flock<File>,
}

impl Identity {
    /// Returns the identity kept in a directory; a new one if there is none.
    pub(crate) fn load(directory: &Path) -> Result<Self, IdentityError> {
        let lock = lock(directory)?;
        let path = directory.join(INSTANCE);
        let container_instance_id = match read(&path)? {
            Some(id) if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) => id,
            Some(_) => return Err(IdentityError::Damaged { path }),
            None => {
                let id = format!("{:032x}", rand::random::<u128>());
                write(&path, &id)?;
                id
            }
        };
        Ok(Self {
            container_instance_id,
            control_plane_id: read(&directory.join(CONTROL_PLANE))?,
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// Tells whether a control plane is the one that this agent belongs to. The first one is.
    pub(crate) fn belongs_to(&mut self, control_plane_id: &str) -> Result<bool, IdentityError> {
        if let Some(own) = &self.control_plane_id {
            return Ok(own == control_plane_id);
        }
        write(&self.directory.join(CONTROL_PLANE), control_plane_id)?;
        self.control_plane_id = Some(control_plane_id.to_owned());
        Ok(true)
    }
}

/// Returns the id of the container instance that an agent in this directory is; made at the first call.
///
/// # Errors
/// Fails when an agent is running there, or the directory cannot be used.
pub fn container_instance_id(directory: &Path) -> Result<String, IdentityError> {
    Ok(Identity::load(directory)?.container_instance_id)
}

/// Takes a data directory for itself; it is made if need be.
pub(crate) fn lock(directory: &Path) -> Result<Flock<File>, IdentityError> {
    fs::create_dir_all(directory).map_err(|cause| file("create", directory, cause))?;
    let path = directory.join(LOCK);
    let opened = File::create(&path).map_err(|cause| file("create", &path, cause))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|_| IdentityError::InUse {
        directory: directory.to_owned(),
    })
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(file("read", path, cause)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    let written = durable::replace(path, format!("{text}\n").as_bytes());
    written.map_err(|cause| file("write", path, cause))
}

fn file(operation: &'static str, path: &Path, cause: io::Error) -> IdentityError {
    IdentityError::File {
        operation,
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::load(directory.path()).unwrap();
        let id = first.container_instance_id.clone();
        drop(first);
        let second = Identity::load(directory.path()).unwrap();
        assert_eq!((id.len(), second.container_instance_id), (32, id));
    }

    #[test]
    fn the_first_control_plane_is_the_only_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut identity = Identity::load(directory.path()).unwrap();
        assert!(identity.belongs_to("one").unwrap());
        drop(identity);
        let mut identity = Identity::load(directory.path()).unwrap();
        assert!(!identity.belongs_to("two").unwrap());
        assert!(identity.belongs_to("one").unwrap());
    }

    #[test]
    fn two_agents_do_not_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Identity::load(directory.path()).unwrap();
        let second = Identity::load(directory.path());
        assert!(matches!(second, Err(IdentityError::InUse { .. })));
    }
}
