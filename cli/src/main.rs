//! `ctl`: one binary that asks the control plane (`command`) and that runs each role (`daemon`).
//!
//! args → context → connection → command → output      a client command, from the line to the answer
//! args → daemon                                        a role, from the line to the running process
//! rollout                                              how `service update` follows a deployment
//! top                                                  what `lb top` makes of the load balancers' counters
//! error                                                what is said, and the exit code, when it fails

mod args;
mod command;
mod config;
mod connection;
mod context;
mod daemon;
mod error;
mod input;
mod join;
mod logging;
mod output;
mod rollout;
mod runtime;
mod top;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::context::Environment;
use crate::error::Error;

/// docs/design/0016 tells why.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Once per container: nothing heavier than the logger itself may come before it.
    let line: Vec<OsString> = std::env::args_os().collect();
    if let [_, command, directory] = line.as_slice()
        && command == "container-logger"
    {
        return finish(daemon::container_logger(Path::new(directory)));
    }
    finish(run(Cli::parse_from(line)))
}

fn run(cli: Cli) -> Result<(), Error> {
    let environment = Environment::read();
    let Cli { globals, command } = cli;
    match command {
        Command::Client(command) => command::run(command, &globals, &environment),
        Command::Dev(args) => daemon::dev::run(args),
        Command::Controlplane(args) => daemon::controlplane::run(args),
        Command::Agent(args) => daemon::agent::run(*args, &globals, &environment),
        Command::Lb(args) => daemon::lb::run(*args, &globals, &environment),
        Command::Image(command) => daemon::image::run(command, globals.output),
        Command::ContainerLogger { directory } => daemon::container_logger(&directory),
        Command::Completions { shell } => command::completions(shell),
        Command::Context(command) => command::context::run(&command, &globals, &environment),
        Command::Join(args) => command::join::run(&args, &environment),
    }
}

/// The edge: the error's chain is printed here, once.
fn finish(outcome: Result<(), Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(report) = error.report() {
                eprintln!("{report}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
