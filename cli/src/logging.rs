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
        // openraft tells each vote and heartbeat at `info`: of interest to who asks for it.
        _ => Targets::new()
            .with_default(level)
            .with_target("openraft", level.min(LevelFilter::WARN)),
    };
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
    Ok(())
}
