//! Follows one deployment of a service from the update to its end, and prints the receipt.
//!
//! `progress` judges a view, `live` and `lines` turn views into text, all of them pure. `watch` is
//! the thin loop: it reads views, survives a restart of the server, and stops at the verdict.

mod lines;
mod live;
mod progress;
mod receipt;
mod watch;

use std::io::IsTerminal as _;

use roadstead_client::proto::ecs::Service;

use crate::connection::Connection;
use crate::error::Error;
use crate::output::{self, Format};
use crate::rollout::receipt::Receipt;
use crate::rollout::watch::Display;

/// The deployment that is followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rollout {
    pub(crate) service: String,
    /// `ecs-svc/…`
    pub(crate) deployment: String,
    /// `family:revision`
    pub(crate) task_definition: String,
}

/// Follows what an update has started, or says that it has started nothing.
///
/// # Errors
/// Fails when the rollout does, when the control plane stays away, and when the user interrupts.
pub(crate) async fn follow(
    connection: &Connection,
    before: &Service,
    after: &Service,
) -> Result<(), Error> {
    let rollout = primary(after);
    if rollout.deployment == primary(before).deployment {
        return show_nothing_started(connection.format, after, &rollout);
    }
    let mut display = match connection.format {
        Format::Json => Display::Silent,
        Format::Table if std::io::stdout().is_terminal() => Display::Live(Box::default()),
        Format::Table => Display::Lines(lines::Lines::default()),
    };
    let mut receipt = Receipt::nothing(&rollout, None);
    let outcome = watch::until_the_end(connection, &rollout, &mut display, &mut receipt).await;
    match connection.format {
        // One object, whatever comes of it: what was counted so far, and the state that was seen last.
        Format::Json => output::write_line(&output::json(&receipt)?)?,
        Format::Table if outcome.is_ok() => output::write_line(&receipt.text(&rollout))?,
        Format::Table => {}
    }
    outcome
}

/// The newest deployment stands first.
fn primary(service: &Service) -> Rollout {
    let primary = service.deployments.first().cloned().unwrap_or_default();
    Rollout {
        service: service.service_name.clone().unwrap_or_default(),
        deployment: primary.id.unwrap_or_default(),
        task_definition: progress::short(primary.task_definition.as_deref()).to_owned(),
    }
}

fn show_nothing_started(format: Format, service: &Service, current: &Rollout) -> Result<(), Error> {
    if format == Format::Json {
        let state = service
            .deployments
            .first()
            .and_then(|primary| primary.rollout_state.clone());
        return output::write_line(&output::json(&Receipt::nothing(current, state))?);
    }
    output::write_line(&format!(
        "service {} is updated; no new deployment was needed, {} of {} stays",
        current.service, current.deployment, current.task_definition
    ))
}

#[cfg(test)]
mod golden;
