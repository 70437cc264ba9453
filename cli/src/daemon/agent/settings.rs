//! The agent's settings: as written, and resolved to its configuration.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use roadstead_agent::{Config, Containerd};
use serde::{Deserialize, Serialize};

use crate::config::{self, ConfigError};
use crate::context::ContextFile;
use crate::daemon::absolute;

pub(super) const DEFAULT_DATA_DIR: &str = "/var/lib/roadstead/agent";
/// What `Config::new` gives, for who has to name it.
pub(super) const DEFAULT_NAME: &str = "roadstead";
const MEBIBYTE: u64 = 1 << 20;

/// The settings, as written.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Servers of the control plane; on the command line --endpoint.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) endpoints: Vec<String>,
    /// Cluster that the container instance joins; on the command line --cluster.
    #[arg(skip)]
    pub(crate) cluster: Option<String>,
    /// Tells apart the agents of one machine [default: roadstead].
    #[arg(long, env = "ROADSTEAD_NAME")]
    pub(crate) name: Option<String>,
    /// Keeps the identity, records and logs, and a containerd of its own [default: /var/lib/roadstead/agent].
    #[arg(long, env = "ROADSTEAD_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where others reach the ports of this host's tasks [default: 127.0.0.1].
    #[arg(long, env = "ROADSTEAD_ADDRESS")]
    pub(crate) address: Option<String>,
    /// Socket of a containerd that runs already; without it the agent starts its own.
    #[arg(long, env = "ROADSTEAD_CONTAINERD", value_name = "SOCKET")]
    pub(crate) containerd: Option<PathBuf>,
    /// Where containers in network mode bridge get their addresses [default: 172.31.0.0/16].
    #[arg(long, env = "ROADSTEAD_SUBNET")]
    pub(crate) subnet: Option<String>,
    /// Where dynamic host ports come from [default: 49153-65535].
    #[arg(long, env = "ROADSTEAD_DYNAMIC_PORTS", value_name = "FIRST-LAST")]
    pub(crate) dynamic_ports: Option<String>,
    /// A config.json as `docker login` writes it, with the credentials of registries.
    #[arg(long, env = "ROADSTEAD_REGISTRY_AUTH", value_name = "FILE")]
    pub(crate) registry_auth: Option<PathBuf>,
    /// CPU units to offer, 1024 for each core [default: what the machine has].
    #[arg(long, env = "ROADSTEAD_CPU_UNITS")]
    pub(crate) cpu_units: Option<u32>,
    /// Memory to offer, such as 4GiB [default: what the machine has].
    #[arg(long, env = "ROADSTEAD_MEMORY", value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// A host port that no task may have [default: 22, 2375, 2376, 51678, 51679].
    #[arg(
        long = "reserved-port",
        env = "ROADSTEAD_RESERVED_PORTS",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reserved_ports: Vec<u16>,
    /// An attribute of the container instance, for placement.
    #[arg(
        long = "attribute",
        env = "ROADSTEAD_ATTRIBUTES",
        value_delimiter = ',',
        value_name = "NAME=VALUE"
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attributes: Vec<String>,
    /// Between the stop signal and SIGKILL, for containers that do not say [default: 30s].
    #[arg(long, env = "ROADSTEAD_STOP_TIMEOUT", value_name = "DURATION")]
    pub(crate) stop_timeout: Option<String>,
    /// How long the log of a stopped task can be read; at most the newest 200 are kept [default: 1h].
    #[arg(
        long,
        env = "ROADSTEAD_STOPPED_TASK_RETENTION",
        value_name = "DURATION"
    )]
    pub(crate) stopped_task_retention: Option<String>,
    /// An OCI runtime in place of runc.
    #[arg(long, env = "ROADSTEAD_OCI_RUNTIME", value_name = "BINARY")]
    pub(crate) oci_runtime: Option<PathBuf>,
}

