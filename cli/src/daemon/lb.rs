//! `ctl lb`: a load balancer, told by the control plane or by a table file.

mod settings;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use roadstead_client::join::Applicant;
use roadstead_client::{ControlPlane, Credentials};
use roadstead_lb::{Config, Source};
use tokio::sync::watch;

use super::data_dir::Claim;
use super::succession::{Inheritance, Limits, Predecessor, Succession};
use super::systemd::Store;
use super::{absolute, data_dir, open_files, stop};
use crate::args::Globals;
use crate::config::{self, ConfigError};
use crate::context::{self, Environment};
use crate::error::Error;
use crate::{join, logging, output, runtime, top};
use settings::{DEFAULT_DATA_DIR, Settings, data_dir, resolve};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// TOML file with the same keys as the flags; environment and flags override it.
    #[arg(long, env = "ROADSTEAD_CONFIG")]
    config: Option<PathBuf>,
    /// Check the settings, and the table file if there is one, and end: with 64 if anything is wrong.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get this load balancer's certificate, with a token for a load balancer.
    Join {
        #[command(flatten)]
        join: join::Invitation,
        /// The load balancer's data directory.
        #[arg(long, env = "ROADSTEAD_DATA_DIR", default_value = DEFAULT_DATA_DIR)]
        data_dir: PathBuf,
    },
    /// Show live what every load balancer of the control plane does: requests, failures and times, by listener, target group and
    /// target.
    Top(top::Args),
}

/// Runs a load balancer until it is told to stop.
///
/// # Errors
/// Fails when a setting or the table file is wrong, the data directory is in use, or the load
/// balancer does.
pub(crate) fn run(args: Args, globals: &Globals, environment: &Environment) -> Result<(), Error> {
    match args.command {
        Some(Command::Top(top)) => return top::run(&top, globals, environment),
        Some(Command::Join { join, data_dir }) => {
            logging::start(logging::Level::INFO)?;
            return join_as_load_balancer(&join, &data_dir);
        }
        None => logging::start(logging::Level::INFO)?,
    }
    let mut settings = config::layered(args.config.as_deref(), args.settings)?;
    let given = context::given(globals, environment);
    if !given.endpoints.is_empty() {
        settings.endpoints = given.endpoints;
    }
    let data_dir = data_dir(&settings)?;
    if settings.endpoints.is_empty() {
        settings.endpoints = join::Record::load(&data_dir)?.servers;
    }
    let source = source(&settings, join::credentials(&data_dir)?)?;
    let config = resolve(settings)?;
    if args.check {
        return output::write_line("the settings are valid");
    }
    let inheritance = Inheritance::take().map_err(anyhow::Error::from)?;
    let kept = Store::take().map_err(anyhow::Error::from)?;
    open_files::raise_for(config.max_connections);
    let (predecessor, lock) = match inheritance {
        Some(inheritance) => (Some(inheritance.predecessor), inheritance.lock),
        None => (None, None),
    };
    // A table file needs no place on the disk, and any number of load balancers may serve from one.
    let claim = match (&source, lock) {
        (Source::File(_), _) => Ok(None),
        (Source::ControlPlane(_), None) => data_dir::claim(&config.data_dir).map(Some),
        (Source::ControlPlane(_), Some(lock)) => {
            data_dir::inherit(&config.data_dir, lock).map(Some)
        }
    };
    let claim = claim.map_err(anyhow::Error::from)?;
    runtime::block_on(serve(config, source, claim, predecessor, kept))
}

fn join_as_load_balancer(join: &join::Invitation, data_dir: &Path) -> Result<(), Error> {
    let data_dir = absolute("data_dir", data_dir)?;
    let _claim = data_dir::claim(&data_dir).map_err(anyhow::Error::from)?;
    let id = roadstead_lb::node_id(&data_dir).map_err(anyhow::Error::from)?;
    let joined = join.join(Applicant::LoadBalancer(id.clone()))?;
    join::keep(&data_dir, &joined, None)?;
    output::write_line(&format!(
        "joined as load balancer {id}; start it with `ctl lb`"
    ))
}

async fn serve(
    config: Config,
    source: Source,
    claim: Option<Claim>,
    predecessor: Option<Predecessor>,
    kept: (Store, Vec<TcpListener>),
) -> Result<(), Error> {
    let stop = stop::on_signal()?;
    let limits = Limits {
        handover: config.handover_timeout,
        stop: config.stop_timeout,
    };
    let (succession, place) = Succession::new(claim, predecessor, kept, limits, stop.clone())
        .map_err(anyhow::Error::from)?;
    if let Source::ControlPlane(control_plane) = &source {
        let named = control_plane.named_servers();
        tokio::spawn(join::keep_servers(config.data_dir.clone(), named));
    }
    let succession = tokio::spawn(succession.keep());
    let reports = watch::Sender::default();
    Box::pin(roadstead_lb::run_in_place(
        config, source, reports, place, stop,
    ))
    .await
    .map_err(anyhow::Error::from)?;
    // Only now its end, and that of the process: a successor that finds its link closed knows that no request is left here.
    let outcome = succession.await.map_err(anyhow::Error::from)?;
    outcome
        .map(drop)
        .map_err(|error| anyhow::Error::from(error).into())
}

fn source(settings: &Settings, credentials: Option<Credentials>) -> Result<Source, ConfigError> {
    if let Some(table) = &settings.table {
        roadstead_lb::check_table_file(table).map_err(|cause| ConfigError::Value {
            key: "table",
            value: table.display().to_string(),
            cause: cause.into(),
        })?;
        return Ok(Source::File(table.clone()));
    }
    let endpoints = context::endpoints(&settings.endpoints)?;
    if endpoints.is_empty() {
        let by = "`ctl lb join`, --endpoint, ROADSTEAD_ENDPOINT or the configuration file; or serve from a --table";
        return Err(ConfigError::Missing {
            key: "endpoints",
            by,
        });
    }
    let control_plane = ControlPlane::with_credentials(endpoints, credentials);
    Ok(Source::ControlPlane(control_plane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_table_an_endpoint_is_needed() {
        let error = source(&Settings::default(), None).unwrap_err();
        assert!(
            error.to_string().starts_with("endpoints is missing"),
            "{error}"
        );
    }

    #[test]
    fn a_table_file_is_checked_before_anything_is_bound() {
        let settings = Settings {
            table: Some("/nonexistent/table.toml".into()),
            ..Settings::default()
        };
        let error = source(&settings, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "table: `/nonexistent/table.toml` is not valid"
        );
    }
}
