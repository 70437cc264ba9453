//! `ctl lb`: a load balancer, told by the control plane or by a table file.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use roadstead_client::join::Applicant;
use roadstead_client::{ControlPlane, Credentials};
use roadstead_lb::{AccessLogFormat, Config, Source};
use serde::{Deserialize, Serialize};
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

const DEFAULT_DATA_DIR: &str = "/var/lib/roadstead/lb";

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

/// The settings, as written.
#[derive(Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Servers of the control plane; on the command line --endpoint.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<String>,
    /// Serves from this table alone, without a control plane; reread on SIGHUP.
    #[arg(long, env = "ROADSTEAD_TABLE", value_name = "FILE")]
    table: Option<PathBuf>,
    /// Holds the id and the last known good table [default: /var/lib/roadstead/lb].
    #[arg(long, env = "ROADSTEAD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Address that every listener binds [default: 0.0.0.0].
    #[arg(long, env = "ROADSTEAD_BIND", value_name = "ADDRESS")]
    bind: Option<String>,
    /// Threads that serve requests; 0 is one per core [default: 0].
    #[arg(long, env = "ROADSTEAD_WORKERS")]
    workers: Option<usize>,
    /// Availability zone of this load balancer, for target groups that keep to it; agents have it as the attribute
    /// ecs.availability-zone.
    #[arg(long, env = "ROADSTEAD_ZONE")]
    zone: Option<String>,
    /// Where one line per request goes; none by default.
    #[arg(long, env = "ROADSTEAD_ACCESS_LOG", value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// How a line of the access log is written: `json`, or `alb` for the fields of ALB's [default: json].
    #[arg(long, env = "ROADSTEAD_ACCESS_LOG_FORMAT", value_name = "FORMAT")]
    access_log_format: Option<String>,
    /// Where Prometheus may read metrics, such as 127.0.0.1:9464; nowhere by default. Whoever reaches it may read them.
    #[arg(long, env = "ROADSTEAD_METRICS", value_name = "ADDRESS:PORT")]
    metrics: Option<String>,
    /// Longest head of a request [default: 64KiB].
    #[arg(long, env = "ROADSTEAD_MAX_HEADER", value_name = "SIZE")]
    max_header: Option<String>,
    /// Most client connections at once [default: 65536].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTIONS")]
    max_connections: Option<usize>,
    /// Most connections at once of one client address, or of one IPv6 /64; further ones are closed [default: 16384].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTIONS_PER_ADDRESS")]
    max_connections_per_address: Option<usize>,
    /// Most requests under way at once; further ones are answered with 503 [default: 65536].
    #[arg(long, env = "ROADSTEAD_MAX_REQUESTS")]
    max_requests: Option<usize>,
    /// Requests after which a client's connection is ended, with notice [default: 10000].
    #[arg(long, env = "ROADSTEAD_MAX_REQUESTS_PER_CONNECTION")]
    max_requests_per_connection: Option<u64>,
    /// Age at which a client's connection is ended, with notice [default: 1h].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTION_AGE", value_name = "DURATION")]
    max_connection_age: Option<String>,
    /// Bytes a second that a client which lags for the target timeout must have sent or taken; 0 is any [default: 240].
    #[arg(long, env = "ROADSTEAD_MIN_CLIENT_RATE", value_name = "BYTES")]
    min_client_rate: Option<u32>,
    /// How long a client may be idle, or take to send a request's head [default: 60s].
    #[arg(long, env = "ROADSTEAD_CLIENT_TIMEOUT", value_name = "DURATION")]
    client_timeout: Option<String>,
    /// How long a target may take to accept a connection and, over TLS, to shake hands [default: 10s].
    #[arg(long, env = "ROADSTEAD_CONNECT_TIMEOUT", value_name = "DURATION")]
    connect_timeout: Option<String>,
    /// How long nothing may move while a request is with a target [default: 60s].
    #[arg(long, env = "ROADSTEAD_TARGET_TIMEOUT", value_name = "DURATION")]
    target_timeout: Option<String>,
    /// How long nothing may move on a connection of a TCP listener [default: 350s].
    #[arg(long, env = "ROADSTEAD_TCP_TIMEOUT", value_name = "DURATION")]
    tcp_timeout: Option<String>,
    /// How long a connection to a target is kept unused [default: 4s].
    #[arg(long, env = "ROADSTEAD_POOL_TIMEOUT", value_name = "DURATION")]
    pool_timeout: Option<String>,
    /// Most unused connections that each worker keeps per target [default: 512].
    #[arg(long, env = "ROADSTEAD_POOL_SIZE")]
    pool_size: Option<usize>,
    /// How long requests may go on after the order to stop [default: 30s].
    #[arg(long, env = "ROADSTEAD_STOP_TIMEOUT", value_name = "DURATION")]
    stop_timeout: Option<String>,
    /// How long requests and tunnels may go on in a process that has handed over to its successor [default: 5m].
    #[arg(long, env = "ROADSTEAD_HANDOVER_TIMEOUT", value_name = "DURATION")]
    handover_timeout: Option<String>,
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

