//! What an agent is told at its start, and the names that follow from it.
//!
//! Everything that an agent leaves on a machine carries its `name`, so that several agents can
//! share one machine and `remove` can find what belongs to which.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::subnet::Subnet;

/// The kernel takes 15 bytes for an interface's name, and the bridge adds one digit.
const LONGEST_NAME: usize = 14;

/// Which containerd runs the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Containerd {
    /// One that somebody else looks after, by its socket.
    Socket(PathBuf),
    /// One with a root, state and socket of its own, which the agent starts and starts again when it
    /// dies. It outlives the agent and is found again by the next one.
    Own,
}

/// What an agent is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tells apart the agents of one machine: names its bridge, nftables table, cgroup parent,
    /// containerd namespace and the directory of its network namespaces.
    pub name: String,
    /// The cluster that the container instance joins.
    pub cluster: String,
    /// Keeps the identity, the tasks' records and logs, and the root of a containerd of its own.
    pub data_dir: PathBuf,
    /// Where others reach the ports of this instance's tasks.
    pub address: IpAddr,
    pub containerd: Containerd,
    /// Where containers in network mode `bridge` get their addresses.
    pub subnet: Subnet,
    /// Where dynamic host ports come from.
    pub dynamic_ports: RangeInclusive<u16>,
    /// A `config.json` as `docker login` writes it; its `auths` are used for pulls.
    pub registry_auth: Option<PathBuf>,
    /// 1024 for each core; what the machine has when absent.
    pub cpu_units: Option<u32>,
    /// What the machine has when absent.
    pub memory_mib: Option<u32>,
    /// Host ports that no task may have.
    pub reserved_ports: Vec<u16>,
    pub attributes: BTreeMap<String, String>,
    /// Between the stop signal and SIGKILL, for containers that do not say.
    pub stop_timeout: Duration,
    /// How long the log of a stopped task can still be read, and its record is kept; at most the
    /// newest 200 are. Default 1 h, as long as the control plane describes a stopped task.
    pub stopped_task_retention: Duration,
    /// Another OCI runtime in place of `runc`.
    pub oci_runtime: Option<PathBuf>,
    /// Run as `LOGGER container-logger DIRECTORY` beside each container; see
    /// [`container_logger`](crate::container_logger).
    pub logger: PathBuf,
}

/// Why an agent cannot work with its configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error(
        "name `{0}` must begin with a letter and have at most {LONGEST_NAME} of a-z, 0-9 and `-`"
    )]
    Name(String),
    #[error("{key} `{path}` is not an absolute path")]
    Relative { key: &'static str, path: String },
    #[error("dynamic_ports is an empty range")]
    NoPorts,
}

impl Config {
    /// Returns a configuration with the defaults of Roadstead for everything else.
    #[must_use]
    pub fn new(cluster: String, data_dir: PathBuf, address: IpAddr, logger: PathBuf) -> Self {
        Self {
            name: "roadstead".to_owned(),
            cluster,
            data_dir,
            address,
            containerd: Containerd::Own,
            subnet: Subnet::default(),
            dynamic_ports: 49153..=65535,
            registry_auth: None,
            cpu_units: None,
            memory_mib: None,
            reserved_ports: vec![22, 2375, 2376, 51678, 51679],
            attributes: BTreeMap::new(),
            stop_timeout: Duration::from_secs(30),
            stopped_task_retention: Duration::from_secs(3600),
            oci_runtime: None,
            logger,
        }
    }

    /// Tells whether an agent can work with it. [`run`](crate::run) checks too; who calls this first
    /// can refuse a bad value before anything is made.
    ///
    /// # Errors
    /// Fails with the key of the value that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let name = &self.name;
        if name.len() > LONGEST_NAME
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(letters)
        {
            return Err(ConfigError::Name(name.clone()));
        }
        for (key, path) in [("data_dir", &self.data_dir), ("logger", &self.logger)] {
            if !path.is_absolute() {
                let path = path.display().to_string();
                return Err(ConfigError::Relative { key, path });
            }
        }
        if self.dynamic_ports.is_empty() {
            return Err(ConfigError::NoPorts);
        }
        Ok(())
    }

    pub(crate) fn bridge(&self) -> String {
        format!("{}0", self.name)
    }

    /// Holds sockets and network namespaces: short paths, and gone after a reboot as they are.
    pub(crate) fn run_dir(&self) -> PathBuf {
        PathBuf::from(format!("/run/{}-agent", self.name))
    }

    pub(crate) fn tasks_dir(&self) -> PathBuf {
        self.data_dir.join("tasks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let address = IpAddr::from([127, 0, 0, 1]);
        Config::new("c".into(), "/data".into(), address, "/bin/ctl".into())
    }

    #[test]
    fn defaults_are_accepted() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn a_name_that_the_kernel_could_not_take_is_refused() {
        for name in ["", "a-name-of-15-ch", "UPPER", "1st", "a/b", "a b"] {
            let mut config = config();
            name.clone_into(&mut config.name);
            assert_eq!(config.check(), Err(ConfigError::Name(name.to_owned())));
        }
    }

    #[test]
    fn a_relative_path_is_refused_by_its_key() {
        let mut config = config();
        config.logger = "ctl".into();
        let error = config.check().unwrap_err();
        assert_eq!(error.to_string(), "logger `ctl` is not an absolute path");
    }
}
