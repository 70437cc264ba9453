//! `ctl token`

use std::time::Duration;

use clap::Subcommand;
use roadstead_client::proto::console::{
    CreateJoinTokenRequest, DeleteJoinTokenRequest, ListJoinTokensRequest,
};

use crate::config::{self, ConfigError};
use crate::connection::Connection;
use crate::error::Error;
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a token; it is printed once, alone, to be piped or kept in a file.
    Create {
        /// What whoever has it may join as: server, agent, load-balancer or operator.
        #[arg(long)]
        role: String,
        /// How long it can be used, at most a day.
        #[arg(long, default_value = "1h", value_name = "DURATION")]
        valid: String,
    },
    /// List the tokens that can still be used.
    List,
    /// Delete a token; certificates that it has given stay valid.
    Delete {
        /// Id of the token, as `ctl token list` shows it.
        #[arg(value_name = "TOKEN_ID")]
        id: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Create { role, valid } => {
            let request = CreateJoinTokenRequest {
                role: Some(role),
                valid_seconds: Some(seconds(&valid)?),
            };
            let response = connection
                .membership(async |mut membership| {
                    membership.create_join_token(request.clone()).await
                })
                .await?;
            connection.show(&response, |response| {
                response.token.clone().unwrap_or_default()
            })
        }
        Command::List => {
            let response = connection
                .membership(async |mut membership| {
                    membership.list_join_tokens(ListJoinTokensRequest {}).await
                })
                .await?;
            connection.show(&response, |response| {
                output::token::tokens(&response.join_tokens)
            })
        }
        Command::Delete { id } => {
            let request = DeleteJoinTokenRequest {
                id: Some(id.clone()),
            };
            let response = connection
                .membership(async |mut membership| {
                    membership.delete_join_token(request.clone()).await
                })
                .await?;
            connection.show(&response, |_| format!("token {id} is deleted"))
        }
    }
}

fn seconds(text: &str) -> Result<i32, ConfigError> {
    let valid: Duration = config::duration("valid", text)?;
    i32::try_from(valid.as_secs()).map_err(|cause| ConfigError::Value {
        key: "valid",
        value: text.to_owned(),
        cause: cause.into(),
    })
}
