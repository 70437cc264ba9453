//! Joining a control plane on other hosts: what every role has in common.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use roadstead_client::join::{self, Applicant, Joined, Token};
use roadstead_client::{Credentials, Endpoint};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

use crate::config::{self, ConfigError};
use crate::error::Error;
use crate::runtime;

/// A token has about 100.
const MOST_TOKEN_BYTES: u64 = 4096;
const RECORD: &str = "joined.toml";

/// By whom, and with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Invitation {
    /// A server of the control plane, as https://host:port.
    #[arg(long, value_name = "ENDPOINT")]
    server: String,
    /// File with the token of `ctl token create`; `-` is standard input. A command line can be read by everyone.
    #[arg(long, value_name = "FILE", default_value = "-")]
    token_file: PathBuf,
}

impl Invitation {
    /// Turns the token into credentials.
    ///
    /// # Errors
    /// Fails when the token cannot be read or is refused, or the server cannot be reached.
    pub(crate) fn join(&self, applicant: Applicant) -> Result<Joined, Error> {
        let server: Endpoint = config::parse("server", &self.server)?;
        let token = read_token(&self.token_file)?;
        runtime::block_on(async { Ok(Box::pin(join::join(&server, &token, applicant)).await?) })
    }
}

fn read_token(path: &Path) -> Result<Token, Error> {
    let name = path.display().to_string();
    let wrong = |cause: Box<dyn std::error::Error + Send + Sync>| ConfigError::Value {
        key: "token_file",
        value: name.clone(),
        cause,
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MOST_TOKEN_BYTES).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MOST_TOKEN_BYTES).read_to_string(&mut text))
    };
    read.map_err(|cause| wrong(cause.into()))?;
    let token: Result<Token, _> = text.trim().parse();
    Ok(token.map_err(|cause: join::TokenError| wrong(cause.into()))?)
}

/// What a role that has joined keeps beside its credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Record {
    /// The servers at the time; of an agent and a load balancer, as their last session has named them.
    pub(crate) servers: Vec<String>,
    /// Servers: which member this one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<Member>,
}

/// A server among the members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) id: u64,
    /// Where the others reach it.
    pub(crate) endpoint: String,
    /// The first of all makes the control plane; the others find it there.
    pub(crate) first: bool,
    /// It has a log.
    pub(crate) started: bool,
}

impl Record {
    /// Returns the record in a data directory; an empty one where nobody has joined.
    ///
    /// # Errors
    /// Fails when it cannot be read.
    pub(crate) fn load(data_dir: &Path) -> Result<Self, ConfigError> {
        config::read_file_if_any(&data_dir.join(RECORD))
    }

    /// Keeps the record.
    ///
    /// # Errors
    /// Fails when the data directory cannot be written.
    pub(crate) fn save(&self, data_dir: &Path) -> Result<(), ConfigError> {
        config::write_file(&data_dir.join(RECORD), self)
    }
}

/// Keeps what joining has brought: the credentials, then the record that says they are there.
///
/// # Errors
/// Fails when the data directory cannot be written.
pub(crate) fn keep(data_dir: &Path, joined: &Joined, member: Option<Member>) -> Result<(), Error> {
    let directory = Credentials::directory(data_dir);
    joined
        .credentials
        .save(&directory)
        .map_err(anyhow::Error::from)?;
    let servers = joined.servers.iter().map(ToString::to_string).collect();
    Ok(Record { servers, member }.save(data_dir)?)
}

/// Keeps the servers that sessions name, for as long as they come: a role that is restarted knows those that joined
/// after it, also when all of its own joining are gone.
pub(crate) async fn keep_servers(data_dir: PathBuf, mut named: watch::Receiver<Vec<Endpoint>>) {
    while named.changed().await.is_ok() {
        let servers = named.borrow_and_update().clone();
        let data_dir = data_dir.clone();
        let kept = tokio::task::spawn_blocking(move || replace_servers(&data_dir, &servers)).await;
        if let Ok(Err(error)) = kept {
            let error = &error as &dyn std::error::Error;
            warn!(error, "cannot keep the servers for the next start");
        }
    }
}

fn replace_servers(data_dir: &Path, servers: &[Endpoint]) -> Result<(), ConfigError> {
    // Who has not joined, but reaches a server on its own host, has no certificate for the others.
    if !data_dir.join(RECORD).exists() {
        return Ok(());
    }
    let mut record = Record::load(data_dir)?;
    let before = std::mem::take(&mut record.servers);
    record.servers = servers.iter().map(ToString::to_string).collect();
    if record.servers == before {
        return Ok(());
    }
    record.save(data_dir)
}

/// Returns the credentials of a role that has joined.
///
/// # Errors
/// Fails when they are there and cannot be read.
pub(crate) fn credentials(data_dir: &Path) -> Result<Option<Credentials>, Error> {
    let loaded = Credentials::load(&Credentials::directory(data_dir));
    Ok(loaded.map_err(anyhow::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_none_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(folder.path()).unwrap(), Record::default());
        let record = Record {
            servers: vec!["https://10.0.0.1:7443".into()],
            member: Some(Member {
                id: 2,
                endpoint: "https://10.0.0.2:7443".into(),
                first: false,
                started: true,
            }),
        };
        record.save(folder.path()).unwrap();
        assert_eq!(Record::load(folder.path()).unwrap(), record);
    }

    #[test]
    fn the_servers_of_a_session_take_the_place_of_those_before() {
        let folder = tempfile::tempdir().unwrap();
        let named = ["https://10.0.0.2:7443", "https://10.0.0.3:7443"];
        let endpoints = named.map(|server| server.parse().unwrap());
        replace_servers(folder.path(), &endpoints).unwrap();
        assert_eq!(Record::load(folder.path()).unwrap(), Record::default());
        let member = Some(Member {
            id: 1,
            endpoint: "https://10.0.0.1:7443".into(),
            first: true,
            started: true,
        });
        let servers = vec!["https://10.0.0.1:7443".into()];
        let record = Record { servers, member };
        record.save(folder.path()).unwrap();
        replace_servers(folder.path(), &endpoints).unwrap();
        let kept = Record::load(folder.path()).unwrap();
        assert_eq!(
            (kept.servers, kept.member),
            (named.map(str::to_owned).to_vec(), record.member)
        );
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2").unwrap();
        let error = read_token(&path).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        let report = error.report().unwrap();
        assert!(
            report.contains("token_file") && !report.contains("hunter2"),
            "{report}"
        );
    }
}
