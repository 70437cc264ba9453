//! The composition roots: each file turns settings into a role's configuration and runs the role.
//!
//! Settings are read as written (file, then environment, then flags), resolved and checked before
//! anything is bound, and handed to the role by value. No role's logic lives here.

pub(crate) mod agent;
pub(crate) mod controlplane;
mod data_dir;
pub(crate) mod dev;
pub(crate) mod image;
pub(crate) mod lb;
mod open_files;
mod stop;
mod succession;
mod systemd;

use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::error::Error;

/// Runs the log writer of one container until the container ends.
///
/// # Errors
/// Fails when the log cannot be written.
pub(crate) fn container_logger(directory: &Path) -> Result<(), Error> {
    roadstead_agent::container_logger(directory).map_err(|error| anyhow::Error::from(error).into())
}

/// Roles hand paths to other processes, whose working directory is another.
fn absolute(key: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|cause| ConfigError::Value {
        key,
        value: path.display().to_string(),
        cause: cause.into(),
    })
}
