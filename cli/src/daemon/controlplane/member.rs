//! How a server becomes a member: `init`, `join`, and what they have left.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use roadstead_client::Endpoint;
use roadstead_client::join::Applicant;
use roadstead_server::{Config, Remote};

use super::DEFAULT_DATA_DIR;
use crate::config::{self, ConfigError};
use crate::daemon::{absolute, data_dir};
use crate::error::Error;
use crate::join::{self, Member, Record};
use crate::{context, output};

/// What a server has voted, and all that it has agreed to.
const LOG: &str = "log.redb";

/// Where a server is.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Where other hosts reach this one, as HOST or HOST:PORT [default port: 7443].
    #[arg(long, value_name = "HOST[:PORT]")]
    address: String,
    /// The server's data directory.
    #[arg(long, env = "ROADSTEAD_DATA_DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

/// Makes the server the member that it became by `init` or `join`; `given` says that flags say otherwise.
///
/// # Errors
/// Fails with the key of the value that is wrong.
pub(super) fn apply(
    config: &mut Config,
    member: &Member,
    servers: &[String],
    bind: Option<&str>,
    given: bool,
) -> Result<(), ConfigError> {
    if given {
        return Err(ConfigError::Value {
            key: "id",
            value: member.id.to_string(),
            cause: "this server has its number by `init` or `join`; leave --id and --member out"
                .into(),
        });
    }
    let endpoint: Endpoint = config::parse("endpoint", &member.endpoint)?;
    let bind = match (bind, &endpoint) {
        (Some(text), _) => config::parse("bind", text)?,
        (None, Endpoint::Tls { port, .. }) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port)),
        (None, Endpoint::Unix(_)) => {
            return Err(ConfigError::Value {
                key: "endpoint",
                value: member.endpoint.clone(),
                cause: "other hosts cannot reach it".into(),
            });
        }
    };
    config.id = member.id;
    config.members = if member.first {
        BTreeMap::from([(member.id, endpoint.clone())])
    } else {
        BTreeMap::new()
    };
    config.contacts = context::endpoints(servers)?;
    config.contacts.retain(|one| *one != endpoint);
    config.remote = Some(Remote { endpoint, bind });
    Ok(())
}

/// Makes this host the first server.
///
/// # Errors
/// Fails when the data directory is another server's.
pub(super) fn init(place: &Place) -> Result<(), Error> {
    let (data_dir, endpoint) = place.resolve()?;
    let _claim = data_dir::claim(&data_dir).map_err(anyhow::Error::from)?;
    refuse_second(&data_dir)?;
    let member = Member {
        id: 1,
        endpoint: endpoint.to_string(),
        first: true,
        started: false,
    };
    let record = Record {
        servers: vec![endpoint.to_string()],
        member: Some(member),
    };
    record.save(&data_dir)?;
    output::write_line(&format!(
        "this host is the first server, at {endpoint}; start it with `ctl controlplane`, then let others join with tokens \
         from `ctl token create`"
    ))
}

/// Makes this host one more server.
///
/// # Errors
/// Fails when the data directory is another server's, or the token is refused.
pub(super) fn join(invitation: &join::Invitation, place: &Place) -> Result<(), Error> {
    let (data_dir, endpoint) = place.resolve()?;
    let _claim = data_dir::claim(&data_dir).map_err(anyhow::Error::from)?;
    refuse_second(&data_dir)?;
    let joined = invitation.join(Applicant::Server(endpoint.clone()))?;
    let id = joined.member_id;
    let member = Member {
        id,
        endpoint: endpoint.to_string(),
        first: false,
        started: false,
    };
    join::keep(&data_dir, &joined, Some(member))?;
    output::write_line(&format!(
        "joined as server {id}, at {endpoint}; start it with `ctl controlplane`: it becomes a member then"
    ))
}

/// A data directory belongs to one server for ever: with another's log it would vote twice.
fn refuse_second(data_dir: &Path) -> Result<(), Error> {
    let used = [LOG, "tls"].map(|name| data_dir.join(name)).into_iter();
    if Record::load(data_dir)?.member.is_some() || used.clone().any(|path| path.exists()) {
        return Err(Error::Unfit(format!(
            "{} belongs to a server already; start that one with `ctl controlplane`, or remove the directory if that server \
             is gone for good",
            data_dir.display()
        )));
    }
    Ok(())
}

impl Place {
    fn resolve(&self) -> Result<(PathBuf, Endpoint), ConfigError> {
        let data_dir = absolute("data_dir", &self.data_dir)?;
        let endpoint = config::parse("address", &format!("https://{}", self.address));
        let endpoint = endpoint.map_err(|error| match error {
            ConfigError::Value { key, cause, .. } => ConfigError::Value {
                key,
                value: self.address.clone(),
                cause,
            },
            other => other,
        })?;
        Ok((data_dir, endpoint))
    }
}

/// Notes whether the server has a log, before it runs and after it: one that had a log must not run without.
///
/// # Errors
/// Fails when the log is gone: with an empty one the server could vote twice, or begin the control plane anew.
pub(super) fn check_log(data_dir: &Path) -> Result<(), Error> {
    let mut record = Record::load(data_dir)?;
    let Some(member) = &mut record.member else {
        return Ok(());
    };
    match (member.started, data_dir.join(LOG).exists()) {
        (true, false) => Err(Error::Unfit(format!(
            "the log of server {} is gone from {}: take the server out with `ctl server remove {}` on another one, remove \
             the directory, and join anew",
            member.id,
            data_dir.display(),
            member.id
        ))),
        (false, true) => {
            member.started = true;
            Ok(record.save(data_dir)?)
        }
        (true, true) | (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path, address: &str) -> Place {
        Place {
            address: address.to_owned(),
            data_dir: folder.join("data"),
        }
    }

    #[test]
    fn a_data_directory_becomes_a_server_once() {
        let folder = tempfile::tempdir().unwrap();
        init(&place(folder.path(), "10.0.0.1")).unwrap();
        let record = Record::load(&folder.path().join("data")).unwrap();
        assert_eq!(record.servers, ["https://10.0.0.1:7443"]);
        let again = init(&place(folder.path(), "10.0.0.1")).unwrap_err();
        assert!(
            again.to_string().contains("belongs to a server already"),
            "{again}"
        );
    }

    #[test]
    fn an_address_that_nobody_could_reach_is_refused_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let error = init(&place(folder.path(), "unix:/x")).unwrap_err();
        assert!(
            error.to_string().starts_with("address: `unix:/x`"),
            "{error}"
        );
    }

    #[test]
    fn a_server_that_has_lost_its_log_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        init(&place(folder.path(), "10.0.0.1")).unwrap();
        let data = folder.path().join("data");
        check_log(&data).unwrap();
        std::fs::write(data.join(LOG), "").unwrap();
        check_log(&data).unwrap();
        std::fs::remove_file(data.join(LOG)).unwrap();
        let error = check_log(&data).unwrap_err();
        assert!(error.to_string().contains("ctl server remove 1"), "{error}");
    }
}
