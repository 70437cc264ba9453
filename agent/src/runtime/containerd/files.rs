//! The small files of a container: its name, the names it knows, and the name servers it asks.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// Where systemd-resolved keeps the servers behind its stub on 127.0.0.53.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// A small file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}")]
pub(super) struct FileError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Writes the files of a container into its directory. Without an address of its own, a container
/// sees what the machine sees.
pub(super) fn write(
    directory: &Path,
    hostname: &str,
    address: Option<Ipv4Addr>,
) -> Result<(), FileError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (hosts, resolv_conf) = match address {
        Some(address) => (
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{hostname}\n"),
            resolv_conf(&read("/etc/resolv.conf"), &read(RESOLVED)),
        ),
        None => (read("/etc/hosts"), read("/etc/resolv.conf")),
    };
    let create = |path: &Path, cause| FileError {
        path: path.to_owned(),
        cause,
    };
    fs::create_dir_all(directory).map_err(|cause| create(directory, cause))?;
    let files = [
        ("hosts", hosts),
        ("hostname", format!("{hostname}\n")),
        ("resolv.conf", resolv_conf),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|cause| create(&path, cause))?;
    }
    Ok(())
}

/// A server on the machine's loopback cannot be reached from a container; if all are, those that
/// systemd-resolved asks are used.
fn resolv_conf(machine: &str, resolved: &str) -> String {
    let reachable = |text: &str| -> (String, bool) {
        let mut servers = false;
        let keep = |line: &&str| {
            let server = line.trim().strip_prefix("nameserver");
            let server = server.and_then(|server| server.trim().parse().ok());
            let loopback = server.is_some_and(|server: IpAddr| server.is_loopback());
            servers |= server.is_some() && !loopback;
            !loopback
        };
        let lines: Vec<&str> = text.lines().filter(keep).collect();
        (lines.join("\n") + "\n", servers)
    };
    let (text, usable) = reachable(machine);
    if usable {
        return text;
    }
    let (fallback, usable) = reachable(resolved);
    if usable { fallback } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_loopback_is_left_out() {
        let machine = "search x\nnameserver 127.0.0.1\nnameserver 10.0.0.1\n";
        assert_eq!(resolv_conf(machine, ""), "search x\nnameserver 10.0.0.1\n");
    }

    #[test]
    fn the_servers_behind_a_stub_are_used() {
        let got = resolv_conf("nameserver 127.0.0.53\n", "nameserver 10.0.0.2\n");
        assert_eq!(got, "nameserver 10.0.0.2\n");
    }

    #[test]
    fn a_machine_without_servers_gives_none() {
        assert_eq!(resolv_conf("options ndots:1\n", ""), "options ndots:1\n");
    }
}
