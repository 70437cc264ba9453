//! The load balancer's settings: as written, and resolved to its configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use roadstead_lb::{AccessLogFormat, Config};
use serde::{Deserialize, Serialize};

use crate::config::{self, ConfigError};
use crate::daemon::absolute;

pub(super) const DEFAULT_DATA_DIR: &str = "/var/lib/roadstead/lb";

/// The settings, as written.
#[derive(Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// Servers of the control plane; on the command line --endpoint.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) endpoints: Vec<String>,
    /// Serves from this table alone, without a control plane; reread on SIGHUP.
    #[arg(long, env = "ROADSTEAD_TABLE", value_name = "FILE")]
    pub(super) table: Option<PathBuf>,
    /// Holds the id and the last known good table [default: /var/lib/roadstead/lb].
    #[arg(long, env = "ROADSTEAD_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Address that every listener binds [default: 0.0.0.0].
    #[arg(long, env = "ROADSTEAD_BIND", value_name = "ADDRESS")]
    pub(super) bind: Option<String>,
    /// Threads that serve requests; 0 is one per core [default: 0].
    #[arg(long, env = "ROADSTEAD_WORKERS")]
    pub(super) workers: Option<usize>,
    /// Availability zone of this load balancer, for target groups that keep to it; agents have it as the attribute
    /// ecs.availability-zone.
    #[arg(long, env = "ROADSTEAD_ZONE")]
    pub(super) zone: Option<String>,
    /// Where one line per request goes; none by default.
    #[arg(long, env = "ROADSTEAD_ACCESS_LOG", value_name = "FILE")]
    pub(super) access_log: Option<PathBuf>,
    /// How a line of the access log is written: `json`, or `alb` for the fields of ALB's [default: json].
    #[arg(long, env = "ROADSTEAD_ACCESS_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) access_log_format: Option<String>,
    /// Where Prometheus may read metrics, such as 127.0.0.1:9464; nowhere by default. Whoever reaches it may read them.
    #[arg(long, env = "ROADSTEAD_METRICS", value_name = "ADDRESS:PORT")]
    pub(super) metrics: Option<String>,
    /// Longest head of a request [default: 64KiB].
    #[arg(long, env = "ROADSTEAD_MAX_HEADER", value_name = "SIZE")]
    pub(super) max_header: Option<String>,
    /// Most client connections at once [default: 65536].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTIONS")]
    pub(super) max_connections: Option<usize>,
    /// Most connections at once of one client address, or of one IPv6 /64; further ones are closed [default: 16384].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTIONS_PER_ADDRESS")]
    pub(super) max_connections_per_address: Option<usize>,
    /// Most requests under way at once; further ones are answered with 503 [default: 65536].
    #[arg(long, env = "ROADSTEAD_MAX_REQUESTS")]
    pub(super) max_requests: Option<usize>,
    /// Requests after which a client's connection is ended, with notice [default: 10000].
    #[arg(long, env = "ROADSTEAD_MAX_REQUESTS_PER_CONNECTION")]
    pub(super) max_requests_per_connection: Option<u64>,
    /// Age at which a client's connection is ended, with notice [default: 1h].
    #[arg(long, env = "ROADSTEAD_MAX_CONNECTION_AGE", value_name = "DURATION")]
    pub(super) max_connection_age: Option<String>,
    /// Bytes a second that a client which lags for the target timeout must have sent or taken; 0 is any [default: 240].
    #[arg(long, env = "ROADSTEAD_MIN_CLIENT_RATE", value_name = "BYTES")]
    pub(super) min_client_rate: Option<u32>,
    /// How long a client may be idle, or take to send a request's head [default: 60s].
    #[arg(long, env = "ROADSTEAD_CLIENT_TIMEOUT", value_name = "DURATION")]
    pub(super) client_timeout: Option<String>,
    /// How long a target may take to accept a connection and, over TLS, to shake hands [default: 10s].
    #[arg(long, env = "ROADSTEAD_CONNECT_TIMEOUT", value_name = "DURATION")]
    pub(super) connect_timeout: Option<String>,
    /// How long nothing may move while a request is with a target [default: 60s].
    #[arg(long, env = "ROADSTEAD_TARGET_TIMEOUT", value_name = "DURATION")]
    pub(super) target_timeout: Option<String>,
    /// How long nothing may move on a connection of a TCP listener [default: 350s].
    #[arg(long, env = "ROADSTEAD_TCP_TIMEOUT", value_name = "DURATION")]
    pub(super) tcp_timeout: Option<String>,
    /// How long a connection to a target is kept unused [default: 4s].
    #[arg(long, env = "ROADSTEAD_POOL_TIMEOUT", value_name = "DURATION")]
    pub(super) pool_timeout: Option<String>,
    /// Most unused connections that each worker keeps per target [default: 512].
    #[arg(long, env = "ROADSTEAD_POOL_SIZE")]
    pub(super) pool_size: Option<usize>,
    /// How long requests may go on after the order to stop [default: 30s].
    #[arg(long, env = "ROADSTEAD_STOP_TIMEOUT", value_name = "DURATION")]
    pub(super) stop_timeout: Option<String>,
    /// How long requests and tunnels may go on in a process that has handed over to its successor [default: 5m].
    #[arg(long, env = "ROADSTEAD_HANDOVER_TIMEOUT", value_name = "DURATION")]
    pub(super) handover_timeout: Option<String>,
}

/// Returns where the load balancer keeps what is its own.
///
/// # Errors
/// Fails when the path cannot be made absolute.
pub(super) fn data_dir(settings: &Settings) -> Result<PathBuf, ConfigError> {
    let default = Path::new(DEFAULT_DATA_DIR);
    absolute("data_dir", settings.data_dir.as_deref().unwrap_or(default))
}

/// Returns the configuration that the settings mean.
///
/// # Errors
/// Fails when one of them is wrong, and names it.
pub(super) fn resolve(settings: Settings) -> Result<Config, ConfigError> {
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
}
