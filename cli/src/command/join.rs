//! `ctl join`

use roadstead_client::join::Applicant;

use crate::context::{self, ContextFile, Environment};
use crate::error::Error;
use crate::{config, join, output};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    join: join::Invitation,
    /// Names the certificate's holder in the servers' logs.
    #[arg(long, default_value = "operator")]
    name: String,
}

/// Joins as an operator, and makes the control plane the one that the commands go to.
///
/// # Errors
/// Fails when the token is refused, or the context cannot be written.
pub(crate) fn run(args: &Args, environment: &Environment) -> Result<(), Error> {
    let (path, _) = context::file_path(environment)?;
    let before: ContextFile = config::read_file_if_any(&path)?;
    let joined = args.join.join(Applicant::Operator(args.name.clone()))?;
    let directory = context::credentials_directory(&path);
    joined
        .credentials
        .save(&directory)
        .map_err(anyhow::Error::from)?;
    let file = before.overlaid(ContextFile {
        endpoints: joined.servers.iter().map(ToString::to_string).collect(),
        cluster: None,
    });
    config::write_file(&path, &file)?;
    output::write_line(&format!(
        "joined {}; the certificate is in {}",
        file.endpoints.join(", "),
        directory.display()
    ))
}
