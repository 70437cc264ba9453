//! `ctl context`

use clap::Subcommand;
use serde::Serialize;

use crate::args::Globals;
use crate::config;
use crate::context::{self, Environment};
use crate::error::Error;
use crate::output::{self, Format};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show where the commands go, after file, environment and flags.
    Show,
    /// Write --endpoint and --cluster into the context file; what is not given stays.
    Set,
}

/// The context in force.
#[derive(Debug, Serialize)]
struct Shown {
    file: String,
    endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
}

/// Shows or changes the context.
///
/// # Errors
/// Fails when the context file cannot be read or written, or a value is wrong.
pub(crate) fn run(
    command: &Command,
    globals: &Globals,
    environment: &Environment,
) -> Result<(), Error> {
    match command {
        Command::Show => show(globals, environment),
        Command::Set => {
            let (path, _) = context::file_path(environment)?;
            let file: context::ContextFile = config::read_file_if_any(&path)?;
            let file = file.overlaid(context::flags(globals));
            context::resolve(file.clone())?;
            config::write_file(&path, &file)?;
            show(globals, environment)
        }
    }
}

fn show(globals: &Globals, environment: &Environment) -> Result<(), Error> {
    let (path, _) = context::file_path(environment)?;
    let context = context::find(globals, environment)?;
    let shown = Shown {
        file: path.display().to_string(),
        endpoints: context.endpoints.iter().map(ToString::to_string).collect(),
        cluster: context.cluster,
    };
    let text = match globals.output {
        Format::Json => output::json(&shown)?,
        Format::Table => view(&shown),
    };
    output::write_line(&text)
}

fn view(shown: &Shown) -> String {
    let cluster = shown.cluster.as_deref().unwrap_or("default");
    let endpoints = shown.endpoints.join(", ");
    format!(
        "File:       {}\nEndpoints:  {endpoints}\nCluster:    {cluster}",
        shown.file
    )
}
