//! Logs go to standard error, so that standard output stays the answer.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{self, ConfigError};

pub(crate) use tracing_subscriber::filter::LevelFilter as Level;

/// Starts logging at `level`, or as `ROADSTEAD_LOG` says (`debug`, `warn,roadstead_agent=trace`).
///
/// # Errors
/// Fails when `ROADSTEAD_LOG` is not of that form.
pub(crate) fn start(level: LevelFilter) -> Result<(), ConfigError> {
    let filter = match std::env::var("ROADSTEAD_LOG") {
        Ok(text) if !text.is_empty() => config::parse::<Targets>("ROADSTEAD_LOG", &text)?,
        // openraft tells each vote and heartbeat at `info`, and each that fails as an error, fourteen times a second while a
        // member is away: of interest to who asks for it. The server itself says that a member is away, once.
        _ => Targets::new()
            .with_default(level)
            .with_target("openraft", level.min(LevelFilter::WARN))
            .with_target("openraft::replication", LevelFilter::OFF)
            .with_target(
                "openraft::engine::handler::replication_handler",
                LevelFilter::OFF,
            ),
    };
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
    Ok(())
}
