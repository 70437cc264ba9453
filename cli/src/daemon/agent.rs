//! `ctl agent`: the agent of this host, and its removal.
//!
//! The settings in force are kept in the data directory as `agent.toml`, so that `ctl agent remove`
//! and `ctl image import` later act on the same containerd, under the same name.

mod settings;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use roadstead_agent::{AgentError, Config};
use roadstead_client::join::Applicant;
use roadstead_client::{ControlPlane, Endpoint};

pub(super) use self::settings::Settings;
use super::{absolute, data_dir, open_files, stop};
use crate::args::Globals;
use crate::config::{self, ConfigError};
use crate::context::{self, Environment};
use crate::error::Error;
use crate::{join, logging, output, runtime};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// TOML file with the same keys as the flags; environment and flags override it.
    #[arg(long, env = "ROADSTEAD_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get this agent's certificate, with a token for an agent.
    Join {
        #[command(flatten)]
        join: join::Invitation,
        /// The agent's data directory.
        #[arg(long, env = "ROADSTEAD_DATA_DIR", default_value = settings::DEFAULT_DATA_DIR)]
        data_dir: PathBuf,
    },
    /// Remove all that an agent has left on this host: containers, networks, its own containerd.
    Remove {
        /// The agent's data directory.
        #[arg(long, env = "ROADSTEAD_DATA_DIR", default_value = settings::DEFAULT_DATA_DIR)]
        data_dir: PathBuf,
        /// The agent's name; needed, and taken, only where its data directory is lost.
        #[arg(long, env = "ROADSTEAD_NAME")]
        name: Option<String>,
    },
}

/// Runs the agent until it is told to stop; its containers live on.
///
/// # Errors
/// Fails when a setting is wrong, the data directory is in use, or the agent does.
pub(crate) fn run(args: Args, globals: &Globals, environment: &Environment) -> Result<(), Error> {
    logging::start(logging::Level::INFO)?;
    match args.command {
        Some(Command::Join { join, data_dir }) => return join_as_agent(&join, &data_dir),
        Some(Command::Remove { data_dir, name }) => return remove(&data_dir, name),
        None => {}
    }
    let mut settings = config::layered(args.config.as_deref(), args.settings)?;
    settings.address_control_plane(context::given(globals, environment));
    let config = settings.resolve()?;
    if settings.endpoints.is_empty() {
        settings.endpoints = join::Record::load(&config.data_dir)?.servers;
    }
    let endpoints = endpoints(&settings)?;
    let credentials = join::credentials(&config.data_dir)?;
    open_files::raise();
    let _claim = data_dir::claim(&config.data_dir).map_err(anyhow::Error::from)?;
    record(&config.data_dir, &settings)?;
    let control_plane = ControlPlane::with_credentials(endpoints, credentials);
    runtime::block_on(work(config, control_plane))
}

fn join_as_agent(join: &join::Invitation, data_dir: &Path) -> Result<(), Error> {
    let data_dir = absolute("data_dir", data_dir)?;
    let _claim = data_dir::claim(&data_dir).map_err(anyhow::Error::from)?;
    let id = roadstead_agent::container_instance_id(&data_dir).map_err(anyhow::Error::from)?;
    let joined = join.join(Applicant::Agent(id.clone()))?;
    join::keep(&data_dir, &joined, None)?;
    output::write_line(&format!(
        "joined as container instance {id}; start it with `ctl agent --address ADDRESS`, where others reach this host's tasks"
    ))
}

async fn work(config: Config, control_plane: ControlPlane) -> Result<(), Error> {
    let stop = stop::on_signal()?;
    let named = control_plane.named_servers();
    tokio::spawn(join::keep_servers(config.data_dir.clone(), named));
    let worked = Box::pin(roadstead_agent::run(config, control_plane, stop)).await;
    worked.map_err(failed)
}

/// What the agent itself finds wrong with its configuration is a wrong configuration here too.
pub(super) fn failed(error: AgentError) -> Error {
    match error {
        AgentError::Config(cause) => ConfigError::Agent(cause).into(),
        other => Error::Daemon(other.into()),
    }
}