impl Settings {
    /// Takes what flags and environment say about the way to the control plane.
    pub(super) fn address_control_plane(&mut self, given: ContextFile) {
        if !given.endpoints.is_empty() {
            self.endpoints = given.endpoints;
        }
        self.cluster = given.cluster.or(self.cluster.take());
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Fails with the key of the value that is wrong.
    pub(crate) fn resolve(&self) -> Result<Config, ConfigError> {
        let data_dir = self
            .data_dir
            .clone()
            .unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        let data_dir = absolute("data_dir", &data_dir)?;
        let address = match &self.address {
            Some(text) => config::parse("address", text)?,
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let cluster = self.cluster.clone().unwrap_or_else(|| "default".to_owned());
        // The shim starts this very binary as the logger of each container.
        let logger = std::env::current_exe().map_err(|cause| ConfigError::Value {
            key: "logger",
            value: "this binary".to_owned(),
            cause: cause.into(),
        })?;
        let mut config = Config::new(cluster, data_dir, address, logger);
        if let Some(name) = &self.name {
            config.name.clone_from(name);
        }
        if let Some(socket) = &self.containerd {
            config.containerd = Containerd::Socket(absolute("containerd", socket)?);
        }
        if let Some(text) = &self.subnet {
            config.subnet = config::parse("subnet", text)?;
        }
        if let Some(text) = &self.dynamic_ports {
            config.dynamic_ports = port_range(text)?;
        }
        if let Some(text) = &self.memory {
            config.memory_mib = Some(mebibytes(text)?);
        }
        if let Some(text) = &self.stop_timeout {
            config.stop_timeout = config::duration("stop_timeout", text)?;
        }
        if let Some(text) = &self.stopped_task_retention {
            config.stopped_task_retention = config::duration("stopped_task_retention", text)?;
        }
        if !self.reserved_ports.is_empty() {
            config.reserved_ports.clone_from(&self.reserved_ports);
        }
        if let Some(file) = &self.registry_auth {
            config.registry_auth = Some(absolute("registry_auth", file)?);
        }
        config.oci_runtime.clone_from(&self.oci_runtime);
        config.cpu_units = self.cpu_units;
        config.attributes = attributes(&self.attributes)?;
        config.check().map_err(ConfigError::Agent)?;
        Ok(config)
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, ConfigError> {
    let (first, last) = text
        .split_once('-')
        .ok_or_else(|| wrong("dynamic_ports", text, "a range is FIRST-LAST"))?;
    let first = config::parse::<u16>("dynamic_ports", first.trim())?;
    let last = config::parse::<u16>("dynamic_ports", last.trim())?;
    if first == 0 || first > last {
        return Err(wrong(
            "dynamic_ports",
            text,
            "a range goes up, and has no port 0",
        ));
    }
    Ok(first..=last)
}

fn mebibytes(text: &str) -> Result<u32, ConfigError> {
    let mebibytes = config::bytes("memory", text)? / MEBIBYTE;
    match u32::try_from(mebibytes) {
        Ok(mebibytes @ 1..) => Ok(mebibytes),
        Ok(0) => Err(wrong("memory", text, "this is less than 1MiB")),
        Err(cause) => Err(wrong("memory", text, &cause.to_string())),
    }
}

fn attributes(texts: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
    let pairs = texts.iter().map(|text| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| wrong("attributes", text, "an attribute is NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

fn wrong(key: &'static str, value: &str, cause: &str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        cause: cause.to_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_settings_the_agent_has_its_own_containerd_and_roadsteads_defaults() {
        let config = Settings::default().resolve().unwrap();
        assert_eq!(config.containerd, Containerd::Own);
        assert_eq!(config.cluster, "default");
        assert_eq!(config.dynamic_ports, 49153..=65535);
        assert!(config.logger.is_absolute());
    }

    #[test]
    fn settings_are_resolved_to_types() {
        let settings = Settings {
            containerd: Some("/run/containerd/containerd.sock".into()),
            dynamic_ports: Some("30000-32767".into()),
            memory: Some("2GiB".into()),
            attributes: vec!["zone=a".into()],
            stop_timeout: Some("5s".into()),
            stopped_task_retention: Some("10m".into()),
            ..Settings::default()
        };
        let config = settings.resolve().unwrap();
        assert_eq!(
            config.containerd,
            Containerd::Socket("/run/containerd/containerd.sock".into())
        );
        assert_eq!(config.dynamic_ports, 30000..=32767);
        assert_eq!(config.memory_mib, Some(2048));
        assert_eq!(config.attributes["zone"], "a");
        assert_eq!(config.stop_timeout, Duration::from_secs(5));
        assert_eq!(config.stopped_task_retention, Duration::from_secs(600));
    }

    #[test]
    fn a_wrong_setting_is_refused_by_its_key() {
        let base = Settings::default;
        let cases = [
            (
                Settings {
                    address: Some("here".into()),
                    ..base()
                },
                "address: `here` is not valid",
            ),
            (
                Settings {
                    subnet: Some("10".into()),
                    ..base()
                },
                "subnet: `10` is not valid",
            ),
            (
                Settings {
                    dynamic_ports: Some("9-1".into()),
                    ..base()
                },
                "dynamic_ports: `9-1` is not valid",
            ),
            (
                Settings {
                    memory: Some("1KiB".into()),
                    ..base()
                },
                "memory: `1KiB` is not valid",
            ),
            (
                Settings {
                    attributes: vec!["zone".into()],
                    ..base()
                },
                "attributes: `zone` is not valid",
            ),
            (
                Settings {
                    stop_timeout: Some("x".into()),
                    ..base()
                },
                "stop_timeout: `x` is not valid",
            ),
            (
                Settings {
                    stopped_task_retention: Some("x".into()),
                    ..base()
                },
                "stopped_task_retention: `x` is not valid",
            ),
            (
                Settings {
                    name: Some("a/b".into()),
                    ..base()
                },
                "name `a/b` must begin with a letter and have at most 14 of a-z, 0-9 and `-`",
            ),
        ];
        for (settings, message) in cases {
            assert_eq!(settings.resolve().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_record_reads_back_as_the_settings_that_were_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            name: Some("dev".into()),
            reserved_ports: vec![22],
            ..Settings::default()
        };
        super::super::record(folder.path(), &settings).unwrap();
        let read: Settings = config::read_file(&super::super::record_path(folder.path())).unwrap();
        assert_eq!(read, settings);
    }
}
