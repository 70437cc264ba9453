//! What the commands print: JSON in the AWS CLI's shape, or tables for people.
//!
//! A view is a pure function from messages to text. `output/golden.rs` holds what each of them
//! gives for fixed messages, so that a change of it is seen in review.

pub(crate) mod arn;
pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod control_plane;
pub(crate) mod elb;
pub(crate) mod grid;
pub(crate) mod instance;
pub(crate) mod service;
pub(crate) mod task;
pub(crate) mod task_definition;
pub(crate) mod token;

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::Error;

/// The form of an answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// The JSON that the AWS CLI prints.
    Json,
}

/// Returns a message as the AWS CLI would print it.
///
/// # Errors
/// Fails when the message has no JSON form.
pub(crate) fn json<T: Serialize>(message: &T) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(message)?)
}

/// Writes one text and a line end to standard output.
///
/// # Errors
/// Fails when standard output is closed.
pub(crate) fn write_line(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

#[cfg(test)]
mod golden;
