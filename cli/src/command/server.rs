//! `ctl server`

use clap::Subcommand;
use roadstead_client::proto::console::RemoveMemberRequest;

use crate::connection::Connection;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take a server that is gone for good out of the control plane; its number is never used again.
    Remove {
        /// Its number, as `ctl status` shows it.
        #[arg(value_name = "SERVER")]
        id: i64,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    let Command::Remove { id } = command;
    let request = RemoveMemberRequest { id: Some(id) };
    let response = connection
        .membership(async |mut membership| membership.remove_member(request).await)
        .await?;
    connection.show(&response, |_| format!("server {id} is no member any more"))
}
