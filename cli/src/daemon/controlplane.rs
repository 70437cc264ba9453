//! `ctl controlplane`: one server of the control plane.

mod member;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use roadstead_client::Endpoint;
use roadstead_server::Config;
use serde::{Deserialize, Serialize};

use super::{absolute, data_dir, open_files, stop};
use crate::config::{self, ConfigError};
use crate::error::Error;
use crate::join::{self, Record};
use crate::{logging, runtime};

const DEFAULT_DATA_DIR: &str = "/var/lib/roadstead/server";

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// TOML file with the same keys as the flags; environment and flags override it.
    #[arg(long, env = "ROADSTEAD_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this host the first server of a new control plane, which others can join.
    Init {
        #[command(flatten)]
        place: member::Place,
    },
    /// Make this host one more server of a control plane, with a token for a server.
    Join {
        #[command(flatten)]
        join: join::Invitation,
        #[command(flatten)]
        place: member::Place,
    },
}

/// The settings, as written.
#[derive(Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// This server's number among the members [default: 1].
    #[arg(long, env = "ROADSTEAD_ID")]
    id: Option<u64>,
    /// Holds log and snapshots [default: /var/lib/roadstead/server].
    #[arg(long, env = "ROADSTEAD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Where this host's operator reaches it, as unix:/path [default: server.sock in the data directory].
    #[arg(long, env = "ROADSTEAD_LISTEN")]
    listen: Option<String>,
    /// Where it listens for other hosts, once it is the first or has joined [default: 0.0.0.0, with its endpoint's port].
    #[arg(long, env = "ROADSTEAD_BIND", value_name = "ADDRESS:PORT")]
    bind: Option<String>,
    /// A server of the control plane with its number, this one included; read when the log is empty.
    #[arg(
        long = "member",
        env = "ROADSTEAD_MEMBERS",
        value_delimiter = ',',
        value_name = "ID=ENDPOINT"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
    /// Region in ARNs [default: local].
    #[arg(long, env = "ROADSTEAD_REGION")]
    region: Option<String>,
    /// Account in ARNs, twelve digits [default: 000000000000].
    #[arg(long, env = "ROADSTEAD_ACCOUNT")]
    account: Option<String>,
    /// An agent silent for so long gets no new task, and its tasks come under suspicion [default: 2s].
    #[arg(long, env = "ROADSTEAD_AGENT_TIMEOUT", value_name = "DURATION")]
    agent_timeout: Option<String>,
    /// A load balancer silent for so long is no longer waited for [default: 30s].
    #[arg(long, env = "ROADSTEAD_LOAD_BALANCER_TIMEOUT", value_name = "DURATION")]
    load_balancer_timeout: Option<String>,
    /// A follower that hears nothing for so long stands for election [default: 300ms].
    #[arg(long, env = "ROADSTEAD_ELECTION_TIMEOUT", value_name = "DURATION")]
    election_timeout: Option<String>,
    /// What has ended (a task, a service, a container instance) can be described for so long [default: 1h].
    #[arg(long, env = "ROADSTEAD_RETENTION", value_name = "DURATION")]
    retention: Option<String>,
    /// A snapshot is taken after so many log entries [default: 5000].
    #[arg(long, env = "ROADSTEAD_SNAPSHOT_AFTER", value_name = "ENTRIES")]
    snapshot_after: Option<u64>,
}

/// Runs a server until it is told to stop.
///
/// # Errors
/// Fails when a setting is wrong, the data directory is in use, or the server does.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    logging::start(logging::Level::INFO)?;
    match args.command {
        Some(Command::Init { place }) => return member::init(&place),
        Some(Command::Join { join, place }) => return member::join(&join, &place),
        None => {}
    }
    let settings = config::layered(args.config.as_deref(), args.settings)?;
    let config = resolve(settings)?;
    open_files::raise();
    let _claim = data_dir::claim(&config.data_dir).map_err(anyhow::Error::from)?;
    let data_dir = config.data_dir.clone();
    member::check_log(&data_dir)?;
    let served = runtime::block_on(serve(config));
    member::check_log(&data_dir)?;
    served
}

async fn serve(config: Config) -> Result<(), Error> {
    let stop = stop::on_signal()?;
    Box::pin(roadstead_server::run(config, stop))
        .await
        .map_err(anyhow::Error::from)?;
    Ok(())
}

