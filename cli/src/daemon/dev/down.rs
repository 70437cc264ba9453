//! `ctl dev down`: leaves nothing behind.

use std::path::Path;

use super::agent_dir;
use crate::daemon::{agent, data_dir};
use crate::error::Error;
use crate::{config, logging, output};

/// Stops the process that has the data directory, then removes containers, networks, a containerd
/// that was started for it, and the directory itself.
///
/// # Errors
/// Fails when the directory is not one of `ctl dev`, the process does not go, or a removal fails.
pub(super) fn run(data_dir: &Path) -> Result<(), Error> {
    logging::start(logging::Level::WARN)?;
    if !data_dir.exists() {
        return output::write_line(&format!(
            "{} is not there: nothing to remove",
            data_dir.display()
        ));
    }
    let record = agent::record_path(&agent_dir(data_dir));
    if !record.exists() {
        return Err(Error::Unfit(format!(
            "{} is no data directory of `ctl dev`: {} is missing",
            data_dir.display(),
            record.display()
        )));
    }
    let claim = data_dir::take_over(data_dir).map_err(anyhow::Error::from)?;
    let mut settings: agent::Settings = config::read_file(&record)?;
    settings.data_dir = Some(agent_dir(data_dir));
    agent::erase(&settings.resolve()?)?;
    std::fs::remove_dir_all(data_dir).map_err(|error| {
        let context = format!("cannot remove {}", data_dir.display());
        Error::Daemon(anyhow::Error::from(error).context(context))
    })?;
    drop(claim);
    output::write_line(&format!(
        "{} and all that ran for it are gone",
        data_dir.display()
    ))
}
