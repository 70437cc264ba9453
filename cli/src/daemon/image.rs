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
    let mut settings = recorded(&data_dir)?;
    settings.name = name.or(settings.name);
    settings.containerd = containerd.or(settings.containerd);
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

/// Finds the settings of the agent whose data directory this is, or the dev one's.
fn recorded(data_dir: &Path) -> Result<agent::Settings, Error> {
    let mut settings = agent::Settings::default();
    let mut owner = data_dir.to_owned();
    for candidate in [data_dir.to_owned(), dev::agent_dir(data_dir)] {
        let record = agent::record_path(&candidate);
        if record.exists() {
            settings = config::read_file(&record)?;
            owner = candidate;
        }
    }
    settings.data_dir = Some(owner);
    Ok(settings)
}