fn data_dir(settings: &Settings) -> Result<PathBuf, ConfigError> {
    let default = Path::new(DEFAULT_DATA_DIR);
    absolute("data_dir", settings.data_dir.as_deref().unwrap_or(default))
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

fn resolve(settings: Settings) -> Result<Config, ConfigError> {
    let mut config = Config {
        data_dir: data_dir(&settings)?,
        ..Config::default()
    };
    if let Some(text) = &settings.bind {
        config.bind = config::parse("bind", text)?;
    }
    if let Some(text) = &settings.access_log_format {
        config.access_log_format = access_log_format(text)?;
    }
    if let Some(text) = &settings.metrics {
        config.metrics = Some(metrics(text)?);
    }
    if let Some(text) = &settings.max_header {
        config.max_header_bytes = max_header(text)?;
    }
    for (key, text, target) in [
        (
            "max_connection_age",
            settings.max_connection_age,
            &mut config.max_connection_age,
        ),
        (
            "client_timeout",
            settings.client_timeout,
            &mut config.client_timeout,
        ),
        (
            "connect_timeout",
            settings.connect_timeout,
            &mut config.connect_timeout,
        ),
        (
            "target_timeout",
            settings.target_timeout,
            &mut config.target_timeout,
        ),
        ("tcp_timeout", settings.tcp_timeout, &mut config.tcp_timeout),
        (
            "pool_timeout",
            settings.pool_timeout,
            &mut config.pool_timeout,
        ),
        (
            "stop_timeout",
            settings.stop_timeout,
            &mut config.stop_timeout,
        ),
        (
            "handover_timeout",
            settings.handover_timeout,
            &mut config.handover_timeout,
        ),
    ] {
        if let Some(text) = text {
            *target = config::duration(key, &text)?;
        }
    }
    set(&mut config.workers, settings.workers);
    config.access_log = settings.access_log;
    set(&mut config.zone, settings.zone);
    set(&mut config.max_connections, settings.max_connections);
    set(
        &mut config.max_connections_per_address,
        settings.max_connections_per_address,
    );
    set(&mut config.max_requests, settings.max_requests);
    set(
        &mut config.max_requests_per_connection,
        settings.max_requests_per_connection,
    );
    set(&mut config.min_client_rate, settings.min_client_rate);
    set(&mut config.pool_size, settings.pool_size);
    Ok(config)
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn metrics(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Value {
        key: "metrics",
        value: text.to_owned(),
        cause: "it must be an IP address and a port, such as 127.0.0.1:9464".into(),
    })
}

fn access_log_format(text: &str) -> Result<AccessLogFormat, ConfigError> {
    match text {
        "json" => Ok(AccessLogFormat::Json),
        "alb" => Ok(AccessLogFormat::Alb),
        other => Err(ConfigError::Value {
            key: "access_log_format",
            value: other.to_owned(),
            cause: "it must be json or alb".into(),
        }),
    }
}

fn max_header(text: &str) -> Result<usize, ConfigError> {
    let bytes = config::bytes("max_header", text)?;
    usize::try_from(bytes).map_err(|cause| ConfigError::Value {
        key: "max_header",
        value: text.to_owned(),
        cause: cause.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn settings_are_resolved_to_types() {
        let settings = Settings {
            bind: Some("127.0.0.1".into()),
            max_header: Some("16KiB".into()),
            pool_timeout: Some("2s".into()),
            ..Settings::default()
        };
        let config = resolve(settings).unwrap();
        assert!(config.bind.is_loopback());
        assert_eq!(config.max_header_bytes, 16 << 10);
        assert_eq!(config.pool_timeout, Duration::from_secs(2));
        assert_eq!(config.max_connections, Config::default().max_connections);
    }

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
