//! A bridge, and behind each of its ports a network namespace that a host's processes live in.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, ensure};

/// The network of one test; removed when dropped.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
    /// 10.x.y: the bridge is .1, host number n is .10+n.
    prefix: [u8; 2],
}

impl Network {
    /// Makes the bridge. The process's own id makes name and addresses differ from other tests'.
    pub(super) fn new(name: &str) -> anyhow::Result<Self> {
        let [.., x, y] = std::process::id().to_be_bytes();
        // Not 10.0 to 10.99, which machines use for themselves.
        let network = Self {
            name: name.to_owned(),
            prefix: [100 + x % 100, y],
        };
        ip(&["link", "add", name, "type", "bridge"])?;
        let address = format!("{}/24", network.address(1));
        ip(&["address", "add", &address, "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        Ok(network)
    }

    /// Returns the network of a test that is gone, to be dropped.
    pub(super) fn left_behind(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            prefix: [0, 0],
        }
    }

    /// Adds a host; returns its namespace, whose name its cable to the bridge has too, and its address.
    pub(super) fn add_host(&self, number: u8) -> anyhow::Result<(String, Ipv4Addr)> {
        let namespace = format!("{}h{number}", self.name);
        let address = self.address(10 + number);
        let inside =
            |arguments: &[&str]| ip(&[&["-netns", namespace.as_str()], arguments].concat());
        ip(&["netns", "add", &namespace])?;
        ip(&[
            "link", "add", &namespace, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
        ])?;
        ip(&["link", "set", &namespace, "master", &self.name, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        inside(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        inside(&["link", "set", "eth0", "up"])?;
        let gateway = self.address(1).to_string();
        inside(&["route", "add", "default", "via", &gateway])?;
        Ok((namespace, address))
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        let [x, y] = self.prefix;
        Ipv4Addr::new(10, x, y, last)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let namespaces = std::fs::read_dir("/run/netns")
            .into_iter()
            .flatten()
            .flatten();
        for namespace in namespaces {
            let namespace = namespace.file_name().display().to_string();
            if namespace.starts_with(&format!("{}h", self.name)) {
                // The cable first: with its namespace it would go too, but later.
                said(ip(&["link", "delete", &namespace]));
                said(ip(&["netns", "delete", &namespace]));
            }
        }
        said(ip(&["link", "delete", &self.name]));
    }
}

fn said(outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        eprintln!("{error:#}");
    }
}

/// Pulls a host's cable out of the bridge, or puts it back.
pub(super) fn connect(namespace: &str, connected: bool) -> anyhow::Result<()> {
    let state = if connected { "up" } else { "down" };
    ip(&["link", "set", namespace, state])
}

/// The table of a host's firewall that drops packets.
const TABLE: &str = "rh_faults";

/// Drops what comes in from the cable, or goes out by it.
pub(super) fn drop_packets(namespace: &str, hook: &str) -> anyhow::Result<()> {
    drop_nothing(namespace)?;
    let device = if hook == "input" {
        "iifname"
    } else {
        "oifname"
    };
    let chain = format!("{{ type filter hook {hook} priority 0; {device} eth0 drop; }};");
    nft(
        namespace,
        &format!("table inet {TABLE} {{ chain {hook} {chain} }}"),
    )
}

/// Undoes [`drop_packets`].
pub(super) fn drop_nothing(namespace: &str) -> anyhow::Result<()> {
    // A table can be deleted only where there is one.
    nft(
        namespace,
        &format!("table inet {TABLE}; delete table inet {TABLE}"),
    )
}

fn nft(namespace: &str, rules: &str) -> anyhow::Result<()> {
    let into = format!("--net=/run/netns/{namespace}");
    run("nsenter", &[&into, "nft", rules])
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run("ip", arguments)
}

/// Runs a command of the system.
pub(super) fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
