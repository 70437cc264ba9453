//! The shims of the agent's containers, found among the machine's processes.
//!
//! A shim ends by itself shortly after its task is deleted, because containerd tells it to. If agent or
//! containerd is killed in just that moment, the shim stays, and nobody knows it any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::runtime::ContainerId;

const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// Where shims listen, whatever containerd's own state directory is (containerd's `shim.SocketAddress`).
const SOCKETS: &str = "/run/containerd/s";

/// The shims that one containerd has started for one of its namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Shims {
    containerd: PathBuf,
    namespace: String,
}

impl Shims {
    pub(crate) fn new(containerd: &Path, namespace: &str) -> Self {
        Self {
            containerd: containerd.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    /// Waits until there are none, and kills those that do not end.
    pub(crate) async fn end(&self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.running().is_empty() {
                return;
            }
            sleep(POLL).await;
        }
        self.kill_strays(&BTreeSet::new());
    }

    /// Kills those whose task containerd does not know.
    pub(super) fn kill_strays(&self, known: &BTreeSet<ContainerId>) {
        for (pid, id) in self.running() {
            if known.contains(&id) {
                continue;
            }
            warn!(container = %id, "a shim without a task is killed");
            // One that has ended meanwhile, or has no socket, is what is wanted.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = fs::remove_file(self.socket(&id));
        }
    }

    /// Returns processes with the ids of their containers.
    fn running(&self) -> Vec<(Pid, ContainerId)> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let shims = processes.filter_map(|process| {
            let pid: i32 = process.file_name().to_str()?.parse().ok()?;
            let line = fs::read(process.path().join("cmdline")).ok()?;
            Some((Pid::from_raw(pid), self.container_of(&line)?))
        });
        shims.collect()
    }

    /// Reads a command line as `/proc` has it: arguments that each end with a zero. What somebody else
    /// runs in the namespace is not ours by its name.
    fn container_of(&self, line: &[u8]) -> Option<ContainerId> {
        let line = String::from_utf8_lossy(line);
        let arguments: Vec<&str> = line.split('\0').collect();
        let value = |flag: &str| {
            let at = arguments.iter().position(|argument| *argument == flag)?;
            arguments.get(at + 1).copied()
        };
        let ours = arguments.first()?.contains("containerd-shim")
            && value("-namespace") == Some(&self.namespace)
            && value("-address").map(Path::new) == Some(&self.containerd);
        value("-id").filter(|_| ours).and_then(ContainerId::parse)
    }

    fn socket(&self, id: &ContainerId) -> PathBuf {
        let name = self.containerd.join(&self.namespace);
        let name = name.join(id.to_string());
        let hash = Sha256::digest(name.as_os_str().as_encoded_bytes());
        let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Path::new(SOCKETS).join(hex.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_known_by_its_namespace_and_its_containerd() {
        let shims = Shims::new(Path::new("/run/c.sock"), "rs");
        let running = |id: &str, namespace: &str, address: &str| {
            format!(
                "/usr/bin/containerd-shim-runc-v2\0-namespace\0{namespace}\0-id\0{id}\0-address\0{address}\0"
            )
        };
        let line = |namespace: &str, address: &str| running("a1-0", namespace, address);
        let of = |line: String| shims.container_of(line.as_bytes());
        assert_eq!(of(line("rs", "/run/c.sock")), ContainerId::parse("a1-0"));
        assert_eq!(of(running("foo", "rs", "/run/c.sock")), None);
        assert_eq!(of(line("rs2", "/run/c.sock")), None);
        assert_eq!(of(line("rs", "/run/d.sock")), None);
        assert_eq!(of("/bin/sh\0-namespace\0rs\0-id\0x\0".into()), None);
        assert_eq!(of(String::new()), None);
    }
}
