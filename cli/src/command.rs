//! The client commands, one file per resource: flags → request → answer → view.
//!
//! A command holds no rule: what may be done is decided by the control plane, and its refusal is
//! shown as it comes.

mod action;
pub(crate) mod certificate;
pub(crate) mod cluster;
mod condition;
pub(crate) mod context;
pub(crate) mod instance;
pub(crate) mod join;
pub(crate) mod limits;
mod listener;
pub(crate) mod load_balancer;
mod name;
mod protocol;
pub(crate) mod rule;
pub(crate) mod server;
pub(crate) mod service;
mod status;
pub(crate) mod target_group;
pub(crate) mod task;
pub(crate) mod task_definition;
pub(crate) mod token;

use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell;
use roadstead_client::proto::ecs::Failure;
use serde::Serialize;

use crate::args::{Cli, Globals};
use crate::connection::Connection;
use crate::context::Environment;
use crate::error::Error;
use crate::{logging, runtime};

/// The commands that ask the control plane.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create, list, describe and delete clusters.
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Register, list, describe and deregister task definitions.
    #[command(subcommand)]
    TaskDefinition(task_definition::Command),
    /// Create, update, roll back and describe services.
    #[command(subcommand)]
    Service(service::Command),
    /// Run, stop and describe tasks, and read their logs.
    #[command(subcommand)]
    Task(task::Command),
    /// List, drain and deregister container instances.
    #[command(subcommand)]
    Instance(instance::Command),
    /// Create, list and delete load balancers.
    #[command(subcommand)]
    LoadBalancer(load_balancer::Command),
    /// Import, list and delete the certificates of listeners.
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Create, modify, list and delete listeners.
    #[command(subcommand)]
    Listener(listener::Command),
    /// Create, modify, list and delete the rules of listeners.
    #[command(subcommand)]
    Rule(rule::Command),
    /// Create, modify, list and delete target groups, and see the health of their targets.
    #[command(subcommand)]
    TargetGroup(target_group::Command),
    /// Create, list and delete the tokens with which hosts and people join.
    #[command(subcommand)]
    Token(token::Command),
    /// Take servers out of the control plane.
    #[command(subcommand)]
    Server(server::Command),
    /// Show how the control plane itself is doing.
    Status,
}

/// Finds the control plane and carries out one command.
///
/// # Errors
/// Fails as the command does.
pub(crate) fn run(
    command: Command,
    globals: &Globals,
    environment: &Environment,
) -> Result<(), Error> {
    logging::start(logging::Level::WARN)?;
    let context = crate::context::find(globals, environment)?;
    let connection = Connection::new(context, globals.output);
    runtime::block_on(dispatch(command, &connection))
}

async fn dispatch(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Cluster(command) => Box::pin(cluster::run(command, connection)).await,
        Command::TaskDefinition(command) => {
            Box::pin(task_definition::run(command, connection)).await
        }
        Command::Service(command) => Box::pin(service::run(command, connection)).await,
        Command::Task(command) => Box::pin(task::run(command, connection)).await,
        Command::Instance(command) => Box::pin(instance::run(command, connection)).await,
        Command::LoadBalancer(command) => Box::pin(load_balancer::run(command, connection)).await,
        Command::Certificate(command) => Box::pin(certificate::run(command, connection)).await,
        Command::Listener(command) => Box::pin(listener::run(command, connection)).await,
        Command::Rule(command) => Box::pin(rule::run(command, connection)).await,
        Command::TargetGroup(command) => Box::pin(target_group::run(command, connection)).await,
        Command::Token(command) => Box::pin(token::run(command, connection)).await,
        Command::Server(command) => Box::pin(server::run(command, connection)).await,
        Command::Status => Box::pin(status::run(connection)).await,
    }
}

/// Prints the completions of a shell.
///
/// # Errors
/// Fails when standard output is closed.
pub(crate) fn completions(shell: Shell) -> Result<(), Error> {
    // Into memory first: the generator panics when its output fails, such as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ctl", &mut script);
    crate::output::write_line(&String::from_utf8_lossy(&script))
}

/// Shows an answer that lists failures beside what was found, and fails when there are any.
///
/// An answer of nothing but failures is not shown: an error is no output.
fn show_found<T: Serialize>(
    connection: &Connection,
    response: &T,
    (found, failures): (usize, &[Failure]),
    table: impl FnOnce(&T) -> String,
) -> Result<(), Error> {
    if found > 0 || failures.is_empty() {
        connection.show(response, table)?;
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Error::Failures(failures.to_vec()))
    }
}
