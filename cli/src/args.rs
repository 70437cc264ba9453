//! What can be typed: the tree of commands, the flags that every command takes, and the exit codes.
//!
//! Flags are parsed here and nowhere judged: what a value means, and where it comes from when it is
//! not given, is decided by `context` for the client commands and by `daemon` for the roles.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::command::{self, context};
use crate::daemon::{agent, controlplane, dev, image, lb};
use crate::output::Format;

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  refused or failed
    2  the command line is wrong
    3  the control plane cannot be reached
    4  the rollout failed
   64  a configuration value is wrong
  130  interrupted";

/// Runs containers on your own hosts the way Amazon ECS does.
#[derive(Debug, Parser)]
#[command(name = "ctl", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command takes.
#[derive(Debug, Default, Clone, clap::Args)]
pub(crate) struct Globals {
    /// Form of the answer: a table, or the JSON that the AWS CLI prints.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
    /// Server of the control plane, as unix:/path or https://host:port; may be given several times [env: ROADSTEAD_ENDPOINT].
    #[arg(long = "endpoint", global = true, value_name = "ENDPOINT")]
    pub(crate) endpoints: Vec<String>,
    /// Cluster to act in [env: ROADSTEAD_CLUSTER].
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub(crate) cluster: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Client(command::Command),
    /// Show or change which control plane and cluster the commands go to.
    #[command(subcommand)]
    Context(context::Command),
    /// Get a certificate with which this user's commands may go to a control plane on other hosts.
    Join(command::join::Args),
    /// Print the completions of a shell.
    Completions {
        /// Shell that is to complete what is typed.
        shell: Shell,
    },

    /// Run everything on this host: one server, one agent, one load balancer.
    Dev(dev::Args),
    /// Run a server of the control plane.
    Controlplane(controlplane::Args),
    /// Run the agent of this host.
    Agent(Box<agent::Args>),
    /// Run a load balancer.
    Lb(Box<lb::Args>),
    /// Put images into the containerd of this host's agent.
    #[command(subcommand)]
    Image(image::Command),
    /// Write the log of one container; started by containerd's shim.
    #[command(hide = true)]
    ContainerLogger {
        /// Directory that the log is written to.
        directory: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_every_command_may_stand_after_it() {
        let line = [
            "ctl",
            "cluster",
            "list",
            "-o",
            "json",
            "--endpoint",
            "unix:/a",
            "--cluster",
            "c",
        ];
        let cli = Cli::parse_from(line);
        assert_eq!(cli.globals.output, Format::Json);
        assert_eq!(cli.globals.endpoints, ["unix:/a"]);
        assert_eq!(cli.globals.cluster.as_deref(), Some("c"));
    }

    #[test]
    fn help_tells_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        assert!(
            help.contains("64  a configuration value is wrong"),
            "{help}"
        );
    }

    #[test]
    fn every_command_and_argument_says_what_it_is_for() {
        fn silent(command: &clap::Command, path: &str) -> Vec<String> {
            let path = format!("{path} {}", command.get_name());
            let about = command.get_about().is_none().then(|| path.clone());
            let arguments = command
                .get_arguments()
                .filter(|argument| argument.get_help().is_none())
                .map(|argument| format!("{path} {}", argument.get_id()));
            let below = command.get_subcommands().flat_map(|one| silent(one, &path));
            about.into_iter().chain(arguments).chain(below).collect()
        }
        assert_eq!(silent(&Cli::command(), ""), [""; 0]);
    }
}