fn endpoints(settings: &Settings) -> Result<Vec<Endpoint>, ConfigError> {
    let endpoints = context::endpoints(&settings.endpoints)?;
    if endpoints.is_empty() {
        let by = "`ctl agent join`, --endpoint, ROADSTEAD_ENDPOINT or the configuration file";
        return Err(ConfigError::Missing {
            key: "endpoints",
            by,
        });
    }
    Ok(endpoints)
}

/// Keeps the settings in force.
///
/// # Errors
/// Fails when the data directory cannot be written.
pub(super) fn record(data_dir: &Path, settings: &Settings) -> Result<(), ConfigError> {
    config::write_file(&record_path(data_dir), settings)
}

/// Returns where the settings in force are kept.
pub(super) fn record_path(data_dir: &Path) -> PathBuf {
    data_dir.join("agent.toml")
}

fn remove(data_dir: &Path, name: Option<String>) -> Result<(), Error> {
    let config = removable(data_dir, name)?.resolve()?;
    // A lost directory is not made again, but networks may still be there under the agent's name.
    let claim = if config.data_dir.exists() {
        Some(data_dir::claim(&config.data_dir).map_err(anyhow::Error::from)?)
    } else {
        None
    };
    erase(&config)?;
    drop(claim);
    output::write_line(&format!("agent {} has left nothing behind", config.name))
}

/// Returns the settings of the agent that is to be removed.
///
/// A removal deletes whole directories and ends containers, so it never guesses whose: a directory without
/// a record is no agent's, and without a directory only a name tells the agents of this host apart.
///
/// # Errors
/// Fails when it is not certain which agent is meant.
fn removable(data_dir: &Path, name: Option<String>) -> Result<Settings, Error> {
    let record = record_path(data_dir);
    let settings = if record.exists() {
        let recorded: Settings = config::read_file(&record)?;
        let owner = recorded.name.as_deref().unwrap_or(settings::DEFAULT_NAME);
        if name.is_some_and(|name| name != owner) {
            return Err(Error::Unfit(format!(
                "{} belongs to agent {owner}: leave --name out to remove that one",
                data_dir.display(),
            )));
        }
        recorded
    } else if data_dir.exists() {
        return Err(Error::Unfit(format!(
            "{} is no data directory of an agent: {} is missing",
            data_dir.display(),
            record.display()
        )));
    } else if name.is_some() {
        Settings {
            name,
            ..Settings::default()
        }
    } else {
        return Err(Error::Unfit(format!(
            "{} is not there: say with --name which agent's network is to be removed, or name its data directory",
            data_dir.display()
        )));
    };
    Ok(Settings {
        data_dir: Some(data_dir.to_owned()),
        ..settings
    })
}

/// Removes all that the agent has left on this host, its data directory included.
///
/// # Errors
/// Fails as the agent's own removal does.
pub(super) fn erase(config: &Config) -> Result<(), Error> {
    runtime::block_on(async {
        Box::pin(roadstead_agent::remove(config))
            .await
            .map_err(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(data_dir: &Path, name: Option<&str>) -> String {
        let error = removable(data_dir, name.map(str::to_owned)).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        error.to_string()
    }

    #[test]
    fn a_directory_that_is_no_agents_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [None, Some("roadstead")] {
            let text = refused(folder.path(), name);
            assert!(text.contains("is no data directory of an agent"), "{text}");
        }
        let error = remove(folder.path(), None).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(folder.path().exists());
    }

    #[test]
    fn without_its_directory_an_agent_is_removed_only_by_its_name() {
        let lost = Path::new("/nonexistent/agent");
        assert!(refused(lost, None).contains("--name"));
        let settings = removable(lost, Some("web".into())).unwrap();
        assert_eq!(settings.name.as_deref(), Some("web"));
    }

    #[test]
    fn the_record_says_whose_containers_go() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            name: Some("one".into()),
            ..Settings::default()
        };
        record(folder.path(), &settings).unwrap();
        assert!(refused(folder.path(), Some("two")).contains("belongs to agent one"));
        for name in [None, Some("one".to_owned())] {
            let found = removable(folder.path(), name).unwrap();
            assert_eq!(found.name.as_deref(), Some("one"));
            assert_eq!(found.data_dir.as_deref(), Some(folder.path()));
        }
    }
}
