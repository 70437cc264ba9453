//! `ctl image`: images for the agent of this host, without a registry.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::{agent, dev};
use crate::config;
use crate::error::Error;
use crate::input::InputError;
use crate::output::{self, Format};
use crate::{logging, runtime};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import the images of an OCI archive; tasks then use them by name.
    Import {
        /// A tar with an OCI image layout, its images named in index.json.
        file: PathBuf,
        /// Data directory of the agent, or of `ctl dev`.
        #[arg(long, env = "ROADSTEAD_DATA_DIR", default_value = dev::DEFAULT_DATA_DIR)]
        data_dir: PathBuf,
        /// Name of the agent, where its data directory does not tell it.
        #[arg(long, env = "ROADSTEAD_NAME")]
        name: Option<String>,
        /// Socket of the agent's containerd, where its data directory does not tell it.
        #[arg(long, env = "ROADSTEAD_CONTAINERD", value_name = "SOCKET")]
        containerd: Option<PathBuf>,
    },
}

/// The names of the images that were imported.
#[derive(Debug, Serialize)]
struct Imported {
    images: Vec<String>,
}

/// Imports images.
///
/// # Errors
/// Fails when the archive cannot be read or containerd does not take it.
pub(crate) fn run(command: Command, format: Format) -> Result<(), Error> {
    logging::start(logging::Level::WARN)?;
    let Command::Import {
        file,
        data_dir,
        name,
        containerd,
    } = command;
    // Before containerd is asked for anything: a wrong path is the likeliest mistake.
    File::open(&file).map_err(|cause| InputError::Read {
        file: file.display().to_string(),
        cause,
    })?;
    let settings = meant(&data_dir, name, containerd)?;
    let config = settings.resolve()?;
    let images = runtime::block_on(import(&config, &file))?;
    match format {
        Format::Table => output::write_line(&images.join("\n")),
        Format::Json => output::write_line(&output::json(&Imported { images })?),
    }
}

async fn import(config: &roadstead_agent::Config, file: &Path) -> Result<Vec<String>, Error> {
    let imported = Box::pin(roadstead_agent::import_image(config, file)).await;
    imported.map_err(agent::failed)
}

/// Returns the settings of the agent that is meant: as it was started, or as the flags say.
///
/// # Errors
/// Fails when neither tells: the import would start a containerd that no agent uses.
fn meant(
    data_dir: &Path,
    name: Option<String>,
    containerd: Option<PathBuf>,
) -> Result<agent::Settings, Error> {
    let (owner, settings) = match recorded(data_dir)? {
        Some(recorded) => recorded,
        None if name.is_some() || containerd.is_some() => {
            (data_dir.to_owned(), agent::Settings::default())
        }
        None => {
            return Err(Error::Unfit(format!(
                "no agent was ever started in {}: start it first (`ctl dev` or `ctl agent`), or say which is meant with --data-dir, or with --name and --containerd",
                data_dir.display()
            )));
        }
    };
    Ok(agent::Settings {
        data_dir: Some(owner),
        name: name.or(settings.name),
        containerd: containerd.or(settings.containerd),
        ..settings
    })
}

/// Finds the settings of the agent whose data directory this is, or the dev one's, and that directory.
fn recorded(data_dir: &Path) -> Result<Option<(PathBuf, agent::Settings)>, Error> {
    for candidate in [dev::agent_dir(data_dir), data_dir.to_owned()] {
        let record = agent::record_path(&candidate);
        if record.exists() {
            return Ok(Some((candidate, config::read_file(&record)?)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_agent_nothing_is_imported() {
        let folder = tempfile::tempdir().unwrap();
        let error = meant(folder.path(), None, None).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(error.to_string().contains("start it first"), "{error}");
    }

    #[test]
    fn an_agent_is_known_by_its_record_or_by_the_flags() {
        let folder = tempfile::tempdir().unwrap();
        let flags = meant(folder.path(), Some("web".into()), None).unwrap();
        assert_eq!(flags.name.as_deref(), Some("web"));
        let dev = agent::Settings {
            name: Some("dev".into()),
            ..agent::Settings::default()
        };
        agent::record(&dev::agent_dir(folder.path()), &dev).unwrap();
        let found = meant(folder.path(), None, None).unwrap();
        assert_eq!(found.name.as_deref(), Some("dev"));
        assert_eq!(found.data_dir, Some(dev::agent_dir(folder.path())));
    }
}