fn resolve(settings: Settings) -> Result<Config, ConfigError> {
    let data_dir = settings.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
    let data_dir = absolute("data_dir", &data_dir)?;
    let socket = socket(settings.listen.as_deref(), &data_dir)?;
    let record = Record::load(&data_dir)?;
    let mut config = Config::new(settings.id.unwrap_or(1), data_dir, socket);
    if !settings.members.is_empty() {
        config.members = members(&settings.members, config.id)?;
    }
    if let Some(member) = record.member {
        let given = settings.id.is_some() || !settings.members.is_empty();
        let bind = settings.bind.as_deref();
        member::apply(&mut config, &member, &record.servers, bind, given)?;
    }
    if let Some(region) = settings.region {
        config.region = region;
    }
    if let Some(account) = settings.account {
        config.account = twelve_digits(account)?;
    }
    for (key, text, target) in [
        (
            "agent_timeout",
            settings.agent_timeout,
            &mut config.agent_timeout,
        ),
        (
            "load_balancer_timeout",
            settings.load_balancer_timeout,
            &mut config.load_balancer_timeout,
        ),
        (
            "election_timeout",
            settings.election_timeout,
            &mut config.election_timeout,
        ),
        ("retention", settings.retention, &mut config.retention),
    ] {
        if let Some(text) = text {
            *target = config::duration(key, &text)?;
        }
    }
    config.snapshot_after = settings.snapshot_after.unwrap_or(config.snapshot_after);
    Ok(config)
}

fn socket(listen: Option<&str>, data_dir: &Path) -> Result<PathBuf, ConfigError> {
    let default = Endpoint::Unix(data_dir.join("server.sock")).to_string();
    let text = listen.unwrap_or(&default);
    let endpoint: Endpoint = config::parse("listen", text)?;
    let socket = endpoint.socket().map(Path::to_owned);
    socket.ok_or_else(|| ConfigError::Value {
        key: "listen",
        value: text.to_owned(),
        cause: "it is a socket of this host, as unix:/path; `ctl controlplane init` lets other hosts in".into(),
    })
}

fn members(texts: &[String], id: u64) -> Result<BTreeMap<u64, Endpoint>, ConfigError> {
    let wrong = |text: &str, cause: &str| ConfigError::Value {
        key: "members",
        value: text.to_owned(),
        cause: cause.to_owned().into(),
    };
    let mut members = BTreeMap::new();
    for text in texts {
        let (number, endpoint) = text
            .split_once('=')
            .ok_or_else(|| wrong(text, "a member is ID=ENDPOINT"))?;
        let number = config::parse("members", number)?;
        if members
            .insert(number, config::parse("members", endpoint)?)
            .is_some()
        {
            return Err(wrong(text, "this number is given twice"));
        }
    }
    if members.contains_key(&id) {
        Ok(members)
    } else {
        Err(wrong(
            &texts.join(","),
            &format!("this server, number {id}, is not among them"),
        ))
    }
}

fn twelve_digits(account: String) -> Result<String, ConfigError> {
    if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(account);
    }
    Err(ConfigError::Value {
        key: "account",
        value: account,
        cause: "an account has twelve digits".into(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_settings_a_server_is_alone_and_listens_in_its_data_directory() {
        let config = resolve(Settings::default()).unwrap();
        assert_eq!(config.id, 1);
        assert_eq!(
            config.socket.display().to_string(),
            "/var/lib/roadstead/server/server.sock"
        );
        assert_eq!(
            config.members,
            BTreeMap::from([(1, Endpoint::Unix(config.socket.clone()))])
        );
    }

    #[test]
    fn settings_are_resolved_to_types() {
        let settings = Settings {
            id: Some(2),
            members: vec!["1=unix:/a".into(), "2=unix:/b".into()],
            agent_timeout: Some("1m".into()),
            ..Settings::default()
        };
        let config = resolve(settings).unwrap();
        assert_eq!(config.members.len(), 2);
        assert_eq!(config.agent_timeout, Duration::from_secs(60));
    }

    #[test]
    fn a_wrong_setting_is_refused_by_its_key() {
        let cases = [
            (
                Settings {
                    listen: Some("tcp".into()),
                    ..Settings::default()
                },
                "listen: `tcp` is not valid",
            ),
            (
                Settings {
                    members: vec!["2=unix:/b".into()],
                    ..Settings::default()
                },
                "members: `2=unix:/b` is not valid",
            ),
            (
                Settings {
                    account: Some("1".into()),
                    ..Settings::default()
                },
                "account: `1` is not valid",
            ),
            (
                Settings {
                    election_timeout: Some("fast".into()),
                    ..Settings::default()
                },
                "election_timeout: `fast` is not valid",
            ),
        ];
        for (settings, message) in cases {
            assert_eq!(resolve(settings).unwrap_err().to_string(), message);
        }
    }
}
